"""``lora-chat`` at a real terminal, line by line."""

from __future__ import annotations

import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lora_chat.paths import Paths
from lora_chat.training.shelf import list_jobs
from tests.cli.conftest import ASKED, WANTED, Kept, environment

if sys.platform == "win32":
    pytest.skip("pseudo-terminals are POSIX", allow_module_level=True)

from tests.plugins.conftest import HANGS, Enable, state
from tests.plugins.conftest import enable as enable  # a fixture
from tests.terminal import Terminal

SLOW = """
import sys
from lora_chat.cli import main
from lora_chat.engine.echo import EchoEngine
from lora_chat.services import Services
delay = float(sys.argv.pop())
Services.engine_beside = Services.engine_here = lambda self, base, precision=None: EchoEngine(base, delay=delay)
main()
"""
"""The program with the scripted engine, which takes its time for each word and each training step."""


Open = Callable[..., Terminal]


@pytest.fixture
def terminal(home: Paths) -> Iterator[Open]:
    opened: list[Terminal] = []

    def start(*words: str, delay: float | None = None, **more: str) -> Terminal:
        if not words or words[0].startswith("-"):
            words = ("--plain", *words)
        program = ["-m", "lora_chat", *words] if delay is None else ["-c", SLOW, *words, str(delay)]
        columns = int(more.pop("columns", 100))
        opened.append(Terminal([sys.executable, *program], environment(home, **({"TERM": "xterm"} | more)), columns))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


# The first run


@pytest.mark.parametrize("words", [[], ["ask", "Hello"]], ids=str)
def test_the_first_run_asks_once_what_and_how_big_and_no_is_respected(
    terminal: Open, home: Paths, words: list[str]
) -> None:
    window = terminal(*words)
    window.see("[Y/n]")
    for part in ("smollm2-135m", "93 MB to download", "Apache-2.0", "small model"):
        assert part in window.screen
    window.type("n\r")
    assert window.end() == 3
    assert window.screen.count("[Y/n]") == 1
    assert "lora-chat model pull smollm2-135m" in window.screen
    assert not home.models.exists()


@pytest.mark.parametrize(("key", "code"), [("\x04", 3), ("\x03", 130)], ids=["ctrl-d", "ctrl-c"])
def test_neither_ctrl_d_nor_ctrl_c_is_a_yes(terminal: Open, home: Paths, key: str, code: int) -> None:
    window = terminal()
    window.see("[Y/n]")
    window.type(key)
    assert window.end() == code
    assert not home.models.exists()


# The chat


def test_a_chat_from_greeting_to_quit_on_the_tiny_model(terminal: Open, worn: str, kept: Kept) -> None:
    window = terminal()
    window.see("/quit leaves.")
    window.see("tiny-llama › ")
    window.type("/set max_tokens 3\r")
    window.see("tiny-llama › ")
    window.type("/set temperature 0\r")
    window.see("tiny-llama › ")
    window.type("Who are you?\r")
    window.see("3 tokens", 60)
    window.see("tiny-llama › ")
    window.type("/adapter use shop=0.5\r")
    window.see("▎shop ×0.5 › ")
    window.type("And now?\r")
    window.see("3 tokens")
    window.type("/adapter off\r")
    window.see("tiny-llama › ")
    window.type("/quit\r")
    assert window.end() == 0
    assert [message.adapter for message in kept.branch()[1::2]] == [None, "shop"]


def test_up_brings_back_what_was_sent_in_an_earlier_session(terminal: Open, tiny: Paths, kept: Kept) -> None:
    pytest.importorskip("readline")
    for last in ("Who are you?\r", "\x1b[A\r"):
        window = terminal(delay=0)
        window.see("› ")
        window.type(last)
        window.see("tokens")
        window.see("› ")
        window.type("/quit\r")
        assert window.end() == 0
    assert [kept.branch(each.id)[0].content for each in kept.conversations] == ["Who are you?"] * 2


def test_a_refusal_at_a_terminal_does_not_spoil_the_exit_code(terminal: Open, tiny: Paths) -> None:
    window = terminal(delay=0)
    window.see("› ")
    window.type("/adapter use nobody\r")
    window.see("✗ There is no adapter")
    window.see("› ")
    window.type("\x04")
    assert window.end() == 0


