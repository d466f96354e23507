"""One question in columns, in the window: streamed, looked through, one marked as the better, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from textual.geometry import Region

from lora_chat.adapters.install import install_folder
from lora_chat.chat.conversation import Message, Rating, Role
from lora_chat.chat.store import Store
from lora_chat.engine.echo import EchoEngine, _write_adapter
from lora_chat.engine.protocol import Finished, Request, TextChunk
from lora_chat.errors import EngineError
from lora_chat.models.installed import find_base
from lora_chat.paths import Paths
from lora_chat.services import Services
from lora_chat.sitting.columns import Began, Comparison, Grew
from lora_chat.tui.messages import ColumnsSeen, News
from lora_chat.tui.outbox import _joined
from lora_chat.tui.screens.compare import CompareScreen
from lora_chat.tui.widgets.body import Body
from lora_chat.tui.widgets.pane import Pane
from tests.tui.conftest import LONG, Branch, Tell, Window, idle
from tests.tui.test_hostile import HOSTILE, harmless

ASKED = "Where is my parcel?"
SAID = "It is on its way."

Answers = Callable[[], list[tuple[str | None, str, Rating | None]]]


@pytest.fixture
def shop(tiny: Paths, tmp_path: Path) -> str:
    """An installed adapter; what it learnt does not matter here."""
    _write_adapter(tmp_path / "shop", find_base(tiny.models, "tiny-llama"), "shop")
    install_folder(tmp_path / "shop", tiny)
    return "shop"


@pytest.fixture
def answers(tiny: Paths) -> Answers:
    """Every answer that is kept, all branches: (adapter, text, rating)."""

    def read() -> list[tuple[str | None, str, Rating | None]]:
        with Store.open(tiny.database) as store:
            messages = [each for one in store.conversations() for each in store.messages(one.id)]
        return [(each.adapter, each.content, each.rating) for each in messages if each.role is Role.ASSISTANT]

    return read


def screen_of(w: Window) -> CompareScreen:
    assert isinstance(w.app.screen, CompareScreen), w.text
    return w.app.screen


async def compared(w: Window, line: str, *, whole: bool = True) -> CompareScreen:
    """Ask, write ``line``, and wait for its columns."""
    await w.ready()
    await w.answered(ASKED)
    await idle(w)
    await w.write(line)
    await w.until(lambda: isinstance(w.app.screen, CompareScreen) and w.app.screen.is_mounted)
    if whole:
        await w.until(lambda: not screen_of(w).is_writing)
    return screen_of(w)


async def back(w: Window) -> None:
    await w.until(lambda: w.app.screen is w.app.chat)
    await idle(w)


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Whoever wears something fails after its first word."""

    class Failing(EchoEngine):
        def generate(self, request: Request, cancel: Any = None) -> Iterator[Any]:
            for chunk in super().generate(request, cancel):
                yield chunk
                if request.adapter is not None:
                    raise error

    monkeypatch.setattr(Services, "engine_beside", lambda self, base: Failing(base, {ASKED: SAID}))


@pytest.mark.usefixtures("shop")
def test_the_one_that_is_marked_is_rated_and_shown_and_the_other_stands_beside_it(
    window: Tell, says: dict[str, str], answers: Answers, branch: Branch
) -> None:
    says[ASKED] = SAID

    async def story(w: Window) -> None:
        screen = await compared(w, "/compare @shop=0.5 @shop")
        assert [column.text for column in screen.columns] == [f"(shop 0.5) {SAID}", f"(shop 1) {SAID}"]
        for text in (ASKED, "shop ×0.5", "6 tokens", "enter this is better"):
            assert text in w.text
        assert screen.chosen == 0
        await w.press("right")
        assert screen.chosen == 1
        await w.press("tab")
        await w.press("left")
        assert screen.chosen == 1
        await w.press("enter")
        await back(w)
        await w.hear("Rated good and shown: shop; the other one stands beside it.")
        await w.see(f"(shop 1) {SAID}")
        await w.see("‹2/3›  good")

    window(story)
    assert answers() == [(None, SAID, None), ("shop", f"(shop 1) {SAID}", Rating.GOOD),
                         ("shop", f"(shop 0.5) {SAID}", None)]  # fmt: skip
    shown = branch()[-1]
    assert (shown.adapter, shown.scale, shown.generated_tokens) == ("shop", 1.0, 6)


