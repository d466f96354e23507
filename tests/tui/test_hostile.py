"""Foreign text through the whole window: it runs nothing, draws nothing foreign, and ends nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.color import Color

from lora_chat.chat.conversation import Role
from lora_chat.chat.store import Store
from lora_chat.engine.echo import EchoEngine
from lora_chat.engine.protocol import Finished, Request, TextChunk
from lora_chat.paths import Paths
from lora_chat.services import Services
from lora_chat.tui.screens.adapter_picker import AdapterPicker
from lora_chat.tui.screens.details import DetailsScreen
from lora_chat.tui.screens.search import SearchScreen
from lora_chat.tui.screens.training_plan import TrainingPlanScreen
from lora_chat.tui.screens.write_answer import WriteAnswer
from tests.tui.conftest import Branch, Tell, Window, texts
from tests.tui.picture import strips

HOSTILE = (
    "\x1b[2J\x1b]52;c;aGk=\x07\x1b]8;;http://evil\x1b\\link\x9b31m\u202egnp\u202c\U000e0041\u200b\x00\x08"
    "[red]x[/red] [@click=app.quit]y[/] [/] [bold [link=javascript:z]q"
)
"""Screen clearing, the clipboard, a hyperlink, a C1 sequence, an override, a tag, NUL, backspace; and markup."""

FOREIGN = {chr(code) for code in (*range(32), *range(0x7F, 0xA0), 0x202E, 0x202C, 0x200B, 0xE0041)} - {"\n"}


def drawn(w: Window) -> str:
    """Every character that would reach the terminal, through the app's own last filter."""
    lines = [strip.apply_filter(w.app._harmless, Color(0, 0, 0)) for strip in strips(w.app)]
    text = "\n".join(segment.text for line in lines for segment in line)
    assert not any(segment.control for line in lines for segment in line)
    assert not any(segment.style is not None and segment.style.link for line in lines for segment in line)
    return text


def harmless(w: Window) -> None:
    assert not FOREIGN & set(drawn(w)), sorted(FOREIGN & set(drawn(w)))
    assert w.app.is_running
    assert not w.app._exit


@pytest.fixture
def talks(says: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that says hostile things in pieces of one character."""

    class Hostile(EchoEngine):
        def generate(self, request: Request, cancel: Any = None) -> Iterator[Any]:
            for character in HOSTILE + "\n\n```[red]\n" + HOSTILE:
                yield TextChunk(character)
            yield Finished("stop", 1, 0, 1, 1.0, 10.0, 1)

    monkeypatch.setattr(Services, "engine_beside", lambda self, base: Hostile(base))


@pytest.mark.usefixtures("talks")
def test_what_a_model_says_and_a_person_pastes_is_only_text_on_every_screen(window: Tell, tiny: Paths) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        w.app.post_message(events.Paste(HOSTILE))
        await w.until(lambda: w.prompt.text)
        harmless(w)
        await w.press("enter")
        await w.until(lambda: w.app.chat.answer is not None and not w.app.chat._answering)
        await w.see("[red]x[/red] [@click=app.quit]y[/]")
        await w.pilot.click("Transcript", offset=(12, 4))
        harmless(w)
        await w.press("ctrl+e")
        await w.until(lambda: isinstance(w.app.screen, WriteAnswer))
        harmless(w)
        await w.press("!", "ctrl+s")
        await w.see("‹2/2›")
        await w.press("ctrl+l")
        harmless(w)
        await w.press("escape", "ctrl+f")
        await w.until(lambda: isinstance(w.app.screen, SearchScreen))
        await w.type("click")
        await w.see("today")
        harmless(w)
        await w.press("escape")
        await w.write("/train from-history x")
        await w.until(lambda: isinstance(w.app.screen, TrainingPlanScreen))
        harmless(w)
        await w.press("v")
        await w.until(lambda: isinstance(w.app.screen, DetailsScreen))
        harmless(w)
        await w.press("escape", "escape")
        await w.write(f"/rename {HOSTILE}")
        await w.hear("It is called")
        harmless(w)
        await w.write("/delete")
        await w.hear("is deleted")
        harmless(w)
        await w.write("/undo")
        await w.hear("is back")
        harmless(w)
        for typed in (f"/{HOSTILE}", f"/adapter use {HOSTILE}", f"/set {HOSTILE}", f"/open {HOSTILE}"):
            w.app.clear_notifications()
            await w.write(typed)
            await w.until(lambda: w.told)
            await w.pilot.pause(0.1)
            harmless(w)

    window(story, (120, 36))


def test_what_stands_in_a_store_and_in_an_adapter_is_only_text(window: Tell, worn: str, tiny: Paths) -> None:
    manifest = tiny.adapters / worn / "adapter.toml"
    described = 'description = "[@click=app.quit]d[/] [red] [/x \\u001b]52;c;aGk=\\u0007 \\u202egnp"\n'
    manifest.write_text(_with(manifest, described), encoding="utf-8")
    with Store.open(tiny.database) as store:
        made = store.create_conversation(title="t")
        asked = store.add_message(made.id, Role.USER, "q", parent=None)
        store.add_message(made.id, Role.ASSISTANT, "a", parent=asked.id, adapter="x", base="y")
        with store.database.writing() as connection:  # as another program would have written it
            connection.execute("UPDATE messages SET content = ?, adapter = ?, base = ?", (HOSTILE,) * 3)
            connection.execute("UPDATE conversations SET title = ?", (HOSTILE,))

    async def story(w: Window) -> None:
        await w.until(lambda: w.app.chat.base)
        await w.see("[2J]52;c")
        harmless(w)
        await w.write(f"/open {made.id}")
        await w.until(lambda: w.app.chat.talk.views)
        await w.see("[red]x[/red] [@click=app.quit]y[/]")
        harmless(w)
        await w.press("ctrl+g")
        await w.until(lambda: isinstance(w.app.screen, AdapterPicker))
        await w.type("sh")
        harmless(w)
        await w.press("escape")
        await w.type("/adapter use s")
        await w.until(lambda: w.prompt.completing)
        harmless(w)
        await w.press("escape")
        await w.write("/adapter info shop")
        await w.pilot.pause(0.3)
        harmless(w)

    window(story, (120, 36))


def _with(manifest: Path, line: str) -> str:
    """The manifest with another description."""
    lines = [each for each in manifest.read_text("utf-8").splitlines(keepends=True) if "description" not in each]
    return lines[0] + line + "".join(lines[1:])


# Much of it


@pytest.mark.parametrize("much", ["x" * 5_000_000, "a line\n" * 715_000], ids=["one line", "many lines"])
def test_a_paste_of_5_mb_is_refused_whole_and_at_once(window: Tell, much: str) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.type("before")
        began = time.monotonic()
        w.app.post_message(events.Paste(much))
        await w.hear("characters: a message takes up to 200,000, so nothing was pasted.")
        await w.press("y")
        assert w.prompt.text == "beforey"
        assert time.monotonic() - began < 4  # a busy machine; word by word it would take minutes

    window(story)


def test_a_paste_as_long_as_can_be_is_one_message(window: Tell, branch: Branch) -> None:
    pasted = "word " * 39_999 + "last"

    async def story(w: Window) -> None:
        await w.ready()
        w.app.post_message(events.Paste(pasted))
        await w.until(lambda: w.prompt.text)
        await w.press("enter")
        await w.hear("This message makes a prompt of")
        await w.until(lambda: w.prompt.whole == pasted)
        await w.see("sends;")
        w.prompt.write("")
        await w.answered("Hello")  # and the conversation goes on

    window(story)
    assert texts(branch) == ["Hello", "Hello"]
