"""The process of one plugin. Owns its side of the pipe; started by ``plugins/process`` and by nobody else.

A line of JSON asks for something: ``{"call": [kind, …]}``. Lines answer: ``{"item": …}`` as often as there is one,
``{"ask": [kind, …]}`` where the program must say something first, at last ``{"done": …}``, ``{"refused": sentence}`` or
``{"failed": reason}``. What the plugin prints goes to the log, never into the pipe. End of file ends the process.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from lora_chat.files import is_disk_full
from lora_chat.plugins.loading import Registered, load
from lora_chat.plugins.plain import (
    NO_SPACE,
    call_of_plain,
    example_of_plain,
    pieces_to_plain,
    progress_to_plain,
    saved_of_plain,
    transcript_to_plain,
)
from lora_chat.plugins.registrars import Refused, SavedConversation


def main() -> None:
    """Serve calls until the pipe closes."""
    pipe = _Pipe()
    begins = pipe.hear()
    plugin: Registered | None = None

    def start() -> Any:
        nonlocal plugin
        plugin = load(begins["name"], Path(begins["root"]), begins["module"])
        return plugin.offers().plain()

    pipe.answer(start)
    while plugin is not None:
        kind, *rest = pipe.hear()["call"]
        loaded = plugin
        pipe.answer(lambda: _CALLS[kind](pipe, loaded, *rest))  # noqa: B023 - called before the next turn
    os._exit(0)


class _Pipe:
    """The two protocol descriptors, taken away from 0 and 1 before the plugin is imported."""

    def __init__(self) -> None:
        incoming = os.fdopen(os.dup(0), "rb")
        self._outgoing = os.fdopen(os.dup(1), "wb")
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        self._heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=self._listen, args=(incoming,), daemon=True).start()
        if hasattr(os, "register_at_fork"):  # what a plugin forks must not speak for it
            os.register_at_fork(after_in_child=lambda: _put_away(self._outgoing, incoming))

    def _listen(self, incoming: BinaryIO) -> None:
        """Also while the plugin works, so that an endless loop ends with the program."""
        for line in incoming:
            self._heard.put(json.loads(line))
        os._exit(0)

    def hear(self) -> Any:
        """The next line from the program."""
        return self._heard.get()

    def say(self, **what: Any) -> None:
        """One line to the program."""
        self._outgoing.write(json.dumps(what).encode("ascii") + b"\n")
        self._outgoing.flush()

    def ask(self, kind: str, *rest: Any) -> Any:
        """Have the program answer something."""
        self.say(ask=[kind, *rest])
        return self.hear()["answer"]

    def answer(self, call: Callable[[], Any]) -> None:
        """Do ``call`` and say what came of it; what was printed is in the log by then."""
        try:
            end = {"done": call()}
        except Refused as no:
            end = {"refused": str(no)}
        except BaseException as error:  # SystemExit and KeyboardInterrupt are no way out either
            end = {"failed": told(error)}
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
        self.say(**end)


def _put_away(*files: BinaryIO) -> None:
    for file in files:
        os.close(file.fileno())


def told(error: BaseException) -> str:
    """What a plugin raised, in words."""
    if isinstance(error, SystemExit):
        return "it called sys.exit"
    import traceback

    steps = traceback.extract_tb(error.__traceback__)
    where = f"line {steps[-1].lineno} of {Path(steps[-1].filename).name}" if steps else "nowhere"
    if isinstance(error, SyntaxError):
        where = f"line {error.lineno} of {Path(error.filename or '').name}"
        return f"it is not valid Python: {error.msg} ({where})"
    return f"it raised {type(error).__name__}: {error} ({where})"


def _sniff(pipe: _Pipe, plugin: Registered, name: str, path: str) -> bool:
    return bool(plugin.importers.added[name].sniff(Path(path)))


def _read(pipe: _Pipe, plugin: Registered, name: str, path: str) -> None:
    for found in plugin.importers.added[name].read(Path(path)):
        pipe.say(item=transcript_to_plain(found))


def _write(pipe: _Pipe, plugin: Registered, name: str) -> None:
    def conversations() -> Iterator[SavedConversation]:
        while (plain := pipe.ask("next")) is not None:
            found = saved_of_plain(plain)
            assert found is not None
            yield found

    for piece in plugin.exporters.added[name].write(conversations()):
        if not isinstance(piece, str):
            raise TypeError(f"an exporter yields text, and this one a {type(piece).__name__}")
        pipe.say(item=piece)


def _run(pipe: _Pipe, plugin: Registered, name: str, call: Any) -> None:
    for piece in pieces_to_plain(plugin.commands.added[name].run(call_of_plain(call))):
        pipe.say(item=piece)


def _filter(pipe: _Pipe, plugin: Registered, name: str) -> None:
    keep = plugin.example_filters.added[name].keep
    while (plain := pipe.ask("next")) is not None:
        said = keep(example_of_plain(plain))
        if not isinstance(said, bool | str):
            raise TypeError(f"a filter answers True, False or a reason, and this one a {type(said).__name__}")
        pipe.say(item=said)


def _fetch(pipe: _Pipe, plugin: Registered, source: str, name: str, into: str) -> None:
    try:
        for said in plugin.model_sources.added[source].fetch(name, Path(into)) or ():
            pipe.say(item=progress_to_plain(said))
    except Exception as error:
        if not is_disk_full(error):
            raise
        raise Refused(NO_SPACE) from error  # which is no fault of the plugin


_CALLS: dict[str, Callable[..., Any]] = {
    "sniff": _sniff,
    "read": _read,
    "write": _write,
    "run": _run,
    "filter": _filter,
    "fetch": _fetch,
}


if __name__ == "__main__":
    main()
