"""The engine process. Owns its side of the pipe; started by ``engine/process.py`` and by nobody else.

Whatever a native library prints must never reach the screen or the protocol, so the two protocol descriptors are
taken away from 0 and 1 before anything heavy is imported. End of file on the pipe means that the program is gone: the
process then ends at once, mid-training or not.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from lora_chat.engine import wire
from lora_chat.engine.protocol import Engine
from lora_chat.errors import LoraChatError

Opens = Callable[[wire.Setup], Engine]
"""Makes the engine, at the first call."""


def _open_local(setup: wire.Setup) -> Engine:
    from lora_chat.engine.factory import open_local

    assert setup.base is not None
    assert setup.kept is not None
    return open_local(setup.base, setup.kept, setup.precision)


def main(opens: Opens = _open_local, closing_s: float = 0.0) -> None:
    """Serve calls until the pipe closes; the engine then has ``closing_s`` to close, by default none."""
    incoming, outgoing = _take_protocol()
    setup = wire.read_setup(incoming.readline())
    worker = _Worker(setup, outgoing, opens)
    for line in incoming:
        asked = wire.read_asked(line)
        match asked.call:
            case wire.Cancel():
                worker.cancel(asked.number)
            case wire.Stop():
                worker.stop(asked.number)
            case wire.Pause(paused):
                worker.pause(asked.number, paused)
            case call:
                worker.start(asked.number, call, cancelled=asked.cancelled)
    if closing_s:
        worker.close(closing_s)
    # Not sys.exit: a native thread in the middle of a matrix product would keep the process for seconds.
    os._exit(0)


def _take_protocol() -> tuple[BinaryIO, BinaryIO]:
    incoming = os.fdopen(os.dup(0), "rb")
    outgoing = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return incoming, outgoing


@dataclass(frozen=True)
class _Wishes:
    """What the program may want of a call that runs."""

    cancel: threading.Event = field(default_factory=threading.Event)
    stop: threading.Event = field(default_factory=threading.Event)
    pause: threading.Event = field(default_factory=threading.Event)


class _Worker:
    """The engine and the calls that run on it, each on its own thread."""

    def __init__(self, setup: wire.Setup, outgoing: BinaryIO, opens: Opens) -> None:
        self._setup = setup
        self._opens = opens
        self._outgoing = outgoing
        self._writing = threading.Lock()
        self._making = threading.Lock()
        self._engine: Engine | None = None
        self._wishes: dict[int, _Wishes] = {}

    def start(self, number: int, call: wire.Call, *, cancelled: bool) -> None:
        """Answer ``call`` on a thread of its own."""
        wishes = self._wishes[number] = _Wishes()
        if cancelled:
            wishes.cancel.set()
        threading.Thread(target=self._answer, args=(number, call, wishes), name=f"call-{number}", daemon=True).start()

    def cancel(self, number: int) -> None:
        """End a call early; one that has ended is no matter."""
        if (wishes := self._wishes.get(number)) is not None:
            wishes.cancel.set()

    def stop(self, number: int) -> None:
        """End a training with a checkpoint; one that has ended is no matter."""
        if (wishes := self._wishes.get(number)) is not None:
            wishes.stop.set()

    def pause(self, number: int, paused: bool) -> None:
        """Let a training wait or go on; one that has ended is no matter."""
        if (wishes := self._wishes.get(number)) is not None:
            (wishes.pause.set if paused else wishes.pause.clear)()

    def _answer(self, number: int, call: wire.Call, wishes: _Wishes) -> None:
        try:
            self._run(number, call, wishes)
            self._send(wire.Told(number))
        except LoraChatError as error:  # a refusal may quote a message, and the log holds none
            self._send(wire.describe(number, error))
        except BaseException as error:  # sys.exit in a plugin too: whoever waits must hear of it
            import traceback

            traceback.print_exc()  # to the log; the person gets one sentence
            self._send(wire.describe(number, error))
        finally:
            self._wishes.pop(number, None)

    def _run(self, number: int, call: wire.Call, wishes: _Wishes) -> None:
        engine = self._open()
        match call:
            case wire.Load():
                self._send(wire.Told(number, engine.load()))
            case wire.ProbeAdapter(adapter):
                self._send(wire.Told(number, engine.probe(adapter)))
            case wire.CountTokens(messages, continues):
                self._send(wire.Told(number, engine.count_tokens(messages, continues=continues)))
            case wire.Generate(request):
                for chunk in engine.generate(request, wishes.cancel):
                    self._send(wire.Told(number, chunk))
            case wire.Prepare(messages, adapter):
                self._send(wire.Told(number, engine.prepare(messages, adapter, wishes.cancel)))
            case wire.Train(job):
                for event in engine.train(job, wishes.cancel, pause=wishes.pause, stop=wishes.stop):
                    self._send(wire.Told(number, event))

    def close(self, seconds: float) -> None:
        """Let the engine give back what it holds elsewhere, for ``seconds`` at most."""
        if (engine := self._engine) is not None:
            closing = threading.Thread(target=engine.close, name="close", daemon=True)
            closing.start()
            closing.join(seconds)

    def _open(self) -> Engine:
        with self._making:
            if self._engine is None:
                self._engine = self._opens(self._setup)
            return self._engine

    def _send(self, told: wire.Told) -> None:
        with self._writing:
            self._outgoing.write(wire.write(told))
            self._outgoing.flush()


if __name__ == "__main__":
    main()
