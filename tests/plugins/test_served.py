"""A person who has only a server: no base on this machine, and all that is named after what really answers."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lora_chat.adapters.signature import BaseSignature
from lora_chat.chat.conversation import Role
from lora_chat.chat.store import Store
from lora_chat.models.installed import InstalledBase, find_base
from lora_chat.paths import Paths
from lora_chat.services import open_services
from lora_chat.sitting.standing import standing_facts
from lora_chat.tui.app import LoraChatApp
from lora_chat.tui.screens.welcome import WelcomeScreen
from lora_chat.tui.widgets.title_bar import TitleBar
from tests.cli.conftest import (  # noqa: F401  # noqa: F401
    Kept,
    Run,
    kept,
    run,
    same_environment,
    says,
    tiny,
    tiny_home,
    trained,
    worn,
)
from tests.plugins.test_engines import settle
from tests.remote.conftest import serve  # noqa: F401
from tests.remote.fake_model import WINDOW
from tests.remote.fake_server import FakeServer
from tests.remote.loading import FOLDER
from tests.serve.conftest import start_server
from tests.tui.conftest import Tell, Window, calm  # noqa: F401

CHAT, LOAD = "/v1/chat/completions", "/v1/load_lora_adapter"
HUGE = "acme/Huge-70B-Instruct"
Serve = Callable[..., FakeServer]


@pytest.fixture
def bare(tiny: Paths, run: Run) -> Paths:  # noqa: F811
    """A home without any base, with the shipped plugin enabled."""
    tiny.models.unlink()
    shutil.copytree(FOLDER, tiny.plugins / "remote", ignore=shutil.ignore_patterns("__pycache__"))
    settle(tiny, "http://127.0.0.1:9/v1")
    assert run("plugin", "enable", "remote", "--yes").code == 0
    return tiny


@pytest.fixture
def huge(bare: Paths, serve: Serve) -> FakeServer:  # noqa: F811
    """A vLLM with another model than any that is here."""
    server = serve(model=HUGE, root="/data/huge")
    settle(bare, server.url)
    return server


def made_for(folder: Path, base: str) -> None:
    """Let the adapter in ``folder`` say that it was made for ``base``, as it came from elsewhere."""
    (folder / "adapter.toml").unlink()
    config = json.loads((folder / "adapter_config.json").read_text("utf-8"))
    (folder / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": base}), "utf-8")


@pytest.fixture
def window() -> Tell:
    """A window on the engine that the settings name."""

    def tell(story: Callable[[Window], object], adapter: str | None = None) -> None:
        async def go() -> None:
            app = LoraChatApp(adapter=adapter)
            try:
                async with app.run_test(size=(110, 30), notifications=True) as pilot:
                    await story(Window(app, pilot))  # type: ignore[misc]
            finally:
                app.bridge.close()

        asyncio.run(go())

    return tell


# Chatting


def test_ask_needs_no_base_and_names_what_answered(huge: FakeServer, run: Run, kept: Kept) -> None:  # noqa: F811
    said = run("ask", "Where is your shop?", "--json").json
    assert said["model"] == HUGE
    assert kept.branch()[-1].base == HUGE
    assert kept.conversations[0].model == HUGE
    assert run("ask", "-c", kept.conversations[0].id, "And when?").code == 0
    assert [message.base for message in kept.branch()] == [None, HUGE, None, HUGE]
    assert len(huge.sent(CHAT)) == 2


def test_a_file_of_questions_names_it_too(huge: FakeServer, run: Run, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "asked.jsonl").write_text('{"prompt": "One?"}\n', encoding="utf-8")
    [said] = run("ask", "--batch", tmp_path / "asked.jsonl").events
    assert said["model"] == HUGE


def test_the_plain_chat_begins_and_names_it(huge: FakeServer, run: Run, kept: Kept) -> None:  # noqa: F811
    done = run("--plain", stdin="First\n/model info\n/model list\n/context\nSecond\n")
    assert done.code == 0, done.err
    assert HUGE in done.out
    assert f"of {WINDOW:,} tokens" in done.out
    assert [message.base for message in kept.branch()] == [None, HUGE, None, HUGE]
    assert kept.conversations[0].model == HUGE


def test_what_is_shown_of_it_later_names_it(huge: FakeServer, run: Run, kept: Kept) -> None:  # noqa: F811
    run("ask", "Hello")
    done = run("history", "show", kept.conversations[0].id, "--json")
    assert done.json["messages"][-1]["base"] == HUGE


def test_a_hostile_name_is_cleaned(bare: Paths, serve: Serve, run: Run, kept: Kept) -> None:  # noqa: F811
    settle(bare, serve(model="evil\x1b[31m\nname").url)
    assert run("ask", "Hello").code == 0
    name = kept.branch()[-1].base
    assert name is not None
    assert name.isprintable()
    assert "evil" in name


def test_the_window_opens_without_a_welcome_and_its_header_names_what_answers(
    huge: FakeServer,
    window: Tell,
    bare: Paths,
    tiny_home: Path,  # noqa: F811
) -> None:
    async def story(w: Window) -> None:
        await w.until(lambda: w.app.chat.base == HUGE)
        assert not isinstance(w.app.screen, WelcomeScreen)
        assert w.app.chat.query_one(TitleBar).window == WINDOW
        await w.answered("Hello")
        await w.see(HUGE)
        assert w.app.chat.answer is not None
        assert w.app.chat.answer.base == HUGE
        for command, heard in (
            ("/train from-history", "done on a base model of this machine, and tiny-llama is not here"),
            ("/model use tiny-llama", "tiny-llama is not on this machine"),
        ):
            w.prompt.write("")
            await w.write(command)
            await w.hear(heard)
        bare.models.symlink_to(tiny_home)
        w.app.bridge.arrivals._came("tiny-llama")
        await w.hear(f"tiny-llama is on this machine now; {HUGE} answers as before.")
        w.prompt.write("")
        await w.write("/model use tiny-llama")
        await w.hear('with engine = "local" in the settings tiny-llama does')

    window(story)
    with Store.open(bare.database) as store:
        assert store.conversations()[0].model == HUGE


def test_the_window_learns_who_answers_from_the_first_answer(
    huge: FakeServer,
    run: Run,  # noqa: F811
    window: Tell,
) -> None:
    from lora_chat.sitting.plugins import taken

    run("plugin", "disable", "remote")

    async def story(w: Window) -> None:
        await w.until(lambda: w.app.chat.base == "openai")
        await w.hear('No enabled plugin has the engine "openai"')
        sitting = w.app.bridge.sitting
        assert sitting is not None
        sitting.services.plugins.enable("remote", lambda _: True, taken())
        await w.answered("Hello")
        await w.until(lambda: w.app.chat.base == HUGE)
        assert sitting.conversation is not None
        assert w.app.chat.answer is not None
        assert w.app.chat.answer.base == HUGE

    window(story)


def test_serve_lists_it_and_answers(bare: Paths, serve: Serve) -> None:  # noqa: F811
    name = "llama3.2:70b"  # as some servers call theirs
    server = serve("any", model=name)
    settle(bare, server.url)
    started = start_server(bare)
    try:
        started.see(f"^Ready: {name}, asked over the network, openai")
        client = started.client()
        assert [(model.id, model.owned_by) for model in client.models.list()] == [(name, server.place)]
        for model in (name, "base"):
            done = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello"}])
            assert (done.choices[0].message.content, done.model)[1] == name
        assert client.models.retrieve(name).id == name
    finally:
        started.process.kill()
        started.end()


def test_an_answer_goes_on_after_a_new_start(huge: FakeServer, run: Run, kept: Kept) -> None:  # noqa: F811
    run("ask", "Hello")
    id, before = kept.conversations[0].id, kept.branch()[-1].content
    done = run("--plain", stdin=f"/open {id}\n/continue\n")
    assert done.code == 0, done.err
    assert kept.branch()[-1].content.startswith(before)
    assert len(kept.branch()[-1].content) > len(before)
    assert kept.branch()[-1].base == HUGE


# Old conversations, and what is done on this machine


def test_an_old_conversation_goes_on_and_says_who_held_it(
    huge: FakeServer,
    run: Run,  # noqa: F811
    bare: Paths,
    kept: Kept,  # noqa: F811
) -> None:
    with Store.open(bare.database) as store:
        old = store.create_conversation(model="smollm2-135m")
        asked = store.add_message(old.id, Role.USER, "Hello", parent=None)
        store.add_message(old.id, Role.ASSISTANT, "Hi.", parent=asked.id, base="smollm2-135m")
    done = run("--plain", stdin=f"First\n/open {old.id}\nAnd now?\n")
    assert f"This was held with smollm2-135m: {HUGE} answers." in done.err
    assert [message.base for message in kept.branch(old.id)] == [None, "smollm2-135m", None, HUGE]
    assert run("ask", "-c", old.id, "Still there?").code == 0


@pytest.mark.parametrize("name", [HUGE, "gpt-9", "llama3.2:70b"])
def test_what_a_server_held_goes_on_here_and_says_so(
    tiny: Paths,  # noqa: F811
    run: Run,  # noqa: F811
    kept: Kept,  # noqa: F811
    says: dict[str, str],  # noqa: F811
    name: str,
) -> None:
    with Store.open(tiny.database) as store:
        old = store.create_conversation(model=name)
        asked = store.add_message(old.id, Role.USER, "Hello", parent=None)
        answer = store.add_message(old.id, Role.ASSISTANT, "Hi.", parent=asked.id, base=name)
        store.update_conversation(old.id, head=answer.id)
    done = run("ask", "-c", old.id, "And now?", "--yes")
    assert done.code == 0, done.err
    assert f"This was held with {name}, which is not on this machine: tiny-llama answers." in done.err
    assert [message.base for message in kept.branch(old.id)] == [None, name, None, "tiny-llama"]


def test_what_needs_a_base_here_says_so_in_one_sentence(huge: FakeServer, run: Run, worn: str) -> None:  # noqa: F811
    done = run("--plain", stdin=f"First\n/train from-history\n/adapter verify {worn}\n/tour\n")
    said = "That is done on a base model of this machine, and tiny-llama is not here: run `lora-chat model pull "
    assert done.err.count(f"{said}tiny-llama`.") == 3
    assert "`lora-chat model pull" in run("adapter", "verify", worn).sentence


def test_one_that_is_asked_for_by_name_must_be_here(huge: FakeServer, run: Run) -> None:  # noqa: F811
    done = run("ask", "-m", "tiny-llama", "Hello")
    assert done.code == 3
    assert "tiny-llama" in done.sentence
    assert huge.sent(CHAT) == []


# Adapters


def test_an_adapter_of_the_served_model_is_worn_without_a_word(
    huge: FakeServer,
    run: Run,  # noqa: F811
    worn: str,  # noqa: F811
    bare: Paths,
) -> None:
    made_for(bare.adapters / worn, HUGE)
    said = run("ask", "-a", worn, "Where is your shop?")
    assert said.code == 0, said.err
    assert said.err == ""
    assert len(huge.sent(LOAD)) == 1


@pytest.mark.parametrize(
    "names",
    [
        {"model": "chat", "root": HUGE},
        {"model": "/srv/models/Huge-70B-Instruct"},
        {"model": "/srv/Huge-70B-Instruct-Q4_K_M.gguf"},
        {"model": "acme/Huge-70B-Instruct-GGUF:Q8_0"},
    ],
)
def test_an_alias_is_seen_through(
    bare: Paths,
    serve: Serve,  # noqa: F811
    run: Run,  # noqa: F811
    worn: str,  # noqa: F811
    names: dict[str, str],
) -> None:
    settle(bare, serve(**names).url)
    made_for(bare.adapters / worn, HUGE)
    assert run("ask", "-a", worn, "Where is your shop?").err == ""


def test_an_adapter_of_another_base_is_doubted_in_one_sentence(
    huge: FakeServer,
    run: Run,  # noqa: F811
    worn: str,  # noqa: F811
    bare: Paths,
) -> None:
    made_for(bare.adapters / worn, "acme/Small-1B")
    said = run("ask", "-a", worn, "Where is your shop?")
    assert said.code == 0, said.err
    doubt = f"It was made for acme/Small-1B; {HUGE} answers, on a server: only that can say whether it fits."
    assert said.err.strip() == f"{worn}: {doubt}"
    checks = run("--plain", "-a", worn, stdin="First\nSecond\n")
    assert checks.err.count("only that can say whether it fits.") == 1


def test_the_window_holds_what_is_worn_against_the_server_once_that_is_met(
    huge: FakeServer,
    window: Tell,
    worn: str,  # noqa: F811
    bare: Paths,
) -> None:
    made_for(bare.adapters / worn, "acme/Small-1B")

    async def story(w: Window) -> None:
        await w.see("acme/Small-1B; acme/Huge-70B-Instruct answers")
        await w.answered("Hello")
        assert w.app.chat.answer is not None
        assert (w.app.chat.answer.base, w.app.chat.answer.adapter) == (HUGE, worn)

    window(story, worn)
    assert len({each["lora_name"] for each in huge.sent(LOAD)}) == 1


def test_another_base_that_is_here_is_neither_named_nor_held_against(
    served_beside: FakeServer,
    run: Run,  # noqa: F811
    kept: Kept,  # noqa: F811
    worn: str,  # noqa: F811
    tiny: Paths,  # noqa: F811
) -> None:
    said = run("ask", "-a", worn, "Where is your shop?")
    assert said.code == 0, said.err
    assert f"{HUGE} answers, on a server" in said.err
    assert kept.branch()[-1].base == HUGE
    with open_services() as services:
        who = services.answerer(find_base(tiny.models, "tiny-llama"))
        assert (who.name, who.window, who.signature.has_shapes) == (HUGE, WINDOW, False)


@pytest.fixture
def served_beside(tiny: Paths, serve: Serve, run: Run) -> FakeServer:  # noqa: F811
    """The same server, and the tiny base here."""
    shutil.copytree(FOLDER, tiny.plugins / "remote", ignore=shutil.ignore_patterns("__pycache__"))
    server = serve(model=HUGE)
    settle(tiny, server.url)
    run("plugin", "enable", "remote", "--yes")
    return server


def test_the_same_base_that_is_brought_later_is_what_adapters_are_held_against(
    bare: Paths,
    serve: Serve,  # noqa: F811
    tiny_home: Path,  # noqa: F811
) -> None:
    settle(bare, serve(model="acme/tiny-llama").url)
    with open_services() as services:
        who = services.answerer(None)
        assert services.answerer(None) is who
        assert not who.signature.has_shapes
        bare.models.symlink_to(tiny_home)
        assert services.answerer(None).signature.has_shapes


def test_the_file_behind_an_alias_of_llama_server_is_a_name_too(bare: Paths, serve: Serve) -> None:  # noqa: F811
    settle(bare, serve("llama-server", model="chat").url)
    with open_services() as services:
        assert services.answerer(None).signature.aliases == ("/m/tiny.gguf", "/m/tiny")


def test_what_is_listed_of_the_adapters_says_what_nobody_here_can_see(
    huge: FakeServer,
    window: Tell,
    worn: str,  # noqa: F811
    bare: Paths,
) -> None:
    made_for(bare.adapters / worn, HUGE)

    async def story(w: Window) -> None:
        await w.until(lambda: w.app.chat.base == HUGE)
        sitting = w.app.bridge.sitting
        assert sitting is not None
        adapter = sitting.services.adapters().get(worn)
        standing = sitting.standings.of(adapter)
        assert standing.fit(HUGE) == "fits by name"
        said = dict(standing_facts(adapter, standing, HUGE))["fit"]
        assert said == f"made for {HUGE}, by its name; whether its shapes fit is for the server to say"
        assert adapter.is_for(sitting.answerer.signature)
        assert not adapter.is_for(BaseSignature.of_names("acme/Other"))

    window(story)


def test_the_same_base_here_is_what_adapters_are_held_against(
    tiny: Paths,  # noqa: F811
    serve: Serve,  # noqa: F811
    run: Run,  # noqa: F811
    tiny_llama: InstalledBase,
) -> None:
    shutil.copytree(FOLDER, tiny.plugins / "remote", ignore=shutil.ignore_patterns("__pycache__"))
    settle(tiny, serve(model="/exports/Tiny-Llama-Q4_K_M.gguf", kind="any").url)
    run("plugin", "enable", "remote", "--yes")
    with open_services() as services:
        for base in (find_base(tiny.models, "tiny-llama"), None):  # chosen, or found by its name
            services.config = replace(services.config)
            who = services.answerer(base)
            assert who.name == "/exports/Tiny-Llama-Q4_K_M.gguf"
            assert who.signature == tiny_llama.signature
