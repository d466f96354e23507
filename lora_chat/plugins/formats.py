"""The formats that plugins read and write. Owns finding the one for a file, and passing conversations through it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_chat.chat.store import Store
from lora_chat.chat.transcript import Problem, Transcript
from lora_chat.errors import RefusedError
from lora_chat.plugins import limits
from lora_chat.plugins.finding import Plugin
from lora_chat.plugins.manager import Plugins
from lora_chat.plugins.offers import Offer
from lora_chat.plugins.plain import saved, saved_to_plain, transcript_of_plain
from lora_chat.plugins.process import BrokenPlugin, value_of
from lora_chat.plugins.registrars import SavedConversation


@dataclass(frozen=True)
class Reader:
    """One importer of one plugin."""

    plugins: Plugins
    plugin: Plugin
    offer: Offer

    @property
    def told(self) -> str:
        """What it reads and whose it is."""
        return f"{self.offer.help or self.offer.name}, by the plugin {self.plugin.name}"

    def __call__(self, path: Path) -> Iterator[Transcript | Problem]:
        """See ``transcript.Entries``."""
        call = self.plugins.call(self.plugin, "read", self.offer.name, str(path.absolute()), limit_s=limits.STEP_S)
        for value in call:
            try:
                yield transcript_of_plain(value)
            except ValueError as error:
                call.close()
                raise RefusedError(self.plugins.break_off(self.plugin, str(error))) from error


def reader_for(plugins: Plugins, path: Path) -> Reader | None:
    """The first importer that says a file is its own; None where none does. What breaks meanwhile is in ``news``."""
    if not path.is_file():
        return None
    for plugin, offer in plugins.offered("importers"):
        if not path.name.lower().endswith(offer.suffixes):
            continue
        try:
            if value_of(plugins.call(plugin, "sniff", offer.name, str(path.absolute()), limit_s=limits.SNIFF_S)):
                return Reader(plugins, plugin, offer)
        except RefusedError as error:
            plugins.tell(str(error))
    return None


@dataclass(frozen=True)
class Writer:
    """One exporter of one plugin."""

    plugins: Plugins
    plugin: Plugin
    offer: Offer

    @property
    def name(self) -> str:
        """What is typed to have it."""
        return self.offer.name

    @property
    def suffix(self) -> str:
        """Of its files, without the dot."""
        return self.offer.suffix.removeprefix(".")

    @property
    def told(self) -> str:
        """What it writes."""
        return self.offer.help or self.offer.name

    def write(self, conversations: Iterable[SavedConversation]) -> Iterator[str]:
        """Yield the text of one file. Raises as ``Plugins.call``."""
        waiting = iter(conversations)

        def answer(kind: str, rest: list[Any]) -> Any:
            if kind != "next":
                raise BrokenPlugin("its exporter asked for what only commands can")
            return saved_to_plain(next(waiting, None))

        call = self.plugins.call(self.plugin, "write", self.offer.name, limit_s=limits.STEP_S, answers=answer)
        for piece in call:
            if not isinstance(piece, str):
                call.close()
                raise RefusedError(self.plugins.break_off(self.plugin, "its exporter sent what is no text"))
            yield piece


def writers(plugins: Plugins) -> list[Writer]:
    """Every format that an enabled plugin writes."""
    return [Writer(plugins, plugin, offer) for plugin, offer in plugins.offered("exporters")]


def saved_conversations(store: Store, ids: Iterable[str]) -> Iterator[SavedConversation]:
    """The visible branches of those that have any text, one after the other."""
    for id in ids:
        messages = [message for message in store.branch(id) if message.content.strip()]
        if messages:
            yield saved(store.conversation(id), messages)
