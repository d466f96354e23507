"""Commands of plugins in the chat. Owns what one is told and when what it gives is done; runs and shows none itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from lora_chat.chat.conversation import Status
from lora_chat.errors import RefusedError
from lora_chat.plugins.command_api import CommandCall, Say, Write
from lora_chat.plugins.commands import PluginCommand, commands
from lora_chat.plugins.manager import Plugins
from lora_chat.plugins.plain import saved
from lora_chat.plugins.registrars import SavedConversation

if TYPE_CHECKING:
    from lora_chat.sitting.commands import Command
    from lora_chat.sitting.sitting import Sitting


@dataclass(frozen=True)
class Errand:
    """One call of one command, which a face has run beside the chat or waits for."""

    command: PluginCommand
    call: CommandCall

    @property
    def title(self) -> str:
        """What was typed: ``/wordcount``."""
        return f"/{self.command.name}"

    def run(
        self, cancel: threading.Event, show: Callable[[str], object], note: Callable[[str], object]
    ) -> Write | Say | None:
        """Run it until it ends or ``cancel`` is set; ``show`` is given each text as it comes.

        ``note`` is given a sentence where it was stopped, or ended without anything that a person could see.

        Returns what is to be done at the end, for ``settle``; nothing where it was stopped.

        Raises:
            RefusedError: see ``PluginCommand.run``; what was shown until then stays.
        """
        last, seen = None, False
        for piece in self.command.run(self.call, cancel):
            if isinstance(piece, str):
                seen = seen or bool(piece.strip())
                show(piece)
            else:
                last = piece
        if cancel.is_set():
            note(f"{self.title} is stopped.")
            return None
        if last is None and not seen:
            note(f"{self.title} has run and said nothing.")
        return last

    def settle(self, sitting: Sitting, last: Write | Say) -> None:
        """Write into the prompt, or say, what the command gave last.

        What cannot be said here and now stands in the prompt.

        Raises:
            RefusedError: an answer is being made, or the person has gone on to another conversation.
        """
        if isinstance(last, Write):
            sitting.face.write(last.text)
            return
        sitting.refresh()
        try:
            sitting.face.check_idle()
            if self.call.conversation.id != (sitting.conversation.id if sitting.conversation else ""):
                raise RefusedError(
                    f"What {self.title} wanted to say stands in the prompt: it is of another conversation."
                )
        except RefusedError:
            sitting.face.write(last.text)
            raise
        sitting.say(last.text)


def plugin_commands(plugins: Plugins) -> list[Command]:
    """What the enabled plugins add to the one table, in whose place none of them stands."""
    from lora_chat.sitting.commands import Command

    return [
        Command(each.name, each.offer.arguments, each.told, partial(_run, each), group="Plugins")
        for each in commands(plugins, own_names())
    ]


def own_names() -> set[str]:
    """First words that are lora-chat's."""
    from lora_chat.sitting.commands import COMMANDS

    return {each.noun for each in COMMANDS}


def _run(command: PluginCommand, sitting: Sitting, text: str) -> None:
    """Have a command of a plugin run."""
    name = sitting.wearing.name if sitting.wearing is not None else None
    sitting.face.work(Errand(command, CommandCall(text, _at_hand(sitting), sitting.answerer.name, name)))


def _at_hand(sitting: Sitting) -> SavedConversation:
    current = sitting.conversation
    if current is None:
        return SavedConversation("", "", "", 0.0, ())
    written = [each for each in sitting.branch() if each.content.strip() and each.status is not Status.STREAMING]
    return saved(current, written)
