"""One message on the screen: who speaks, what it says and how it ended, and nothing that acts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import Markdown

from lora_chat.chat.conversation import Message, Rating, Role, Status
from lora_chat.tui.theme import DARK, LIGHT, accent_of
from lora_chat.tui.widgets.message import MessageView, Shown

WIDTH = 60


def message(content: str, role: Role = Role.ASSISTANT, status: Status = Status.DONE, **known: Any) -> Message:
    base = "SmolLM2-135M" if role is Role.ASSISTANT else None
    return Message(7, "c", None, role, content, status, 0.0, **{"base": base, **known})


class One(App[None]):
    """One message, or several."""

    def __init__(self, *shown: Shown) -> None:
        super().__init__()
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name
        self.views = [MessageView(each) for each in shown]
        self.view = self.views[0]
        self.quit_by = 0

    def compose(self) -> ComposeResult:
        yield from self.views

    async def action_quit(self) -> None:
        self.quit_by += 1


Look = Callable[[One, "Pilot[None]"], Awaitable[None]]


def run(*shown: Shown, look: Look | None = None) -> list[str]:
    """Show messages, let ``look`` use it, and return the lines of the screen with anything on them."""

    async def main() -> list[str]:
        app = One(*shown)
        async with app.run_test(size=(WIDTH, 60)) as pilot:
            await pilot.pause()
            if look:
                await look(app, pilot)
                await pilot.pause()
            return [line for strip in app.screen._compositor.render_strips() if (line := strip.text.rstrip())]

    return asyncio.run(main())


def lines_of(content: str, **known: Any) -> list[str]:
    """The body of an answer with ``content``."""
    return [line.strip() for line in run(Shown(message(content, **known)))[1:]]


# Who speaks


def test_a_person_s_words_stand_as_they_were_written() -> None:
    assert run(Shown(message("# no *heading*\n\n  [red]x[/]\n1. a", Role.USER))) == [
        "   you",
        "   # no *heading*",
        "     [red]x[/]",
        "   1. a",
    ]


def test_the_base_alone_looks_plain() -> None:
    assert run(Shown(message("Hello *there*"))) == ["   SmolLM2-135M", "   Hello there"]


def test_a_worn_adapter_has_an_edge_a_name_and_a_scale() -> None:
    lines = run(Shown(message("Arr", adapter="pirate-2", scale=0.8)))
    assert lines == [" ▎ pirate-2 ×0.8", " ▎ Arr"]
    assert run(Shown(message("Arr", adapter="pirate-2", scale=1.0)))[0] == " ▎ pirate-2"


def test_the_edge_changes_with_the_theme() -> None:
    edges: list[str] = []

    async def look(app: One, pilot: Pilot[None]) -> None:
        edges.append(app.view.styles.border_left[1].hex.lower())
        app.theme = LIGHT.name
        await pilot.pause()
        await pilot.pause()
        edges.append(app.view.styles.border_left[1].hex.lower())

    run(Shown(message("x", adapter="pirate-2")), look=look)
    assert edges == [accent_of("pirate-2", dark=True), accent_of("pirate-2", dark=False)]


def test_an_answer_written_by_the_person_says_so_and_wears_nothing() -> None:
    lines = run(Shown(message("Mine", adapter="pirate-2", edited_from=3)))
    assert lines == ["   you wrote in place of an answer", "   Mine"]


def test_siblings_and_ratings_stand_at_the_right() -> None:
    [head, _] = run(Shown(message("x", rating=Rating.GOOD), 2, 3))
    assert head.startswith("   SmolLM2-135M")
    assert head.endswith("‹2/3›  good")
    assert len(head) == WIDTH - 2


def test_a_long_name_gives_way_to_the_marks() -> None:
    [head, _] = run(Shown(message("x", adapter="n" * 200, rating=Rating.BAD), 1, 2))
    assert head.endswith("n… ‹1/2›  bad")


# How it ended

FIGURES = {"tokens_per_second": 31.4, "first_token_ms": 210.0, "generated_tokens": 1041}


@pytest.mark.parametrize(
    ("known", "foot"),
    [
        (FIGURES, "1,041 tokens"),
        ({"generated_tokens": 1, "tokens_per_second": 3.26}, "1 token"),
        ({**FIGURES, "finish_reason": "length"}, "cut off at 1,041 tokens"),
        ({**FIGURES, "status": Status.STOPPED}, "stopped"),
        ({"status": Status.INTERRUPTED}, "interrupted"),
        ({"status": Status.FAILED, "error": "no [b]memory[/]\x1b[2J"}, "✗ no [b]memory[/][2J"),
    ],
)
def test_one_line_says_how_it_ended(known: dict[str, Any], foot: str) -> None:
    assert lines_of("Half", **known) == ["Half", foot]


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert lines_of("Imported") == ["Imported"]


def test_an_empty_answer_says_what_it_waits_for_until_the_first_word() -> None:
    shown = Shown(message("", status=Status.STREAMING))
    assert run(shown) == ["   SmolLM2-135M", "   …"]

    async def wait(app: One, pilot: Pilot[None]) -> None:
        app.view.wait_for("loading the model")

    assert run(shown, look=wait)[1] == "   … loading the model"

    async def speak(app: One, pilot: Pilot[None]) -> None:
        await wait(app, pilot)
        app.view.grow("Hel")
        app.view.grow("lo")

    assert run(shown, look=speak)[1:] == ["   Hello"]


def test_the_end_puts_the_last_form_in() -> None:
    begun = message("", status=Status.STREAMING)

    async def look(app: One, pilot: Pilot[None]) -> None:
        app.view.grow("Some **bold")
        await pilot.pause()
        app.view.end(Shown(replace(begun, content="Some **bold** words", status=Status.DONE, generated_tokens=3)))

    assert run(Shown(begun), look=look)[1:] == ["   Some bold words", "   3 tokens"]


def test_what_is_shown_again_keeps_a_longer_stream() -> None:
    begun = message("", status=Status.STREAMING)

    async def look(app: One, pilot: Pilot[None]) -> None:
        app.view.grow("Hello you")
        app.view.show(Shown(replace(begun, content="Hello"), 2, 2))
        app.view.grow(" there")

    lines = run(Shown(begun), look=look)
    assert lines[0].endswith("‹2/2›")
    assert lines[1] == "   Hello you there"


# Foreign text is inert

INERT = [
    "[red]x[/]",
    "[@click=app.quit]x[/]",
    "[@click='app.quit']x[/]",
    "[link=https://x]x[/link]",
    "[[[ unbalanced ]",
    "[/]",
    "[bold",
    "[x](javascript:alert)",
    "<script>alert(1)</script>",
    '<a href="x" onclick="y">x</a>',
    "$text {x}",
]


@pytest.mark.parametrize("role", [Role.USER, Role.ASSISTANT])
def test_markup_is_plain_text_and_clicking_it_does_nothing(role: Role) -> None:
    async def main() -> None:
        app = One(*(Shown(message(text, role)) for text in INERT))
        async with app.run_test(size=(WIDTH, 60)) as pilot:
            await pilot.pause()
            shown = [strip.text.strip() for strip in app.screen._compositor.render_strips()]
            assert [text for text in INERT if text not in shown] == []
            for text in INERT[1:5]:
                await pilot.click(offset=(4, shown.index(text)))
            assert app.quit_by == 0
            for strip in app.screen._compositor.render_strips():
                for segment in strip:
                    assert not segment.style or ("@click" not in segment.style.meta and not segment.style.link)

    asyncio.run(main())


def test_a_name_or_an_error_is_not_markup_either() -> None:
    failed = [Shown(message("x", adapter=text, status=Status.FAILED, error=text)) for text in INERT]
    lines = run(*failed)
    assert lines[0::3] == [f" ▎ {text}" for text in INERT]
    assert lines[2::3] == [f" ▎ ✗ {text}" for text in INERT]


def test_a_link_shows_where_it_leads_and_opens_nothing() -> None:
    opened: list[str] = []

    async def click(app: One, pilot: Pilot[None]) -> None:
        app.open_url = lambda url, **_: opened.append(url)  # type: ignore[method-assign]
        for x in (5, 30):
            await pilot.click(offset=(x, 1))

    lines = run(Shown(message("[https://bank.example](https://evil.example/a) <https://x.example>")), look=click)
    assert lines[1] == "   https://bank.example (https://evil.example/a)"
    assert lines[2] == "   https://x.example"
    assert opened == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb\x07", "a[31mb"),
        ("a&#x202e;b&#27;c", "ab�c"),
        ("![pic](http://x/y.png)", "pic (http://x/y.png)"),
        ("[hidden]: http://x 'definition'", "[hidden]: http://x 'definition'"),
        ("<!-- hidden -->", "<!-- hidden -->"),
        ("a\u202eb\U000e0041", "ab"),
    ],
)
def test_nothing_is_hidden_and_nothing_is_smuggled(text: str, shown: str) -> None:
    assert lines_of(text) == [shown]


def test_no_textual_markdown_widget_is_mounted() -> None:
    async def look(app: One, pilot: Pilot[None]) -> None:
        assert not app.query(Markdown)
        assert len(app.view.walk_children()) == 4

    run(Shown(message("# a\n\n- b\n- c\n\n```py\nx\n```")), look=look)


def test_what_waits_for_a_costly_layout_is_shown_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lora_chat.tui.widgets.body.RESTS", 100)

    async def look(app: One, pilot: Pilot[None]) -> None:
        for _ in range(5):
            app.view.grow("word ")
            await pilot.pause()
        await pilot.pause(0.3)

    assert run(Shown(message("", status=Status.STREAMING)), look=look)[1] == "   word word word word word"
