"""The adapters that this program let a vLLM server hold. Owns bringing, proving and taking them back.

Each has the name of its content, so that a changed adapter is another one, and two programs share what they both bring.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lora_chat.plugins.engine_api import EngineError, LoraChatError, NotFoundError, RefusedError, Worn, clean_line

from .answer import Answer
from .client import CHAT, Client
from .copies import Copies, seen_there, told
from .exchange import Cancelled
from .proof import Scores, measured, question, scores_in
from .settings import Settings
from .shelf import Checked, Shelf, digest

_LOADING_S = 300.0
_LEAVING_S = 5.0
_POLL_S = 0.05
_UNSEEN = ("no adapter found", "no such file", "adapter_config.json")
_OTHER_BASE = ("target modules", "shape", "size mismatch", "does not match", "dimension")
"""What vLLM's words have in common where an adapter's folder is not there, or its weights do not fit."""
_ODD = re.compile(r"[^A-Za-z0-9._]+")


Parts = list[tuple[Worn, Checked]]
"""What is worn together, each with what is known of it."""


@dataclass
class Entry:
    """One adapter on the server."""

    name: str
    """Under which it is asked for."""
    is_ours: bool
    """Whether this program brought it; another's stays."""
    copy: Path | None
    """What was written for it here."""
    effect: float = 0.0
    """Measured when it was brought."""
    users: int = 0


