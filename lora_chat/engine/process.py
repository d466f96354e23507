"""The engine in a process of its own. Owns that process: spawning, speaking to it, noticing its death; never torch.

Importing torch, a native crash, the out-of-memory killer or a long hold of the interpreter lock then never freeze or
end the chat. A dead process fails the calls that waited for it; the next call starts another.
"""

from __future__ import annotations

import itertools
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from lora_chat.chat.conversation import Turn
from lora_chat.config import Precision
from lora_chat.engine import wire
from lora_chat.engine.kept import Kept
from lora_chat.engine.protocol import BaseInfo, Chunk, Finished, Probe, Request, TextChunk, Worn
from lora_chat.errors import EngineError
from lora_chat.models.installed import InstalledBase
from lora_chat.paths import make_private
from lora_chat.training.events import TrainingEvent

State = Literal["stopped", "running", "died", "closed"]
_Answer = TypeVar("_Answer")

_ONE_HEAP = ":".join(
    f"glibc.malloc.{name}={value}"
    for name, value in {
        "tcache_count": 0,
        "mxfast": 0,
        "arena_max": 1,
        "mmap_threshold": 32 << 20,
        "trim_threshold": 32 << 20,
    }.items()
)
"""For glibc's allocator, where that is the system's: one heap, in which every freed piece is joined to its neighbours.

By default the bytes that torch's alignment leaves over are kept apart, and nothing beside them can be joined: a
training step on 800 tokens took 1,090 to 1,340 MB, and 450 to 740 MB with this, in the same time. It gives memory back
in pieces of 32 MB: smaller ones cost a tenth of the speed.
"""

_LARGEST_LOG = 1 << 20
_GRACE_S = 2.0
_POLL_S = 0.02


@dataclass(frozen=True)
class Program:
    """What runs in the process."""

    module: str = "lora_chat.engine.worker"
    plugin: Callable[[], dict[str, Any]] = dict
    """What is to be known of the plugin whose engine it is; called before each start, and may refuse it."""
    closing_s: float = 0.0
    """How long the engine may take to close before its process ends."""


