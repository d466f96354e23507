"""Engines of plugins, through the settings as a person writes them: what ships on a fake server, and small ones."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lora_chat.chat.conversation import Status
from lora_chat.config import Config, load_config, save_settings
from lora_chat.engine.process import ProcessEngine
from lora_chat.errors import RefusedError
from lora_chat.paths import Paths
from lora_chat.plugins.engines import PluginEngine
from lora_chat.services import open_services
from lora_chat.sitting.plugins import taken
from tests.cli.conftest import (  # noqa: F401
    Kept,
    Run,
    kept,
    run,
    same_environment,
    tiny,
    tiny_home,
    trained,
    worn,
)
from tests.remote.conftest import serve  # noqa: F401
from tests.remote.fake_model import WINDOW
from tests.remote.fake_server import FakeServer
from tests.remote.faults import breaks_after
from tests.remote.loading import FOLDER
from tests.serve.conftest import start_server
from tests.tui.conftest import Tell, Window, calm, window  # noqa: F401

CHAT, LOAD, UNLOAD = "/v1/chat/completions", "/v1/load_lora_adapter", "/v1/unload_lora_adapter"
Serve = Callable[..., FakeServer]


def settle(home: Paths, url: str, more: str = "", engine: str = "openai") -> None:
    text = f'model = "tiny-llama"\nmax_tokens = 12\nengine = "{engine}"\n\n[remote]\nurl = "{url}"\nretries = 0\n{more}'
    home.config.write_text(text, encoding="utf-8")


@pytest.fixture
def served(tiny: Paths, serve: Serve, run: Run) -> FakeServer:  # noqa: F811
    """A vLLM that the settings name, and the shipped plugin enabled."""
    shutil.copytree(FOLDER, tiny.plugins / "remote", ignore=shutil.ignore_patterns("__pycache__"))
    server = serve()
    settle(tiny, server.url)
    done = run("plugin", "enable", "remote", "--yes")
    assert done.out == "remote is enabled: engine openai.\n"
    return server


def logged(home: Paths) -> str:
    return "".join(path.read_text("utf-8", "replace") for path in home.logs.glob("*.log"))


# Answers


def test_ask_is_answered_by_the_server_and_what_it_was_brought_is_taken_back(
    served: FakeServer,
    run: Run,  # noqa: F811
    worn: str,  # noqa: F811
    kept: Kept,  # noqa: F811
) -> None:
    said = run("ask", "Where is your shop?", "--json").json
    assert len(served.sent(CHAT)) == 1
    other = run("ask", "-a", worn, "Where is your shop?", "--json").json
    assert said["text"] != other["text"]
    [loaded] = served.sent(LOAD)
    assert served.sent(UNLOAD) == [{"lora_name": loaded["lora_name"]}]
    assert served.loaded == {}
    assert [message.content for message in kept.branch()] == ["Where is your shop?", other["text"]]


def test_a_file_of_questions_is_answered_by_the_server(
    served: FakeServer,
    run: Run,  # noqa: F811
    tmp_path: Path,
) -> None:
    (tmp_path / "asked.jsonl").write_text('{"prompt": "One?"}\n{"prompt": "Two?"}\n', encoding="utf-8")
    assert len(run("ask", "--batch", tmp_path / "asked.jsonl").events) == 2
    assert len(served.sent(CHAT)) == 2


def test_the_plain_chat_is_answered_by_the_server(served: FakeServer, run: Run) -> None:  # noqa: F811
    done = run("--plain", stdin="First\nSecond\n")
    assert done.code == 0
    first, second = served.sent(CHAT)
    assert [each["content"] for each in first["messages"]] == ["First"]
    assert [each["role"] for each in second["messages"]] == ["user", "assistant", "user"]


def test_the_key_arrives_and_is_in_no_log(
    served: FakeServer,
    run: Run,  # noqa: F811
    tiny: Paths,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served.key = "sk-very-secret-0123456789"
    refused = run("ask", "Hello")
    assert refused.code == 5
    assert "VLLM_API_KEY" in refused.sentence
    monkeypatch.setenv("VLLM_API_KEY", served.key)
    assert run("ask", "Hello").code == 0
    served.instead(CHAT, lambda talk, _: talk.text(f"no, {served.key}!", 500, "text/plain"))
    broken = run("ask", "Hello")
    assert broken.code != 0
    assert served.key not in logged(tiny) + broken.err + broken.out


def test_a_server_that_is_gone_in_the_middle_leaves_what_it_said(
    served: FakeServer,
    run: Run,  # noqa: F811
    kept: Kept,  # noqa: F811
) -> None:
    served.instead(CHAT, breaks_after("Half", " an answer"))
    done = run("ask", "Hello")
    assert done.code == 5
    assert "broke off in the middle of the answer" in done.sentence
    answer = kept.branch()[-1]
    assert (answer.content, answer.status) == ("Half an answer", Status.FAILED)


def test_the_window_of_the_server_is_the_conversations(served: FakeServer, tiny: Paths) -> None:  # noqa: F811
    with open_services() as services:
        from lora_chat.models.installed import find_base

        base = find_base(services.paths.models, "tiny-llama")
        session = services.session(services.engine_beside(base), base)
        assert session.told is not None
        assert session.answerer() == ("tiny-llama", WINDOW)
        assert served.sent(CHAT) == []


def test_a_window_is_answered_by_the_server_and_closes_what_it_brought(
    served: FakeServer,
    real_window: Tell,
    worn: str,  # noqa: F811
) -> None:

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("Hello")
        await w.write(f"/adapter use {worn}")
        await w.hear("Wearing shop")
        await w.answered("And now?")
        assert served.loaded != {}
        assert (w.app.chat.answer.status, w.app.chat.answer.adapter) == (Status.DONE, worn)  # type: ignore[union-attr]

    real_window(story)
    assert len([body for body in served.sent(CHAT) if body["stream"]]) == 2
    assert served.loaded == {}


@pytest.fixture
def real_window() -> Tell:
    """As ``window``, with the engine that the settings name."""
    import asyncio

    from lora_chat.tui.app import LoraChatApp

    def tell(story: Callable[[Window], object]) -> None:
        async def go() -> None:
            app = LoraChatApp()
            try:
                async with app.run_test(size=(100, 30), notifications=True) as pilot:
                    await story(Window(app, pilot))  # type: ignore[misc]
            finally:
                app.bridge.close()

        asyncio.run(go())

    return tell


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_serve_passes_on_and_takes_back_what_it_brought_however_it_ends(
    served: FakeServer,
    tiny: Paths,  # noqa: F811
    worn: str,  # noqa: F811
    number: int,
) -> None:
    started = start_server(tiny)
    try:
        started.see("^Ready: tiny-llama, asked over the network, vllm")
        client = started.client()
        names = [model.id for model in client.models.list()]
        for name in ("tiny-llama", next(each for each in names if worn in each)):
            done = client.chat.completions.create(model=name, messages=[{"role": "user", "content": "Hello"}])
            assert done.choices[0].message.content
        assert served.loaded != {}
        started.interrupt(number)
        started.end()
        until = time.monotonic() + 30
        while served.loaded and time.monotonic() < until:
            time.sleep(0.05)
        assert served.loaded == {}
    finally:
        started.process.kill()


def test_a_window_opens_without_it_and_answers_once_it_is_enabled(
    served: FakeServer,
    run: Run,  # noqa: F811
    real_window: Tell,
) -> None:
    run("plugin", "disable", "remote")

    async def story(w: Window) -> None:
        await w.ready()
        await w.hear('No enabled plugin has the engine "openai"')
        await w.write("Hello")
        await w.until(lambda: not w.app.bridge.replying)
        assert served.asked == []
        sitting = w.app.bridge.sitting
        assert sitting is not None
        sitting.services.plugins.enable("remote", lambda _: True, taken())
        w.prompt.write("")
        await w.answered("Hello again")
        await w.see(f"of {WINDOW} context")

    real_window(story)
    assert len(served.sent(CHAT)) == 1


# What forbids it


def test_one_that_is_not_enabled_is_a_sentence_that_says_how(
    served: FakeServer,
    run: Run,  # noqa: F811
    tiny: Paths,  # noqa: F811
) -> None:
    run("plugin", "disable", "remote")
    done = run("ask", "Hello")
    assert done.code == 4
    assert done.sentence.startswith('No enabled plugin has the engine "openai"')
    assert "`lora-chat plugin enable remote`" in done.sentence
    (tiny.plugins / ".enabled.json").unlink()
    assert "`lora-chat plugin enable remote`" in run("ask", "Hello").sentence
    assert "openai" in run("doctor").out
    assert served.asked == []


def test_changed_files_are_not_run(served: FakeServer, run: Run, tiny: Paths) -> None:  # noqa: F811
    with (tiny.plugins / "remote" / "reply.py").open("a", encoding="utf-8") as file:
        file.write("# another\n")
    done = run("ask", "Hello")
    assert done.code == 4
    assert "remote was changed, `lora-chat plugin enable remote`" in done.sentence
    assert served.asked == []


def test_the_safe_mode_runs_none(served: FakeServer, run: Run) -> None:  # noqa: F811
    done = run("ask", "--safe-mode", "Hello")
    assert done.code == 4
    assert "safe mode" in done.sentence
    assert 'engine = "local"' in done.sentence
    assert served.asked == []


def test_an_unknown_name_has_the_nearest(served: FakeServer, run: Run, tiny: Paths) -> None:  # noqa: F811
    settle(tiny, served.url, engine="opnai")
    assert "did you mean openai?" in run("ask", "Hello").sentence


def test_a_wrong_setting_and_a_table_that_nobody_reads_are_told(
    served: FakeServer,
    run: Run,  # noqa: F811
    tiny: Paths,  # noqa: F811
) -> None:
    settle(tiny, served.url, "stall_second = 3\n")
    assert 'Unknown setting "stall_second" below [remote]; did you mean stall_seconds?' in run("ask", "Hello").sentence
    settle(tiny, served.url, "[remot]\nx = 1\n")
    assert 'nobody reads the table "remot"' in run("ask", "Hello").sentence
    settle(tiny, served.url)
    assert "leave out --precision" in run("ask", "--precision", "int4", "Hello").sentence


def test_a_training_of_the_chat_is_this_machines_own_too(served: FakeServer, tiny: Paths) -> None:  # noqa: F811
    from lora_chat.models.installed import find_base

    with open_services() as services:
        base = find_base(services.paths.models, "tiny-llama")
        answers = services.engine_beside(base)
        trains = services.own_engine_beside(answers, base)
        assert isinstance(answers, PluginEngine)
        assert isinstance(trains, ProcessEngine)
        assert not isinstance(trains, PluginEngine)
        assert services.own_engine_beside(answers, base) is trains
        assert services.own_engine_beside(trains, base) is trains


def test_a_training_is_this_machines_own(
    served: FakeServer,
    run: Run,  # noqa: F811
    tiny: Paths,  # noqa: F811
    tmp_path: Path,
) -> None:
    rows = [{"prompt": "Where is your shop?", "response": "At 12 Harbour Street."}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = run("train", tmp_path / "rows.jsonl", "--name", "mine", "--yes")
    assert done.code == 0, done.err
    assert (tiny.adapters / "mine").is_dir()
    assert served.asked == []


# The settings


def test_the_table_stays_when_settings_are_saved(tiny: Paths) -> None:  # noqa: F811
    settle(tiny, "http://127.0.0.1:8000/v1", "[mine]\nx = 1\n", engine="mine")
    save_settings(tiny.config, theme="light")
    assert load_config(tiny.config) == Config(model="tiny-llama", max_tokens=12, engine="mine", theme="light")
    assert "[mine]\nx = 1" in tiny.config.read_text("utf-8")
    save_settings(tiny.config, model="other")
    assert "[remote]" in tiny.config.read_text("utf-8")


def test_without_an_engine_only_its_own_table_may_stand_there(tiny: Paths) -> None:  # noqa: F811
    settle(tiny, "http://127.0.0.1:8000/v1", engine="local")
    assert load_config(tiny.config).engine == "local"
    settle(tiny, "http://127.0.0.1:8000/v1", "[remot]\nx = 1\n", engine="local")
    with pytest.raises(RefusedError, match=r'Unknown setting "remot".*did you mean remote'):
        load_config(tiny.config)