class Loaded:
    """What is there, the one worn longest ago first. Safe from several threads."""

    def __init__(self, client: Client, base: str, settings: Settings, shelf: Shelf) -> None:
        """``base`` is the base model's name on the server."""
        self._client = client
        self._base = base
        self._settings = settings
        self._shelf = shelf
        self._copies = Copies(settings)
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._unsure: dict[str, Entry] = {}
        """What was no longer wanted while it was brought: it may be there."""
        self._lock = threading.Lock()
        self._bringing = threading.Lock()

    @contextmanager
    def holding(self, worn: Worn, cancel: threading.Event | None) -> Iterator[Entry | None]:
        """``worn`` on the server as long as this lasts; None where it comes to the base alone.

        Raises:
            NotFoundError: its folder is gone, here or for the server.
            RefusedError: it does not fit, or the server takes no such adapter.
            EngineError: the server holds none, or answers as the base all the same.
            Cancelled: ``cancel`` was set.
        """
        checked = [(each, self._shelf.check(each)) for each in worn.all]
        parts = [(each, found) for each, found in checked if each.scale]
        if not parts:
            yield None
            return
        entry = self._taken(f"lora-chat-{_plain(worn.name)}-{digest(parts)}", parts, cancel)
        try:
            yield entry
        finally:
            with self._lock:
                entry.users -= 1

    def forget(self, name: str) -> None:
        """The server no longer has it."""
        with self._lock:
            entry = self._entries.pop(name, None)
        if entry is not None and entry.copy is not None:
            self._copies.remove(entry.copy)

    def close(self) -> None:
        """Take back what was brought, as far as the server still answers."""
        with self._lock:
            entries = [*self._entries.values(), *self._unsure.values()]
            self._entries.clear()
            self._unsure.clear()
        answers = True
        for entry in entries:
            answers = self._drop(entry, tell=answers)
        self._copies.close()

    def _taken(self, name: str, parts: Parts, cancel: threading.Event | None) -> Entry:
        if (entry := self._known(name)) is not None:
            return entry
        while not self._bringing.acquire(timeout=_POLL_S):
            if cancel is not None and cancel.is_set():
                raise Cancelled
        try:
            if (entry := self._known(name)) is not None:
                return entry
            self._make_room()
            entry = self._brought(name, parts, cancel)
            with self._lock:
                entry.users += 1
                self._entries[name] = entry
            return entry
        finally:
            self._bringing.release()

    def _known(self, name: str) -> Entry | None:
        with self._lock:
            entry = self._entries.get(name)
            if entry is not None:
                self._entries.move_to_end(name)
                entry.users += 1
            return entry

    def _make_room(self) -> None:
        """Those that are being worn stay, even if they are too many."""
        with self._lock:
            ours = [each for each in self._entries.values() if each.is_ours]
            idle = [each for each in ours if not each.users]
            leaving = idle[: max(0, len(ours) + 1 - self._settings.max_loaded)]
            for entry in leaving:
                del self._entries[entry.name]
        for entry in leaving:
            self._drop(entry)

    def _drop(self, entry: Entry, *, tell: bool = True) -> bool:
        """Take one back; whether the server answered."""
        answered = True
        if entry.is_ours and tell:
            body = {"lora_name": entry.name}
            try:  # also of an engine that was closed meanwhile; what the server keeps all the same is its own matter
                self._client.reopened().ask("POST", "/unload_lora_adapter", body, seconds=_LEAVING_S)
            except (LoraChatError, Cancelled):
                answered = False
        if entry.copy is not None:
            self._copies.remove(entry.copy)
        return answered

    def _brought(self, name: str, parts: Parts, cancel: threading.Event | None) -> Entry:
        (first, checked), *others = parts
        copy = None
        if others or first.scale != 1.0 or not checked.plain:
            copy = self._copies.write(name, [(self._shelf.files(each), each.scale) for each, _ in parts])
        path = seen_there(copy or first.folder, self._settings.adapters_at)
        with self._lock:
            before = self._unsure.pop(name, None)
        entry = Entry(name, False, copy)
        try:
            body = {"lora_name": name, "lora_path": path}
            answer = self._client.ask("POST", "/load_lora_adapter", body, cancel=cancel, seconds=_LOADING_S)
            entry.is_ours = answer.ok or before is not None
            if not answer.ok and not answer.says("already", "loaded"):
                raise self._refused(answer, first.name, path)
            if not all(each.changes_nothing for _, each in parts):
                entry.effect = self._proved(name, first.name, cancel)
        except Cancelled:  # the server may be loading it still
            entry.is_ours = True
            with self._lock:
                self._unsure[name] = entry
            raise
        except BaseException:
            self._drop(entry)
            raise
        return entry

    def _proved(self, name: str, called: str, cancel: threading.Event | None) -> float:
        """What it changes, once the server is seen to wear it."""

        def scores(model: str, prompt: str) -> Scores:
            body = question(prompt) | {"model": model}
            seconds = self._settings.first_seconds
            answer = self._client.ask("POST", CHAT, body, cancel=cancel, seconds=seconds)
            return scores_in(answer, self._client.address.place)

        found = measured(lambda prompt: scores(self._base, prompt), lambda prompt: scores(name, prompt))
        place = self._client.address.place
        if not found.finite:
            raise EngineError(
                f"The server at {place} computes no numbers with {_named(called)}: take it off, and look at the "
                "server's log."
            )
        if not found.effect:
            raise EngineError(
                f"The server at {place} says that it loaded {_named(called)} and answers as the "
                "base without it (vllm-project/vllm#34186): take it off, or export it by `lora-chat adapter export` "
                "and look at the server's log."
            )
        return found.effect

    def _refused(self, answer: Answer, called: str, path: str) -> LoraChatError:
        """vLLM's words as one sentence that says what to do."""
        server, name = f"the server at {self._client.address.place}", _named(called)
        if answer.says("rank", "max_lora_rank") or answer.says("rank", "greater than"):
            return RefusedError(
                f"The rank of {name} is too high for {server} ({answer.told}): start it with a higher --max-lora-rank."
            )
        if any(answer.says(each) for each in _UNSEEN):
            return NotFoundError(
                f"The folder of {name} is not seen by {server} at {told(path)}: let it see that folder, or write the "
                "path it has there into adapters_at below [remote]."
            )
        if answer.status in (404, 405) or answer.says("not enabled") or answer.says("enable_lora"):
            return EngineError(
                f"No adapters are taken by {server} while it runs ({answer.told}): start it with --enable-lora and "
                "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True."
            )
        if any(answer.says(each) for each in _OTHER_BASE):
            return RefusedError(
                f"The base that {name} was made for is not that of {server} ({answer.told}): take it off or ask a "
                "server that has it."
            )
        return RefusedError(f"Refused by {server}: {name} ({answer.told}); take it off, and look at the server's log.")


def _plain(name: str) -> str:
    return _ODD.sub("-", name).strip("-")[:60] or "adapter"


def _named(name: str) -> str:
    return f'the adapter "{clean_line(name, 60)}"'