def test_ctrl_c_stops_the_answer_keeps_the_partial_and_the_chat_goes_on(
    terminal: Open, tiny: Paths, kept: Kept
) -> None:
    window = terminal(delay=0.05)
    window.see("› ")
    window.type("/set temperature 0\r")
    window.see("› ")
    window.type(" ".join(f"word{n}" for n in range(200)) + "\r")
    window.see("\nword0 word1 ")
    window.interrupt()
    window.see("stopped")
    window.see("› ")
    window.type("Still there?\r")
    window.see("Still there?")
    window.see("\nStill there?")
    window.see("› ")
    window.type("/quit\r")
    assert window.end() == 0
    replies = kept.branch()[1::2]
    assert [reply.status for reply in replies] == ["stopped", "done"]
    assert replies[0].content.startswith("word0 word1")
    assert len(replies[0].content.split()) < 200


def test_two_ctrl_c_in_an_answer_and_three_at_the_prompt_leave_the_chat_running(
    terminal: Open, tiny: Paths, kept: Kept
) -> None:
    window = terminal(delay=0.2)
    window.see("› ")
    window.type(" ".join(f"word{n}" for n in range(200)) + "\r")
    window.interrupt(2)
    window.see("› ")
    window.interrupt()
    window.see("/quit leaves.")
    window.see("› ")
    window.interrupt(3)
    window.see("/quit leaves.")
    window.see("› ")
    window.type("/quit\r")
    assert window.end() == 0
    assert kept.branch()[-1].status == "stopped"


def test_half_a_line_is_given_up_by_ctrl_c_and_not_sent(terminal: Open, tiny: Paths, kept: Kept) -> None:
    window = terminal(delay=0)
    window.see("› ")
    window.type("never to be sent")
    window.see("never to be sent")
    window.interrupt()
    window.see("/quit leaves.")
    window.type("/quit\r")
    assert window.end() == 0
    assert not kept.conversations


def test_ctrl_d_leaves(terminal: Open, tiny: Paths) -> None:
    window = terminal(delay=0)
    window.see("› ")
    window.type("\x04")
    assert window.end() == 0
    assert window.screen.endswith("\r\n"), "the shell's prompt begins on a line of its own"


def test_leaving_while_training_asks_and_enter_alone_stays(terminal: Open, tiny: Paths) -> None:
    window = terminal(delay=1.0)
    window.see("› ")
    window.type(f"{ASKED.split()[0]}\r")
    window.see("1 tokens")
    window.type(f"/edit {WANTED}\r")
    window.see("Kept as")
    window.type("/train from-history shop\r")
    window.see("edited: ")
    window.see("Train shop? [Y/n]")
    window.type("\r")
    window.see("It trains beside the chat")
    window.see("› ")
    window.type("\x04")
    window.see("or stay? [pause/finish/stay]")
    window.type("\r")  # Enter alone loses nothing
    window.see("› ")
    window.type("/quit\r")
    window.see("or stay? [pause/finish/stay]")
    window.type("pause\r")
    assert window.end() == 0
    assert "The training of shop is kept at step" in window.screen
    assert not tiny.adapters.exists()
    assert [job.state.kind for job in list_jobs(tiny.training)] == ["stopped"]


def test_a_training_finished_is_told_at_the_next_prompt(terminal: Open, tiny: Paths) -> None:
    window = terminal(delay=0.01)
    window.see("› ")
    window.type("Hello\r")
    window.see("1 tokens")
    window.type("/edit Good day.\r")
    window.see("Kept as")
    window.type("/train from-history shop\r")
    window.see("edited: ")
    window.see("Train shop? [Y/n]")
    window.type("\r")
    window.see("It trains beside the chat")
    deadline = time.monotonic() + 60
    while not (tiny.lines / "shop" / "reports").exists():  # written when it has been examined
        assert time.monotonic() < deadline, "the training has not ended"
        time.sleep(0.1)
    time.sleep(1)
    window.type("\r")
    window.see("Wear it: /adapter use")
    window.type("/quit\r")
    assert window.end() == 0


def test_the_model_loads_while_the_first_message_is_written(terminal: Open, tiny: Paths) -> None:
    window = terminal()
    window.see("› ")
    deadline = time.monotonic() + 30
    while not (tiny.logs / "engine.log").exists():
        assert time.monotonic() < deadline, "the engine was not started before it was asked"
        time.sleep(0.05)
    window.type("/quit\r")
    assert window.end() == 0


