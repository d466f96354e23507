"""Streaming stays cheap: what a reply of 2,000 tokens costs is counted in widgets and lines, not in seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.widget import Widget

from lora_chat.chat import reading
from lora_chat.chat.conversation import Status
from lora_chat.tui import code, markdown
from lora_chat.tui.messages import News, ReplyGrew
from lora_chat.tui.outbox import Outbox
from lora_chat.tui.page import Page
from lora_chat.tui.rows import Block
from lora_chat.tui.widgets import body as body_module
from lora_chat.tui.widgets.body import Body
from lora_chat.tui.widgets.message import Shown
from lora_chat.tui.widgets.transcript import MOUNTED, Transcript
from tests.tui.test_transcript import Talk, branch, message, run, settle

TOKENS = 2_000
WIDGETS_A_MESSAGE = 6
"""Of the longest kind: the message, its label, its body with a fold and the text, its foot."""

OPEN = 2
"""The piece that is open and the line after it, which is not known to be another before it ends."""


def pieces_of(text: str) -> list[str]:
    """``text`` as a model says it: some 2,000 pieces."""
    size = -(-len(text) // TOKENS)
    return [text[start : start + size] for start in range(0, len(text), size)]


PARAGRAPHS = [" ".join(f"word{n}-{m}" for m in range(60)) for n in range(30)]
ITEMS = [f"- item {n} says **this** and `that`, and a little more" for n in range(200)]
CODE = [f"    total_{n} = compute({n})  # step" for n in range(400)]
REPLIES = {
    "prose": "\n\n".join(PARAGRAPHS),
    "list": "\n".join(ITEMS),
    "code": "Like this:\n\n```python\n" + "\n".join(CODE) + "\n```\n",
}


@dataclass
class Work:
    """What was done."""

    read: list[str] = field(default_factory=list)
    """Each text that was read as Markdown."""
    code: int = 0
    """Lines of code that were made into rows."""
    coloured: list[str] = field(default_factory=list)
    """Each code that was coloured."""
    laid: int = 0
    """Blocks that were laid out."""
    layouts: int = 0
    mounted: list[str] = field(default_factory=list)
    """Each widget that came into the window."""


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    """Counts, and no rest between two layouts: each piece that comes costs all it can."""
    work = Work()
    tokens_of, code_rows, coloured = reading.tokens_of, code.code_rows, code._coloured
    add, lay, register = Page.add, Body._lay, App._register

    def reads(text: str) -> object:
        work.read.append(text)
        return tokens_of(text)

    def rows(text: str, language: str = "") -> object:
        work.code += text.count("\n") + 1
        return code_rows(text, language)

    def colours(text: str, lexer: object) -> object:
        work.coloured.append(text)
        return coloured(text, lexer)

    def adds(self: Page, blocks: Iterator[Block]) -> None:
        held = list(blocks)
        work.laid += len(held)
        add(self, held)

    def lays(self: Body, page: Page) -> None:
        work.layouts += 1
        lay(self, page)

    def comes(self: App[object], parent: Widget, *widgets: Widget, **named: object) -> object:
        work.mounted += [type(each).__name__ for each in widgets]
        return register(self, parent, *widgets, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(markdown, "tokens_of", reads)
    monkeypatch.setattr(markdown, "code_rows", rows)
    monkeypatch.setattr(body_module, "code_rows", rows)
    monkeypatch.setattr(code, "_coloured", colours)
    monkeypatch.setattr(Page, "add", adds)
    monkeypatch.setattr(Body, "_lay", lays)
    monkeypatch.setattr(App, "_register", comes)
    monkeypatch.setattr(body_module, "RESTS", 0)
    return work


def streamed(reply: str, work: Work, *, before: int = 0) -> int:
    """Stream ``reply`` below ``before`` messages, each piece laid out by itself; how many pieces there were."""
    pieces = pieces_of(reply)

    async def use(app: Talk, talk: Transcript, pilot: Pilot[None]) -> None:
        await talk.show(branch(before))
        question = Shown(message(before + 1))
        answer = Shown(replace(message(before + 2, status=Status.STREAMING), content=""))
        await talk.begin(question, answer)
        await settle(pilot)
        view, widgets = talk.views[-1], len(app.query("*"))
        text = view.query_one(Body)
        work.__dict__.update(vars(Work()))
        for each in pieces:
            talk.grow(answer.message.id, each)
            text._laid_out(text.size.width)
        talk.end(Shown(replace(answer.message, content=reply, status=Status.DONE)))
        text._laid_out(text.size.width)
        await settle(pilot)
        assert text.text == reply
        assert work.mounted == []
        assert len(app.query("*")) == widgets
        assert talk.views[-1] is view

    run(use)
    return len(pieces)


def test_of_prose_the_open_paragraph_is_read_and_nothing_before_it(work: Work) -> None:
    pieces = streamed(REPLIES["prose"], work)
    assert max(map(len, work.read)) <= OPEN * max(map(len, PARAGRAPHS)) + 2
    assert len(work.read) <= pieces + 2 * len(PARAGRAPHS)
    assert work.laid <= 2 * OPEN * pieces + 4 * len(PARAGRAPHS)


def test_of_a_list_the_open_item_is_read_and_no_other_comes_again(work: Work) -> None:
    pieces = streamed(REPLIES["list"], work)
    assert all(each.count("\n") < OPEN for each in work.read)
    assert len(work.read) <= pieces + 2 * len(ITEMS)
    assert work.laid <= 2 * OPEN * pieces + 4 * len(ITEMS)


def test_of_a_fence_new_lines_are_laid_out_and_it_is_coloured_once_at_its_end(work: Work) -> None:
    pieces = streamed(REPLIES["code"], work)
    assert work.coloured == ["\n".join(CODE)]
    assert work.code <= pieces + 2 * len(CODE) + 2, "each line when it comes, once more in colour, and the open one"
    assert work.laid <= 2 * pieces + 2 * len(CODE) + 10
    assert not any("total" in each for each in work.read)


@pytest.mark.parametrize("kind", REPLIES)
def test_twice_as_much_costs_twice_as_much(work: Work, kind: str) -> None:
    """Were anything done anew for each piece, it would be four times as much."""

    def cost(reply: str) -> int:
        streamed(reply, work)
        return work.laid + work.code + sum(map(len, work.read)) // 100

    half = REPLIES[kind][: len(REPLIES[kind]) // 2]
    pieces, whole = cost(half), cost(REPLIES[kind])
    assert whole <= 2.5 * pieces


def test_what_comes_between_two_pictures_is_laid_out_once(work: Work) -> None:
    async def use(app: Talk, talk: Transcript, pilot: Pilot[None]) -> None:
        answer = Shown(replace(message(2, status=Status.STREAMING), content=""))
        await talk.begin(Shown(message(1)), answer)
        await settle(pilot)
        work.layouts = 0
        for each in pieces_of(REPLIES["list"]):
            talk.grow(2, each)
        await settle(pilot)
        assert 1 <= work.layouts <= 3
        assert len(work.read) <= 2 * len(ITEMS)

    run(use)


def test_pieces_that_come_between_two_deliveries_are_one() -> None:
    delivered: list[News] = []
    pieces = pieces_of(REPLIES["prose"])

    async def main() -> None:
        outbox = Outbox(delivered.append)
        outbox.open()
        for each in pieces:
            outbox.put(ReplyGrew(1, each))
        while not delivered:
            await asyncio.sleep(0)

    asyncio.run(main())
    assert delivered == [ReplyGrew(1, REPLIES["prose"])]


def test_a_window_holds_a_part_of_a_long_conversation_while_it_streams_and_more_when_asked(work: Work) -> None:
    def bounded(app: Talk, talk: Transcript, most: int) -> None:
        assert len(talk.views) == most
        assert len(talk.query("*")) <= WIDGETS_A_MESSAGE * most + 5

    async def use(app: Talk, talk: Transcript, pilot: Pilot[None]) -> None:
        shown = branch(2_000)
        await talk.show(shown)
        await settle(pilot)
        bounded(app, talk, MOUNTED)
        before = len(work.mounted)
        talk.post_message(talk._earlier.Wanted())
        await until(pilot, lambda: len(talk.views) == 2 * MOUNTED)
        bounded(app, talk, 2 * MOUNTED)
        assert work.mounted[before:].count("MessageView") == MOUNTED, "what was there stays"
        answer = Shown(replace(message(2_002, status=Status.STREAMING), content=""))
        await talk.begin(Shown(message(2_001)), answer)
        await settle(pilot)
        bounded(app, talk, MOUNTED)
        before = len(work.mounted)
        for each in pieces_of(REPLIES["list"]):
            talk.grow(2_002, each)
        await settle(pilot)
        bounded(app, talk, MOUNTED)
        assert len(work.mounted) == before

    run(use)


async def until(pilot: Pilot[None], what: Callable[[], bool]) -> None:
    for _ in range(200):
        if what():
            return
        await pilot.pause(0.02)
    raise AssertionError("it never came")