class ProcessEngine:
    """``Engine`` whose work happens in a spawned ``lora_chat.engine.worker``, or another ``Program``."""

    def __init__(
        self,
        base: InstalledBase | None,
        kept: Kept | None,
        logs: Path,
        precision: Precision = "auto",
        program: Program | None = None,
    ) -> None:
        """``base`` and ``kept`` may be None for a ``program`` that needs none."""
        self._setup = wire.Setup(base, kept, precision)
        self._program = program or Program()
        self._log = logs / "engine.log"
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._child: _Child | None = None
        self._closed = False

    @property
    def state(self) -> State:
        """What the engine process is doing; ``died`` until the next call starts another."""
        if self._closed:
            return "closed"
        if self._child is None:
            return "stopped"
        return "running" if self._child.alive else "died"

    @property
    def is_running(self) -> bool:
        """See ``Engine.is_running``."""
        return self.state == "running"

    @property
    def pid(self) -> int | None:
        """The engine process's id, for whoever watches its memory; None while there is none."""
        return self._child.process.pid if self._child is not None and self._child.alive else None

    def load(self) -> BaseInfo:
        """See ``Engine.load``."""
        return self._one(wire.Load(), BaseInfo)

    def generate(self, request: Request, cancel: threading.Event | None = None) -> Iterator[Chunk]:
        """See ``Engine.generate``."""
        for item in self._call(wire.Generate(request), cancel):
            assert isinstance(item, TextChunk | Finished)
            yield item

    def prepare(
        self, messages: tuple[Turn, ...], adapter: Worn | None = None, cancel: threading.Event | None = None
    ) -> int:
        """See ``Engine.prepare``; it starts no process."""
        if self.state in ("stopped", "died"):
            raise EngineError("The engine is not running: the next message starts it.")
        return self._one(wire.Prepare(messages, adapter), int, cancel)

    def probe(self, adapter: Worn) -> Probe:
        """See ``Engine.probe``."""
        return self._one(wire.ProbeAdapter(adapter), Probe)

    def count_tokens(self, messages: tuple[Turn, ...], *, continues: bool = False) -> int:
        """See ``Engine.count_tokens``."""
        return self._one(wire.CountTokens(messages, continues), int)

    def train(
        self,
        job: Path,
        cancel: threading.Event | None = None,
        *,
        pause: threading.Event | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[TrainingEvent]:
        """See ``Engine.train``."""
        for item in self._call(wire.Train(job), cancel, pause, stop):
            assert isinstance(item, TrainingEvent)
            yield item

    def close(self) -> None:
        """See ``Engine.close``."""
        with self._lock:
            self._closed = True
            if self._child is not None:
                self._child.end()

    def _one(self, call: wire.Call, kind: type[_Answer], cancel: threading.Event | None = None) -> _Answer:
        items = list(self._call(call, cancel))
        assert len(items) == 1
        assert isinstance(items[0], kind)
        return items[0]

    def _call(
        self,
        call: wire.Call,
        cancel: threading.Event | None,
        pause: threading.Event | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[wire.Item]:
        """Send one call and yield its items; leaving early ends it and waits for that, so nothing runs unseen."""
        child, number = self._running(), next(self._numbers)
        answers = child.ask(wire.Asked(number, call, cancelled=cancel is not None and cancel.is_set()))
        wishes = _Wishes(child, number, cancel, pause, stop)
        ended = False
        try:
            while True:
                try:
                    told = answers.get(timeout=wishes.pass_on())
                except queue.Empty:
                    continue
                if told.item is not None:
                    yield told.item
                    continue
                ended = True
                if told.error:
                    raise wire.raised(told)
                return
        finally:
            if not ended:
                child.send(wire.Asked(number, wire.Stop() if isinstance(call, wire.Train) else wire.Cancel()))
                _wait_for_end(answers)
            child.forget(number)

    def _running(self) -> _Child:
        with self._lock:
            if self._closed:
                raise EngineError("The engine was closed: start lora-chat again.")
            if self._child is None or not self._child.alive:
                setup = replace(self._setup, plugin=self._program.plugin())
                self._child = _Child(setup, self._log, self._program)
            return self._child


class _Child:
    """One engine process and the thread that reads what it says."""

    def __init__(self, setup: wire.Setup, log: Path, program: Program) -> None:
        self._log = log
        self._closing_s = program.closing_s
        self._sending = threading.Lock()
        self._answers: dict[int, queue.SimpleQueue[wire.Told]] = {}
        self._death: str = ""
        self.process = _spawn(log, program.module)
        threading.Thread(target=self._listen, name="engine-listener", daemon=True).start()
        self._write(wire.write(setup))

    @property
    def alive(self) -> bool:
        """Whether it can still be asked."""
        return not self._death and self.process.poll() is None

    def ask(self, asked: wire.Asked) -> queue.SimpleQueue[wire.Told]:
        """Send a call; its answers come through the queue, an error for a process that died included."""
        answers: queue.SimpleQueue[wire.Told] = queue.SimpleQueue()
        self._answers[asked.number] = answers
        if self._death or not self.send(asked):
            answers.put(wire.Told(asked.number, error=self._death or self._epitaph(), kind="EngineError"))
        return answers

    def forget(self, number: int) -> None:
        """What still comes for this call is nobody's."""
        self._answers.pop(number, None)

    def send(self, asked: wire.Asked) -> bool:
        """Write one line; False when nobody reads any more."""
        return self._write(wire.write(asked))

    def end(self) -> None:
        """Close the pipe, which ends the process; kill it if that takes too long."""
        assert self.process.stdin is not None
        with self._sending, suppress(OSError):  # it may be gone already
            self.process.stdin.close()
        try:
            self.process.wait(_GRACE_S + self._closing_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _write(self, line: bytes) -> bool:
        assert self.process.stdin is not None
        with self._sending:
            try:
                self.process.stdin.write(line)
                self.process.stdin.flush()
            except (OSError, ValueError):
                return False
        return True

    def _listen(self) -> None:
        assert self.process.stdout is not None
        try:
            for line in self.process.stdout:
                told = wire.read_told(line)
                if (answers := self._answers.get(told.number)) is not None:
                    answers.put(told)
        except ValueError:  # not our language: whatever runs there, nobody may wait for it
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self._death = self._epitaph()
        for number, answers in list(self._answers.items()):
            answers.put(wire.Told(number, error=self._death, kind="EngineError"))

    def _epitaph(self) -> str:
        code = self.process.poll()
        how = "has ended" if code is None or code >= 0 else f"was killed by {_signal_name(-code)}"
        if code == -getattr(signal, "SIGKILL", 9):
            how += ", perhaps for lack of memory"
        return f"The engine process {how}; it is started again when it is needed (its log: {self._log})."


class _Wishes:
    """What the program wants of one call that runs, passed on to the child whenever it changes."""

    def __init__(
        self,
        child: _Child,
        number: int,
        cancel: threading.Event | None,
        pause: threading.Event | None,
        stop: threading.Event | None,
    ) -> None:
        self._child = child
        self._number = number
        self._cancel = cancel
        self._pause = pause
        self._stop = stop
        self._cancelled = self._stopped = self._paused = False

    def pass_on(self) -> float | None:
        """Tell the child what changed; returns the seconds until the next look, None where nothing can change."""
        if self._cancelled:
            return None
        if self._cancel is not None and self._cancel.is_set():
            self._cancelled = True
            self._child.send(wire.Asked(self._number, wire.Cancel()))
            return None
        if not self._stopped and self._stop is not None and self._stop.is_set():
            self._stopped = True
            self._child.send(wire.Asked(self._number, wire.Stop()))
        if self._pause is not None and self._pause.is_set() != self._paused:
            self._paused = not self._paused
            self._child.send(wire.Asked(self._number, wire.Pause(self._paused)))
        return None if self._cancel is self._pause is self._stop is None else _POLL_S


def _wait_for_end(answers: queue.SimpleQueue[wire.Told]) -> None:
    with suppress(queue.Empty):  # a process that no longer answers must not hold up who leaves it
        while answers.get(timeout=_GRACE_S).item is not None:
            pass


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _spawn(log: Path, module: str) -> subprocess.Popen[bytes]:
    make_private(log.parent)
    fresh = log.exists() and log.stat().st_size > _LARGEST_LOG
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if fresh else os.O_APPEND), 0o600)
    try:
        return subprocess.Popen(
            # -P: a file called torch.py in the person's folder must not be imported.
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=descriptor,
            env=engine_environment(dict(os.environ)),
            # Ctrl-C in the terminal is for the program, which then cancels the reply; it must not hit the engine.
            start_new_session=os.name == "posix",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
    finally:
        os.close(descriptor)


def engine_environment(environ: dict[str, str]) -> dict[str, str]:
    """The engine's environment: offline, and with an OpenMP runtime that lets two threads compute side by side.

    With torch's own libgomp a reply beside a paused training took 1.5-1.7 times its time to the first token and
    1.7-2 times per token; with Intel's runtime preloaded 1.06 and 1.0 (measured, two cores). Its threads look for work
    for 200 ms after theirs is done: every other reply beside a training began 35 ms later (80 ms, 44 without one), and
    none where that is 1 ms. Without that package libgomp at least spins shorter: folding an adapter beside a busy
    process took 1 s instead of 11.6.
    """
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    silent = {"HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}
    environ = environ | offline | silent | {"TOKENIZERS_PARALLELISM": "false", "PYTHONUTF8": "1"}
    environ.setdefault("GOMP_SPINCOUNT", "10000")
    environ.setdefault("KMP_BLOCKTIME", "1")
    environ.setdefault("GLIBC_TUNABLES", _ONE_HEAP)
    runtime = _intel_openmp()
    if runtime is not None and "libiomp5" not in environ.get("LD_PRELOAD", ""):
        environ["LD_PRELOAD"] = " ".join(filter(None, [str(runtime), environ.get("LD_PRELOAD", "")]))
    return environ


def _intel_openmp() -> Path | None:
    """``libiomp5.so`` of the ``intel-openmp`` package, on Linux where that exists."""
    if not sys.platform.startswith("linux"):
        return None
    library = Path(sys.prefix) / "lib" / "libiomp5.so"
    return library if library.is_file() and " " not in str(library) else None
