"""SIGTERM at the line chat: the first one ends it in order, whatever it waits for."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from lora_chat.paths import Paths
from lora_chat.training.shelf import list_jobs
from tests.cli.conftest import ASKED, WANTED, Kept, Run, command, environment

if sys.platform == "win32":
    pytest.skip("pseudo-terminals are POSIX", allow_module_level=True)

from tests.cli.test_terminal import Open, terminal
from tests.plugins.test_engines import served
from tests.remote.conftest import serve
from tests.remote.fake_server import FakeServer
from tests.remote.faults import stalls
from tests.terminal import Terminal

__all__ = ["serve", "served", "terminal"]


@contextmanager
def piped(home: Paths, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """One on pipes."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command(*words), env=environment(home), **pipes)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(so: Callable[[], bool], window: Terminal | None = None) -> None:
    deadline = time.monotonic() + 60
    while not so():
        assert time.monotonic() < deadline
        if window is not None:
            window._receive(0.05)
        else:
            time.sleep(0.05)


def test_a_training_beside_a_line_that_is_waited_for_is_kept(terminal: Open, tiny: Paths) -> None:
    window = terminal(delay=1.0)
    window.see("› ")
    window.type(f"{ASKED.split()[0]}\r")
    window.see("1 tokens")
    window.type(f"/edit {WANTED}\r")
    window.see("Kept as")
    window.type("/train from-history shop\r")
    window.see("Train shop? [Y/n]")
    window.type("\r")
    window.see("It trains beside the chat")
    window.see("› ")
    wait_for(lambda: [job.state.kind for job in list_jobs(tiny.training)] == ["running"], window)
    window.process.terminate()
    assert window.end() == -signal.SIGTERM
    assert "The training of shop is kept at step" in window.screen
    assert [job.state.kind for job in list_jobs(tiny.training)] == ["stopped"]


@pytest.mark.parametrize("path", ["/v1/models", "/tokenize", "/v1/chat/completions"])
def test_one_that_waits_for_a_server_ends_at_the_first(
    served: FakeServer,
    tiny: Paths,
    kept: Kept,
    path: str,
) -> None:
    import psutil  # type: ignore[import-untyped]

    served.instead(path, *[stalls] * 9)
    with piped(tiny, "--plain") as process:
        assert process.stdin is not None
        process.stdin.write(b"Hello\n")
        process.stdin.flush()
        wait_for(lambda: any(each.path == path for each in served.asked))
        engines = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        assert process.wait(20) == -signal.SIGTERM  # the server is waited for 30 s
        _, alive = psutil.wait_procs(engines, timeout=20)
        assert alive == []
    assert kept.branch()[0].content == "Hello"


def test_one_question_that_waits_for_a_server_ends_at_the_first_too(served: FakeServer, tiny: Paths) -> None:
    served.instead("/tokenize", *[stalls] * 9)
    with piped(tiny, "ask", "Hello") as process:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
        wait_for(lambda: any(each.path == "/tokenize" for each in served.asked))
        process.terminate()
        assert process.wait(20) == -signal.SIGTERM


def test_one_that_waits_for_a_line_closes_what_is_open(
    served: FakeServer,
    terminal: Open,
    run: Run,
    worn: str,
    tiny: Paths,
) -> None:
    window = terminal("-a", worn, "--plain")
    window.see("› ")
    window.type("Hello\r")
    window.see("tokens")
    window.see("› ")
    assert served.loaded != {}
    window.process.terminate()
    assert window.end() == -signal.SIGTERM
    assert served.loaded == {}


WAITS = """
import signal, sys
from lora_chat.cli.signals import ended_in_order
with ended_in_order():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # another thread is told: no wait of this one ends
    try:
        if sys.argv[1] == "edited":
            import readline
        input("waits › ")
    finally:
        print("put away")
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
"""


@pytest.mark.parametrize("how", ["edited", "plain"])
def test_one_that_the_wait_for_a_key_did_not_hear_is_heard(tiny: Paths, how: str) -> None:
    window = Terminal([sys.executable, "-c", WAITS, how], environment(tiny))
    try:
        window.see("waits › ")
        time.sleep(0.3)
        window.process.terminate()
        assert window.end() == -signal.SIGTERM
        assert "put away" in window.screen
    finally:
        window.close()
