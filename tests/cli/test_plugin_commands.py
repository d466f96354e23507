"""Commands of plugins as they are typed line by line."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lora_chat.chat.conversation import Role
from lora_chat.errors import RefusedError
from lora_chat.paths import Paths
from lora_chat.plugins import limits
from tests.cli.conftest import Kept, Run
from tests.plugins.conftest import BREAKS, TWO, Enable, state
from tests.plugins.conftest import enable as enable  # a fixture

Chat = Callable[..., tuple[str, str, int]]


@pytest.fixture
def chat(run: Run, says: dict[str, str]) -> Chat:
    def sit(*lines: str, safe: bool = False) -> tuple[str, str, int]:
        done = run("--plain", *(["--safe-mode"] if safe else []), stdin="".join(f"{line}\n" for line in lines))
        return done.out, done.err, done.code

    return sit


def test_on_a_pipe_its_text_is_an_answer(chat: Chat, enable: Enable) -> None:
    enable(TWO + "\nyield '\\x1b[2J' + call.text")
    out, err, code = chat("/set temperature 0", "hello", "/do x", "/help")
    assert out.splitlines()[1:4] == ["2 said", "hello hello", "[2Jx"]
    assert code == 0
    assert "  ".join(out.splitlines()[-1].split(None, 2)) == "/do  [TEXT]  helps, by the plugin doer"
    assert "\x1b" not in out + err


def test_on_a_pipe_what_it_says_is_answered_and_what_it_writes_is_shown_and_not_sent(
    chat: Chat,
    enable: Enable,
    kept: Kept,
) -> None:
    enable("return (Say if call.text else Write)('Good day')")
    out, err, code = chat("/set temperature 0", "/do", "/do now")
    assert out.splitlines() == ["Good day", "Good day"]
    assert "It was not sent: send it as it is, or in other words." in err
    assert "› Good day\n" in err  # else an answer would stand there to nobody knows what
    assert code == 0
    assert [(each.role, each.content) for each in kept.branch()] == [
        (Role.USER, "Good day"),
        (Role.ASSISTANT, "Good day"),
    ]


def test_on_a_pipe_one_that_gives_nothing_says_that_it_has_run(chat: Chat, enable: Enable) -> None:
    enable("return '  ' if call.text else None")
    _, err, code = chat("/do", "/do x")
    assert err.count("/do has run and said nothing.") == 2
    assert code == 0


@pytest.mark.parametrize(("body", "said"), BREAKS.items(), ids=range(len(BREAKS)))
def test_on_a_pipe_one_that_breaks_is_told_of_and_the_chat_goes_on(
    chat: Chat,
    enable: Enable,
    tiny: Paths,
    monkeypatch: pytest.MonkeyPatch,
    body: str,
    said: str,
) -> None:
    enable(body)
    if "no sign" in said:
        monkeypatch.setattr(limits, "STEP_S", 0.5)
    out, err, code = chat("/set temperature 0", "/do", "/do", "hello")
    assert out.splitlines()[-1] == "hello"
    assert "one\n" in out or "printed" in said  # which is looked for before what came
    assert f"✗ The plugin doer is switched off: {said}" in err
    assert "✗ /do is a command of the plugin doer, which does not run: it " in err
    assert code == RefusedError.exit_code
    assert state(tiny)[0] == "switched off"


def test_on_a_pipe_the_safe_mode_has_none(chat: Chat, enable: Enable) -> None:
    enable("return 'x'")
    out, err, code = chat("/do", "/help", safe=True)
    assert "and /do is of doer: start without it." in err
    assert "/do" not in out
    assert code == RefusedError.exit_code