@pytest.mark.usefixtures("shop")
def test_the_answer_that_is_in_sight_already_is_only_rated(
    window: Tell, says: dict[str, str], answers: Answers
) -> None:
    says[ASKED] = SAID

    async def story(w: Window) -> None:
        await compared(w, "/compare base @shop")
        await w.press("b")
        await back(w)
        await w.see("‹1/2›  good")

    window(story)
    assert answers() == [(None, SAID, Rating.GOOD), ("shop", f"(shop 1) {SAID}", None)]


@pytest.mark.usefixtures("shop", "slow")
def test_esc_in_the_middle_stops_it_and_keeps_nothing(window: Tell, says: dict[str, str], answers: Answers) -> None:
    says[ASKED] = SAID

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered(ASKED)
        await idle(w)
        says_long(w, LONG)
        await w.write("/compare base @shop")
        await w.see("word2")
        assert "waiting" in w.text
        assert "writing…" in w.text
        assert "this is better" not in w.text
        await w.press("enter")  # it is no whole answer
        assert isinstance(w.app.screen, CompareScreen)
        await w.press("escape")
        await back(w)
        assert "word" not in w.text
        await w.answered("Hello")

    window(story)
    assert [text for _, text, _ in answers()] == [SAID, "Hello"]


def says_long(w: Window, text: str) -> None:
    """From here on the answer is ``text``."""
    engine = w.app.bridge._require().engine
    assert isinstance(engine, EchoEngine)
    engine._script[ASKED] = text


@pytest.mark.usefixtures("shop", "slow")
def test_ctrl_c_stops_what_is_written_and_what_is_whole_can_be_marked(
    window: Tell, says: dict[str, str], answers: Answers
) -> None:
    says[ASKED] = " ".join(LONG.split()[:40])

    async def story(w: Window) -> None:
        screen = await compared(w, "/compare @shop=0.5 @shop base", whole=False)
        await w.until(lambda: screen.columns[0].ended and screen.columns[1].text)
        await w.press("ctrl+c")
        await w.until(lambda: not screen.is_writing)
        await w.see("stopped")
        await w.see("not asked")
        for _ in range(2):
            await w.press("right")
            await w.not_see("this is better")
        await w.press("right", "enter")
        await back(w)
        await w.see("‹2/2›  good")

    window(story)
    assert [(adapter, rating) for adapter, _, rating in answers()] == [(None, None), ("shop", Rating.GOOD)]


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("error", [EngineError("The engine ran out of memory."), ValueError("boom")])
def test_one_that_fails_says_so_and_cannot_be_marked(
    window: Tell, monkeypatch: pytest.MonkeyPatch, answers: Answers, error: Exception
) -> None:
    failing(monkeypatch, error)

    async def story(w: Window) -> None:
        screen = await compared(w, "/compare base @shop")
        assert "✗" in w.text
        assert screen.columns[1].text == "(shop 1)"
        await w.press("right", "enter", "b")
        assert isinstance(w.app.screen, CompareScreen)
        await w.press("left", "enter")
        await back(w)
        await w.see("good")

    window(story)
    assert answers() == [(None, SAID, Rating.GOOD)]