def test_a_training_shows_what_it_does_from_the_first_second_and_keeps_words_whole(
    terminal: Open, tiny: Paths, examples: Path
) -> None:
    window = terminal("train", str(examples), "--name", "shop", "--effort", "light", columns="60")
    window.see("Train shop? [Y/n]")
    assert max(len(line) for line in window.screen.splitlines()) <= 60
    assert "\n            supervised\n" in window.screen.replace("\r", "")
    window.type("\r")
    window.see("Loading tiny-llama", 5)
    window.see("Training", 60)
    assert window.end() == 0


# Terminals that can little


@pytest.mark.parametrize(
    "more",
    [
        {"TERM": "dumb"},
        {"TERM": "nonsense"},
        {"columns": "20"},
        {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"NO_COLOR": "1"},
    ],
    ids=str,
)
def test_a_poor_terminal_is_enough(terminal: Open, tiny: Paths, examples: Path, more: dict[str, str]) -> None:
    window = terminal(delay=0, **more)
    window.see("/quit")
    window.type("Hello\r")
    window.see("1 tokens")
    window.type("/quit\r")
    assert window.end() == 0
    training = terminal("train", str(examples), "--name", "shop", delay=0, **more)
    training.see("[Y/n]")
    training.type("\r")
    assert training.end() == 0
    assert "trained and installed" in re.sub(r"\s+", " ", training.screen)


def test_a_terminal_that_can_draw_nothing_gets_lines_without_being_asked_to(home: Paths, tiny: Paths) -> None:
    window = Terminal([sys.executable, "-m", "lora_chat"], environment(home, TERM="dumb"))
    try:
        window.see("/quit leaves.")
        window.see("› ")
        window.type("/quit\r")
        assert window.end() == 0
        assert "\x1b[?1049h" not in window.screen
    finally:
        window.close()


def test_a_long_line_that_is_pasted_is_one_message(terminal: Open, tiny: Paths, kept: Kept) -> None:
    window = terminal(delay=0)
    window.see("› ")
    window.type("word" * 4096 + "\r")
    window.see("1 tokens", 60)
    window.type("/quit\r")
    assert window.end() == 0
    assert len(kept.branch()[0].content) == 4 * 4096


# The end of everything


def test_a_closed_window_ends_the_program_and_its_engine(terminal: Open, tiny: Paths, kept: Kept) -> None:
    import psutil  # type: ignore[import-untyped]

    window = terminal()
    window.see("› ")
    window.type("/set max_tokens 2\rHello\r")
    window.see("2 tokens", 60)
    engines = psutil.Process(window.process.pid).children(recursive=True)
    assert len(engines) == 1
    window.hang_up()
    window.process.wait(20)
    psutil.wait_procs(engines, timeout=20)
    assert not any(engine.is_running() for engine in engines)


def test_sigterm_ends_a_chat_in_the_middle_of_an_answer_and_keeps_it(terminal: Open, tiny: Paths, kept: Kept) -> None:
    window = terminal(delay=0.05)
    window.see("› ")
    window.type("/set temperature 0\r")
    window.see("› ")
    window.type(" ".join(f"word{n}" for n in range(200)) + "\r")
    window.see("\nword0 word1 ")
    window.process.terminate()
    assert window.end() == -signal.SIGTERM
    assert kept.branch()[-1].status == "stopped"


# Of a plugin


def test_what_a_plugins_command_writes_stands_in_the_next_line_and_is_sent_as_it_was_changed(
    terminal: Open, enable: Enable, kept: Kept
) -> None:
    enable("return Write(call.text)")
    window = terminal(delay=0.0)
    window.see("› ")
    window.type("/do Explain gravity.\r")
    window.see("› Explain gravity.")
    window.type(" Please.\r")
    window.see("Please.")
    window.see("› ")
    window.type("/quit\r")
    assert window.end() == 0
    assert kept.branch()[0].content.endswith("gravity. Please.")
    assert len(kept.branch()) == 2


def test_ctrl_c_stops_a_plugins_command_and_it_stays_on(
    terminal: Open, tiny: Paths, enable: Enable, kept: Kept
) -> None:
    enable(HANGS)
    window = terminal(delay=0.0)
    window.see("› ")
    window.type("/do\r")
    window.see("\none")
    window.interrupt()
    window.see("/do is stopped.")
    window.see("› ")
    window.type("/quit\r")
    assert window.end() == 0
    assert not kept.conversations
    assert state(tiny) == ("on", "")
