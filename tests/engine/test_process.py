"""The engine in a process of its own: it dies, is killed, is left behind, and the program lives on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from lora_chat.engine import process, wire
from lora_chat.engine.kept import Kept
from lora_chat.engine.process import ProcessEngine, engine_environment
from lora_chat.engine.protocol import Chunk, Request, TextChunk, Worn
from lora_chat.errors import EngineError
from lora_chat.models.installed import InstalledBase
from lora_chat.training.events import Cancelled
from tests.engine.conftest import (
    GREEDY,
    QUESTION,
    Follower,
    ask,
    is_one_sentence,
    make_job,
    text_of,
    user,
    wait_until,
)

posix = pytest.mark.skipif(os.name != "posix", reason="signals and process groups")


@pytest.fixture
def engine(tiny_llama: InstalledBase, kept: Kept, tmp_path: Path) -> Iterator[ProcessEngine]:
    engine = ProcessEngine(tiny_llama, kept, tmp_path / "logs")
    yield engine
    engine.close()


def start_child(engine: ProcessEngine) -> int:
    """The id of the engine's process, which has loaded nothing yet."""
    engine._running()
    assert engine.pid is not None
    return engine.pid


def state_of(engine: ProcessEngine) -> tuple[str, int | None]:
    return engine.state, engine.pid


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@posix
def test_a_child_killed_in_a_reply_leaves_what_it_said_a_sentence_and_room_for_another(engine: ProcessEngine) -> None:
    assert state_of(engine) == ("stopped", None)
    engine.load()
    _, first = state_of(engine)
    assert first is not None
    whole = ask(engine)
    chunks: list[Chunk] = []
    reply = engine.generate(Request(user(QUESTION), None, GREEDY))
    chunks.append(next(reply))
    os.kill(first, signal.SIGSTOP)  # what it has said by now is all there is
    os.kill(first, signal.SIGKILL)
    with pytest.raises(EngineError, match=r"killed by SIGKILL.*engine\.log") as caught:
        chunks.extend(reply)
    assert is_one_sentence(caught.value)
    assert all(isinstance(chunk, TextChunk) for chunk in chunks)
    assert whole.startswith(text_of(iter(chunks)))
    assert text_of(iter(chunks)) != ""
    assert state_of(engine) == ("died", None)
    assert ask(engine) == whole
    state, second = state_of(engine)
    assert state == "running"
    assert second not in (None, first)
    engine.close()
    assert state_of(engine) == ("closed", None)


@posix
def test_leaving_a_reply_waits_until_the_child_has_ended_it(engine: ProcessEngine) -> None:
    reply = engine.generate(Request(user(QUESTION), None, replace(GREEDY, max_tokens=400)))
    next(reply)
    pid = engine.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    leaving = threading.Thread(target=reply.close)  # type: ignore[attr-defined]
    leaving.start()
    leaving.join(0.3)
    assert leaving.is_alive()
    os.kill(pid, signal.SIGCONT)
    leaving.join(10)
    assert not leaving.is_alive()


def test_a_paused_training_takes_no_cpu_keeps_its_memory_and_goes_on(engine: ProcessEngine, tmp_path: Path) -> None:
    pause, cancel = threading.Event(), threading.Event()
    training = Follower(engine.train(make_job(tmp_path, max_steps=100_000), cancel, pause=pause))
    wait_until(lambda: training.steps > 2)
    child = psutil.Process(engine.pid)
    for _ in range(2):
        pause.set()
        time.sleep(0.5)  # a computing library's threads spin for 200 ms before they sleep
        made, used, held = training.steps, sum(child.cpu_times()[:2]), child.memory_info().rss
        time.sleep(0.5)
        assert training.steps == made
        assert sum(child.cpu_times()[:2]) - used < 0.1
        assert child.memory_info().rss > 0.9 * held
        pause.clear()
        wait_until(lambda made=made: training.steps > made + 2)  # type: ignore[misc]
    cancel.set()
    assert isinstance(training.join(), Cancelled)


@posix
def test_every_call_that_waits_for_a_child_hears_of_its_death(engine: ProcessEngine) -> None:
    from concurrent.futures import ThreadPoolExecutor

    pid = start_child(engine)
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(3) as pool:
        calls = (engine.load, lambda: ask(engine), lambda: engine.count_tokens(user("Hello")))
        waiting = [pool.submit(call) for call in calls]
        wait_until(lambda: engine._child is not None and len(engine._child._answers) == 3)
        os.kill(pid, signal.SIGKILL)
        for call in waiting:
            with pytest.raises(EngineError, match="SIGKILL"):
                call.result(20)