@pytest.mark.usefixtures("shop")
def test_what_a_model_says_and_a_question_is_only_text(
    window: Tell, says: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hostile(EchoEngine):
        def generate(self, request: Request, cancel: Any = None) -> Iterator[Any]:
            for character in HOSTILE + "\n\n```[red]\n" + HOSTILE:
                yield TextChunk(character)
            yield Finished("stop", 1, 0, 1, 1.0, 10.0, 1)

    monkeypatch.setattr(Services, "engine_beside", lambda self, base: Hostile(base))

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered(f"[red]{HOSTILE}")
        await idle(w)
        await w.write("/compare base @shop")
        await w.until(lambda: isinstance(w.app.screen, CompareScreen) and not w.app.screen.is_writing)
        await w.see("[/red] [@click=app.quit]y[/] [/] [bold")
        harmless(w)
        await w.pilot.click(offset=(8, 5))
        harmless(w)
        await w.press("enter")
        await back(w)
        harmless(w)

    window(story)


@pytest.mark.usefixtures("shop", "slow")
def test_while_an_answer_is_written_it_is_refused(window: Tell, says: dict[str, str]) -> None:
    says["Count"] = LONG

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered(ASKED)
        await idle(w)
        await w.write("Count")
        await w.see("word2")
        await w.write("/compare base @shop")
        await w.hear("An answer is still being written: esc stops it")
        assert w.app.screen is w.app.chat
        await w.press("escape")
        await idle(w)

    window(story)


def test_before_a_question_the_line_is_the_persons_again(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.write("/compare base @shop")
        await w.hear("Ask something first, then /compare base @NAME")
        assert w.prompt.text == "/compare base @shop"

    window(story)


def regions(screen: CompareScreen) -> list[Region]:
    return [column.region for column in screen.columns]


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("size", "columns", "beside"),
    [((80, 24), 2, 2), ((80, 24), 3, 2), ((80, 24), 4, 2), ((120, 36), 3, 3), ((120, 36), 4, 2), ((200, 60), 4, 4),
     ((60, 15), 4, 1), ((34, 10), 2, 1)],
)  # fmt: skip
def test_columns_stand_where_they_read_well_and_all_of_each_can_be_seen(
    window: Tell, says: dict[str, str], size: tuple[int, int], columns: int, beside: int
) -> None:
    says[ASKED] = f"{LONG} the end"
    line = "/compare " + " ".join(["base", "@shop", "@shop=0.5", "@shop=2"][:columns])

    async def story(w: Window) -> None:
        screen = await compared(w, line)
        await w.still()
        assert len({region.x for region in regions(screen)}) == beside
        assert min(region.width for region in regions(screen)) >= 31
        for place, column in enumerate(screen.columns):
            assert screen.chosen == place
            await w.until(lambda: screen.region.contains_region(screen.columns[screen.chosen].region))
            pane = column.query_one(Pane)
            assert pane.max_scroll_y > 0 or pane.size.height == pane.virtual_size.height, "as high as its answer"
            for _ in range(round(pane.max_scroll_y)):
                await w.press("down")
            await w.until(lambda pane=pane: pane.scroll_y == pane.max_scroll_y)  # type: ignore[misc]
            await w.press("right")
        assert screen.chosen == 0
        last = [region.right for region in regions(screen)]
        assert last[-1] == max(last), "the last one takes what is left of its row"

    window(story, size)


def test_pieces_of_one_column_are_told_together_and_those_of_two_are_not() -> None:
    comparison, other = (Comparison(cast(Message, None), ()) for _ in range(2))
    waiting: list[News] = [ColumnsSeen(comparison, Grew(0, "a"))]
    assert _joined(waiting, ColumnsSeen(comparison, Grew(0, "b")))
    assert waiting == [ColumnsSeen(comparison, Grew(0, "ab"))]
    for news in (ColumnsSeen(comparison, Grew(1, "c")), ColumnsSeen(comparison, Began(0)), ColumnsSeen(comparison)):
        assert not _joined(waiting, news)
    assert not _joined(waiting, ColumnsSeen(other, Grew(0, "c")))


@pytest.mark.usefixtures("shop")
def test_more_room_puts_them_beside_each_other(window: Tell, says: dict[str, str]) -> None:
    async def story(w: Window) -> None:
        screen = await compared(w, "/compare @shop temperatures")
        for width, beside in ((80, 2), (200, 4), (60, 1), (120, 2)):
            await w.pilot.resize_terminal(width, 40)
            await w.until(lambda beside=beside: len({each.x for each in regions(screen)}) == beside)  # type: ignore[misc]

    window(story)


def test_an_answer_in_a_column_does_not_go_on(window: Tell, shop: str, answers: Answers) -> None:
    async def story(w: Window) -> None:
        await compared(w, f"/compare base @{shop}")
        before = answers()
        await w.press("m")
        await w.hear("An answer in a column cannot go on: mark it with Enter, then /continue goes on with it.")
        assert answers() == before

    window(story)


@pytest.mark.usefixtures("shop")
def test_keys_unfold_the_thought_and_copy_the_code(
    window: Tell, says: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    says[ASKED] = "<think>hm</think> ok"
    copied: list[str] = []

    async def story(w: Window) -> None:
        column = (await compared(w, "/compare base @shop")).columns[0]
        monkeypatch.setattr(w.app, "copy_to_clipboard", copied.append)
        await w.see("▸ thought, 2 characters")
        await w.press("t")
        await w.see("▾ thought")
        await w.press("t")
        await w.not_see("▾ thought")
        column.saying.set("```\nls\n```")
        await w.until(lambda: column.query_one(Body).codes == ["ls"])
        await w.press("2", "1")
        await w.until(lambda: copied == ["ls"])

    window(story)
