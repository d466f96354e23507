"""``lora-chat doctor`` on who answers: the plugin, its settings and its server, in the words of the chat."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lora_chat.cli import answering
from lora_chat.paths import Paths
from tests.cli.conftest import Run, kept, run, same_environment, tiny, tiny_home, trained, worn
from tests.plugins.test_engines import served, settle
from tests.remote.conftest import serve
from tests.remote.fake_model import WINDOW
from tests.remote.fake_server import FakeServer
from tests.remote.faults import stalls

__all__ = ["kept", "run", "same_environment", "serve", "served", "tiny", "tiny_home", "trained", "worn"]

SECRET = "sk-very-secret-0123456789"


def looked(run: Run) -> dict[str, tuple[str, str]]:
    """What is said of the engine, by its name: the verdict, and the words."""
    checks: list[dict[str, Any]] = json.loads(run("doctor", "--json").out)["checks"]
    return {each["name"]: (each["verdict"], each["says"]) for each in checks if each["name"].startswith("engine")}


def test_this_machine_is_named_where_it_answers(run: Run, tiny: Paths) -> None:
    assert looked(run) == {"engine": ("ok", "local: this machine answers")}


def test_a_server_that_answers_is_told_with_what_it_has(served: FakeServer, run: Run) -> None:
    assert looked(run) == {
        "engine": ("ok", "openai, by the plugin remote, is chosen"),
        "engine openai": (
            "ok",
            f"tiny-llama at {served.place}, {WINDOW:,} tokens, asked over the network, vllm",
        ),
    }
    assert [each.path for each in served.asked] == ["/v1/models"]


def test_one_that_nobody_answers_at_is_a_problem(served: FakeServer, run: Run, tiny: Paths) -> None:
    settle(tiny, "http://127.0.0.1:9/v1")
    verdict, says = looked(run)["engine openai"]
    assert verdict == "problem"
    assert says.startswith("Nobody answers at 127.0.0.1:9")
    assert run("doctor").code == 4


def test_one_that_says_nothing_is_waited_for_a_short_while(
    served: FakeServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.instead("/v1/models", *[stalls] * 3)
    monkeypatch.setattr(answering, "LONGEST_S", 1.0)
    assert looked(run)["engine openai"] == (
        "problem",
        "openai does not answer within 1 seconds: start its server, or correct [remote].",
    )


def test_the_key_is_in_nothing_that_it_says(served: FakeServer, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    served.key = SECRET
    verdict, says = looked(run)["engine openai"]
    assert (verdict, "put its key into VLLM_API_KEY" in says) == ("problem", True)
    monkeypatch.setenv("VLLM_API_KEY", SECRET)
    assert looked(run)["engine openai"][0] == "ok"
    served.instead("/v1/models", lambda talk, _: talk.text(f"no, {SECRET}!", 500, "text/plain"))
    done = run("doctor")
    assert done.code == 4
    assert "is not ready" in done.out
    assert SECRET not in done.out + done.err


@pytest.mark.parametrize(
    "more", ["stall_second = 3\n", 'dialect = "ollama"\n', f'api_key = "{SECRET}"\n', "[remot]\nx = 1\n", "model = 3\n"]
)
def test_a_wrong_setting_is_told_as_in_the_chat(served: FakeServer, run: Run, tiny: Paths, more: str) -> None:
    settle(tiny, served.url, more)
    verdict, says = looked(run)["engine openai"]
    assert verdict == "problem"
    assert says == run("ask", "Hello").sentence
    assert SECRET not in says
    assert served.asked == []


def test_a_plugin_that_does_not_run_is_told_and_not_asked(served: FakeServer, run: Run) -> None:
    run("plugin", "disable", "remote")
    found = looked(run)
    assert found.keys() == {"engine"}
    verdict, says = found["engine"]
    assert verdict == "problem"
    assert "`lora-chat plugin enable remote`" in says
    assert served.asked == []


def test_settings_that_cannot_be_read_say_nothing_of_who_answers(run: Run, tiny: Paths) -> None:
    tiny.config.write_text('temprature = 1\nengine = "openai"\n', encoding="utf-8")
    assert looked(run) == {}