@posix
def test_closing_ends_the_child_and_one_that_hangs_is_killed(
    engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_GRACE_S", 0.3)
    pid = start_child(engine)
    os.kill(pid, signal.SIGSTOP)
    engine.close()
    assert gone(pid)


@posix
def test_the_child_ends_when_the_program_is_killed(tiny_llama: InstalledBase, kept: Kept, tmp_path: Path) -> None:
    setup = wire.write(wire.Setup(tiny_llama, kept)).decode()
    program = f"""
import sys
from pathlib import Path
from lora_chat.engine import wire
from lora_chat.engine.process import ProcessEngine
from tests.engine.conftest import GREEDY, QUESTION, user
from lora_chat.engine.protocol import Request
from dataclasses import replace

setup = wire.read_setup({setup!r}.encode())
engine = ProcessEngine(setup.base, setup.kept, Path({str(tmp_path)!r}))
for chunk in engine.generate(Request(user(QUESTION), None, replace(GREEDY, max_tokens=400))):
    print(engine.pid, flush=True)
    sys.stdin.readline()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())  # it is in the middle of a reply
        assert psutil.pid_exists(child)
        parent.kill()
    wait_until(lambda: gone(child))


@posix
def test_ctrl_c_in_the_terminal_does_not_reach_the_child(tiny_llama: InstalledBase, kept: Kept, tmp_path: Path) -> None:
    setup = wire.write(wire.Setup(tiny_llama, kept)).decode()
    program = f"""
import signal, sys, time
from pathlib import Path
from lora_chat.engine import wire
from lora_chat.engine.process import ProcessEngine

interrupts = []
signal.signal(signal.SIGINT, lambda *_: interrupts.append(1))
setup = wire.read_setup({setup!r}.encode())
engine = ProcessEngine(setup.base, setup.kept, Path({str(tmp_path)!r}))
engine._running()
print("ready", flush=True)
while not interrupts:
    time.sleep(0.01)
time.sleep(0.2)
print(engine.state, flush=True)
engine.close()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=Path(__file__).parents[2],
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        os.killpg(parent.pid, signal.SIGINT)
        assert parent.stdout.readline() == "running\n"


NOISY = """
import os, sys
os.write(1, b"native one\\n")
os.write(2, b"native two\\n")
print("python one")
print("python two", file=sys.stderr)
"""


def test_what_the_child_prints_goes_to_the_log_and_no_message_text_does(
    engine: ProcessEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    noisy = tmp_path / "noisy"
    noisy.mkdir()
    # Native libraries print while torch is imported, which is after the protocol was taken away from fd 1.
    (noisy / "torch.py").write_text(NOISY + "raise ImportError('no torch here')\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(noisy), os.environ.get("PYTHONPATH", "")]))
    with pytest.raises(EngineError, match="no torch here") as caught:
        ask(engine, "my secret question")
    assert is_one_sentence(caught.value)
    engine.close()
    assert capfd.readouterr() == ("", "")
    log = tmp_path / "logs" / "engine.log"
    said = log.read_text()
    assert all(f"{who} {number}" in said for who in ("native", "python") for number in ("one", "two"))
    assert "Traceback" in said
    assert "secret" not in said
    if os.name == "posix":
        assert log.stat().st_mode & 0o777 == 0o600
        assert log.parent.stat().st_mode & 0o777 == 0o700


def test_a_refusal_that_quotes_a_message_stays_out_of_the_log(engine: ProcessEngine, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="my-secret"):
        engine.probe(Worn("my-secret-adapter", tmp_path / "nowhere", "0" * 64))
    engine.close()
    assert "my-secret" not in (tmp_path / "logs" / "engine.log").read_text()


def test_a_log_that_grew_too_long_begins_anew(engine: ProcessEngine, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "engine.log"
    log.parent.mkdir()
    log.write_bytes(b"x" * (process._LARGEST_LOG + 1))
    start_child(engine)
    engine.close()
    assert log.stat().st_size < 1000


def test_a_module_that_lies_in_the_persons_folder_is_not_imported(
    engine: ProcessEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('planted')")
    monkeypatch.chdir(tmp_path)
    start_child(engine)
    engine.close()  # which waits for its end
    assert "planted" not in (tmp_path / "logs" / "engine.log").read_text()


def test_a_child_that_speaks_another_language_is_ended_and_nobody_waits_for_it(
    engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    babble = [sys.executable, "-c", "import time; print('good day', flush=True); time.sleep(60)"]

    def spawn(*_: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(babble, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    monkeypatch.setattr(process, "_spawn", spawn)
    with pytest.raises(EngineError) as caught:
        engine.load()
    assert is_one_sentence(caught.value)


def test_the_child_is_offline_and_sends_nothing() -> None:
    given = {"PATH": "/bin", "HF_HUB_OFFLINE": "0", "GOMP_SPINCOUNT": "5"}
    found = engine_environment(given)
    for name in (
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "HF_DATASETS_OFFLINE",
        "HF_HUB_DISABLE_TELEMETRY",
        "DO_NOT_TRACK",
        "PYTHONUTF8",
    ):
        assert found[name] == "1", name
    assert found["TOKENIZERS_PARALLELISM"] == "false"
    assert found["PATH"] == "/bin"
    assert found["GOMP_SPINCOUNT"] == "5"  # the person's own choice
    assert found["KMP_BLOCKTIME"] == "1"  # or threads of a training stand in a reply's way
    assert given["HF_HUB_OFFLINE"] == "0"  # not changed in place


def test_intel_openmp_is_preloaded_once_where_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_intel_openmp", lambda: Path("/lib/libiomp5.so"))
    once = engine_environment({"LD_PRELOAD": "/lib/other.so"})
    assert once["LD_PRELOAD"] == "/lib/libiomp5.so /lib/other.so"
    assert engine_environment(once)["LD_PRELOAD"] == once["LD_PRELOAD"]
    monkeypatch.setattr(process, "_intel_openmp", lambda: None)
    assert "LD_PRELOAD" not in engine_environment({})


def test_a_ctrl_c_while_torch_is_imported_waits_for_it() -> None:
    from lora_chat.engine.factory import ctrl_c_waits

    reached = []

    def interrupted() -> None:
        with ctrl_c_waits():
            signal.raise_signal(signal.SIGINT)
            reached.append("the end")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert reached == ["the end"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
