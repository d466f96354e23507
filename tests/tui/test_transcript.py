"""The visible branch: what is mounted, what moves, what is selected and what can be wanted of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from textual import on
from textual.app import App, ComposeResult
from textual.events import Key
from textual.message import Message as TextualMessage
from textual.pilot import Pilot
from textual.widgets import Footer, Input

from lora_chat.chat.conversation import Message, Rating, Role, Status
from lora_chat.tui.theme import DARK
from lora_chat.tui.widgets.earlier import Earlier
from lora_chat.tui.widgets.letters import ALONE_S
from lora_chat.tui.widgets.message import LEAST_LINES, MessageView, Shown
from lora_chat.tui.widgets.transcript import MOUNTED, Transcript


def message(number: int, content: str = "", status: Status = Status.DONE) -> Message:
    role = Role.USER if number % 2 else Role.ASSISTANT
    return Message(number, "c", number - 1 or None, role, content or f"message {number}", status, 0.0)


def branch(count: int, first: int = 1) -> list[Shown]:
    return [Shown(message(number)) for number in range(first, first + count)]


class Talk(App[None]):
    def __init__(self, *, footer: bool = False) -> None:
        super().__init__()
        self.register_theme(DARK)
        self.theme = DARK.name
        self.wanted: list[TextualMessage] = []
        self._footer = footer

    def compose(self) -> ComposeResult:
        yield Transcript()
        yield Input()
        if self._footer:
            yield Footer()

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    @on(Transcript.Wanted)
    @on(Transcript.Left)
    @on(Transcript.Wrote)
    def _note(self, event: TextualMessage) -> None:
        self.wanted.append(event)

    @property
    def transcript(self) -> Transcript:
        return self.query_one(Transcript)


Use = Callable[[Talk, Transcript, "Pilot[None]"], Awaitable[None]]


def run(use: Use, size: tuple[int, int] = (80, 24), *, footer: bool = False) -> None:
    async def main() -> None:
        app = Talk(footer=footer)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await use(app, app.transcript, pilot)

    asyncio.run(main())


async def settle(pilot: Pilot[None]) -> None:
    """Until everything posted is done and laid out."""
    await pilot.pause()
    await pilot.pause()


def ids(transcript: Transcript) -> list[int]:
    return [view.shown.message.id for view in transcript.views]


def screen(app: Talk) -> list[str]:
    return [strip.text.rstrip() for strip in app.screen._compositor.render_strips()]


def row_of(app: Talk, text: str) -> int:
    return next(row for row, line in enumerate(screen(app)) if text in line)


# What is shown


def test_an_empty_transcript_teaches() -> None:
    async def use(app: Talk, transcript: Transcript, pilot: Pilot[None]) -> None:
        transcript.set_empty([("enter", "send"), ("/wear [x]", "use an adapter")])
        await settle(pilot)
        row = row_of(app, "send")
        assert 6 < row < 14
        assert screen(app)[row].index("send") == screen(app)[row + 1].index("use an adapter")
        await transcript.show(branch(2))
        await settle(pilot)
        assert not any("use an adapter" in line for line in screen(app))
        assert screen(app)[0].strip() == "you"
        await transcript.show([])
        await settle(pilot)
        assert row_of(app, "use an adapter") == row + 1

    run(use)


def test_only_the_newest_are_mounted_and_the_end_is_seen() -> None:
    async def use(app: Talk, transcript: Transcript, pilot: Pilot[None]) -> None:
        await transcript.show(branch(300))
        await settle(pilot)
        assert ids(transcript) == list(range(261, 301))
        assert any("message 300" in line for line in screen(app))
        assert str(transcript.query_one(Earlier).render()) == "↑ 260 earlier messages"
        assert transcript.scroll_y == transcript.max_scroll_y > 0
        assert transcript.vertical_scrollbar.position == transcript.scroll_y

    run(use)


def test_what_did_not_change_is_not_mounted_again() -> None:
    async def use(app: Talk, transcript: Transcript, pilot: Pilot[None]) -> None:
        shown = branch(6)
        await transcript.show(shown)
        before = transcript.views
        shown[3] = Shown(replace(shown[3].message, rating=Rating.GOOD), 1, 2)
        await transcript.show(shown, keep_place=True)
        await settle(pilot)
        assert transcript.views == before
        assert any(line.endswith("‹1/2›  good") for line in screen(app))
        await transcript.show([*shown[:3], Shown(message(14)), *branch(2, 21)], keep_place=True)
        assert ids(transcript) == [1, 2, 3, 14, 21, 22]
        assert transcript.views[:3] == before[:3]

    run(use)


def test_another_conversation_replaces_everything() -> None:
    async def use(app: Talk, transcript: Transcript, pilot: Pilot[None]) -> None:
        await transcript.show(branch(60))
        await transcript.show(branch(3, 101))
        await settle(pilot)
        assert ids(transcript) == [101, 102, 103]
        assert transcript.scroll_y == 0
        await transcript.show(branch(60))
        await settle(pilot)
        assert transcript.scroll_y == transcript.max_scroll_y

    run(use)


def test_a_message_that_comes_between_stands_in_its_place() -> None:
    async def use(app: Talk, transcript: Transcript, pilot: Pilot[None]) -> None:
        shown = branch(6)
        await transcript.show([shown[0], shown[3], shown[5]])
        await transcript.show(shown)
        assert ids(transcript) == [1, 2, 3, 4, 5, 6]

    run(use)


# Earlier messages


@pytest.mark.parametrize("how", ["scrolling", "up"])
def test_earlier_messages_come_without_a_jump(how: str) -> None:
    async def use(app: Talk, transcript: Transcript, pilot: Pilot[None]) -> None:
        await transcript.show(branch(100))
        transcript.focus()
        await settle(pilot)
        transcript.scroll_to(y=1, animate=False, immediate=True)
        await settle(pilot)
        row = row_of(app, "message 61")
        if how == "up":
            transcript._choose(61)
            await pilot.press("up")
            await settle(pilot)
        else:
            transcript.scroll_home(animate=False)
            row += 1
        await settle(pilot)
        assert ids(transcript)[0] == 21
        assert row_of(app, "message 61") == row
        assert str(transcript.query_one(Earlier).render()) == "↑ 20 earlier messages"

    run(use)


def test_a_click_on_the_line_brings_earlier_messages() -> None:
    async def use(app: Talk, transcript: Transcript, pilot: Pilot[None]) -> None:
        transcript.styles.height = 200
        await transcript.show(branch(45))
        await settle(pilot)
        await pilot.click(Earlier)
        await settle(pilot)
        assert ids(transcript) == list(range(1, 46))
        assert not transcript.query_one(Earlier).display

    run(use, (80, 200))


def test_what_fills_the_screen_is_seen_before_the_rest_is_mounted() -> None:
    async def use(app: Talk, transcript: Transcript, pilot: Pilot[None]) -> None:
        at_first = transcript.size.height // LEAST_LINES + 1
        assert at_first < MOUNTED
        await transcript.show(branch(100))
        assert ids(transcript) == list(range(101 - at_first, 101))
        await settle(pilot)
        assert ids(transcript) == list(range(101 - MOUNTED, 101))
        assert transcript.is_following
        assert transcript.scroll_y == transcript.max_scroll_y

    run(use)


def test_no_message_takes_less_than_is_counted_on() -> None:
    async def use(app: Talk, transcript: Transcript, pilot: Pilot[None]) -> None:
        await transcript.show([replace(each, message=replace(each.message, content="a")) for each in branch(30)])
        await settle(pilot)
        tops = [view.region.y for view in transcript.views]
        assert len(tops) == 30
        assert min(below - above for above, below in pairwise(tops)) == LEAST_LINES

    run(use)


def test_an_answer_takes_back_what_was_brought() -> None:
    async def use(app: Talk, transcript: Transcript, pilot: Pilot[None]) -> None:
        await transcript.show(branch(100))
        transcript.post_message(Earlier.Wanted())
        await settle(pilot)
        assert len(ids(transcript)) == 2 * MOUNTED
        await transcript.begin(Shown(message(101)), Shown(message(102, status=Status.STREAMING)))
        assert ids(transcript) == list(range(63, 103))

    run(use)


# Streaming


async def begin(transcript: Transcript, pilot: Pilot[None], before: int = 20) -> Message:
    await transcript.show(branch(before))
    reply = replace(message(before + 2, status=Status.STREAMING), content="")
    await transcript.begin(Shown(message(before + 1)), Shown(reply))
    await settle(pilot)
    return reply


def test_an_answer_grows_at_the_end_and_ends() -> None:
    async def use(app: Talk, transcript: Transcript, pilot: Pilot[None]) -> None:
        reply = await begin(transcript, pilot)
        transcript.wait_for(reply.id, "loading the model")
        await settle(pilot)
        assert "… loading the model" in screen(app)[row_of(app, "loading")]
        for line in range(8):
            transcript.grow(reply.id, f"line {line}\n" * 4)
            await pilot.pause()
            assert transcript.scroll_y == transcript.max_scroll_y
        transcript.grow(999, "nowhere")
        transcript.end(Shown(replace(reply, content="other", status=Status.STOPPED)))
        await settle(pilot)
        assert [line.strip() for line in screen(app)[row_of(app, "other") :][:2]] == ["other", "stopped"]

    run(use)


def test_nothing_above_moves_once_the_person_scrolls_up() -> None:
    async def use(app: Talk, transcript: Transcript, pilot: Pilot[None]) -> None:
        reply = await begin(transcript, pilot)
        transcript.grow(reply.id, "line\n" * 30)
        await settle(pilot)
        transcript.scroll_relative(y=-3, animate=False, immediate=True)
        await settle(pilot)
        before, y = [line[:70].rstrip() for line in screen(app)], transcript.scroll_y
        for _ in range(5):
            transcript.grow(reply.id, "more\n")
            await settle(pilot)
        assert ([line[:70].rstrip() for line in screen(app)], transcript.scroll_y) == (before, y)  # but the scroll bar
        assert not transcript.is_following
        transcript.scroll_end(animate=False)
        await settle(pilot)
        transcript.grow(reply.id, "and more\n" * 5)
        await settle(pilot)
        assert transcript.scroll_y == transcript.max_scroll_y

    run(use)


def test_scrolling_down_at_the_end_does_not_let_go() -> None:
    async def use(app: Talk, transcript: Transcript, pilot: Pilot[None]) -> None:
        reply = await begin(transcript, pilot)
        transcript.focus()
        await pilot.press("pagedown", "end")
        transcript.grow(reply.id, "line\n" * 30)
        await settle(pilot)
        assert transcript.scroll_y == transcript.max_scroll_y

    run(use)


def test_a_retry_replaces_the_answer_in_its_place() -> None:
    async def use(app: Talk, transcript: Transcript, pilot: Pilot[None]) -> None:
        await transcript.show(branch(6))
        reply = replace(message(8, status=Status.STREAMING), parent=3)
        await transcript.begin(None, Shown(reply, 2, 2))
        assert ids(transcript) == [1, 2, 3, 8]
        await transcript.begin(Shown(replace(message(9), parent=2)), Shown(replace(message(10), parent=9)))
        assert ids(transcript) == [1, 2, 9, 10]
        await transcript.begin(Shown(message(1)), Shown(message(2)))
        assert ids(transcript) == [1, 2]

    run(use)


# Selection


def selected(transcript: Transcript) -> list[int]:
    return [view.shown.message.id for view in transcript.query(MessageView) if view.has_class("-selected")]


def test_the_newest_answer_is_selected_while_focused() -> None:
    async def use(app: Talk, transcript: Transcript, pilot: Pilot[None]) -> None:
        await transcript.show(branch(5))
        await settle(pilot)
        assert selected(transcript) == []
        transcript.focus()
        await settle(pilot)
        assert selected(transcript) == [4]
        for keys, now in [("up", 3), ("up", 2), ("down", 3), ("down", 4), ("down", 5), ("down", 5)]:
            await pilot.press(keys)
            assert selected(transcript) == [now]
        app.query_one(Input).focus()
        await settle(pilot)
        assert selected(transcript) == []

    run(use)


def test_the_selection_is_brought_into_view() -> None:
    async def use(app: Talk, transcript: Transcript, pilot: Pilot[None]) -> None:
        await transcript.show(branch(40))
        transcript.focus()
        await settle(pilot)
        await pilot.press(*["up"] * 9)
        await settle(pilot)
        assert any("message 31" in line for line in screen(app))

    run(use)


def test_a_click_selects() -> None:
    async def use(app: Talk, transcript: Transcript, pilot: Pilot[None]) -> None:
        await transcript.show(branch(4))
        await settle(pilot)
        await pilot.click(offset=(6, row_of(app, "message 2")))
        await settle(pilot)
        assert transcript.has_focus
        assert selected(transcript) == [2]

    run(use)


def press(shown: Sequence[Shown], *keys: str) -> list[TextualMessage]:
    """What these keys want, each pressed alone."""
    noted: list[TextualMessage] = []

    async def use(app: Talk, transcript: Transcript, pilot: Pilot[None]) -> None:
        await transcript.show(shown)
        transcript.focus()
        await settle(pilot)
        for key in keys:
            await pilot.press(key)
            await pilot.pause(ALONE_S + 0.05 if len(key) == 1 else 0)
        await settle(pilot)
        noted.extend(app.wanted)

    run(use)
    return noted


def test_keys_want_something_of_an_answer() -> None:
    good = Shown(replace(message(2), rating=Rating.GOOD), 2, 3)
    shown = [Shown(message(1)), good]
    assert press(shown, "e", "g", "b", "r", "left", "right", "c", "d") == [
        Transcript.EditWanted(good.message),
        Transcript.RatingWanted(good.message, None),
        Transcript.RatingWanted(good.message, Rating.BAD),
        Transcript.RetryWanted(good.message),
        Transcript.SiblingWanted(good.message, -1),
        Transcript.SiblingWanted(good.message, 1),
        Transcript.CopyWanted(good.message),
        Transcript.DeleteWanted(good.message),
    ]


def test_a_prompt_is_neither_rated_nor_retried_and_an_unfinished_answer_only_looked_at() -> None:
    asked = branch(2)
    assert press(asked, "up", "e", "g", "b", "r", "left", "right") == [Transcript.EditWanted(asked[0].message)]
    unfinished = [Shown(message(1)), Shown(message(2, status=Status.STREAMING))]
    assert press(unfinished, "e", "g", "b", "r", "c", "d") == []


@pytest.mark.parametrize("then", ["up", "escape", "left"])
def test_a_key_behind_a_letter_does_not_change_what_the_letter_is_about(then: str) -> None:
    noted: list[TextualMessage] = []

    async def use(app: Talk, transcript: Transcript, pilot: Pilot[None]) -> None:
        await transcript.show(branch(4))
        transcript.focus()
        await settle(pilot)
        for key in ("g", then):
            app.post_message(Key(key, key if len(key) == 1 else None))
        await pilot.pause(ALONE_S + 0.1)
        noted.extend(app.wanted)

    run(use)
    assert noted[0] == Transcript.RatingWanted(message(4), Rating.GOOD)
    assert not any(isinstance(each, Transcript.Wrote) for each in noted)


@pytest.mark.parametrize("typed", ["big", "e g", "/train", "good?", "ö", "jk"])
def test_letters_of_a_word_are_text_and_no_keys(typed: str) -> None:
    noted: list[TextualMessage] = []

    async def use(app: Talk, transcript: Transcript, pilot: Pilot[None]) -> None:
        await transcript.show(branch(2))
        transcript.focus()
        await settle(pilot)
        for letter in typed:
            app.post_message(Key({" ": "space", "/": "slash", "?": "question_mark"}.get(letter, letter), letter))
        await pilot.pause(ALONE_S + 0.1)
        noted.extend(app.wanted)

    run(use)
    assert "".join(each.text for each in noted if isinstance(each, Transcript.Wrote)) == typed
    assert all(isinstance(each, Transcript.Wrote) for each in noted)


@pytest.mark.parametrize("key", ["escape", "enter"])
def test_leaving_goes_back_to_the_prompt(key: str) -> None:
    [left] = press(branch(2), key)
    assert isinstance(left, Transcript.Left)


def test_the_footer_names_the_keys_that_work() -> None:
    async def use(app: Talk, transcript: Transcript, pilot: Pilot[None]) -> None:
        await transcript.show([*branch(1), Shown(message(2), 1, 2)])
        transcript.focus()
        await settle(pilot)
        await pilot.pause(0.1)
        line = " ".join(screen(app)[-1].split())
        assert line.startswith("e edit g good b bad r retry m more c copy ←→ others")
        await pilot.press("up")
        await pilot.pause(0.1)
        assert "retry" not in screen(app)[-1]

    run(use, footer=True)


# Width


@pytest.mark.parametrize(("width", "longest"), [(80, 75), (120, 100), (200, 100), (20, 17)])
def test_the_column_of_talk_has_a_greatest_width(width: int, longest: int) -> None:
    async def use(app: Talk, transcript: Transcript, pilot: Pilot[None]) -> None:
        await transcript.show([Shown(message(2, "word " * 100))])
        await settle(pilot)
        lines = [line for line in screen(app) if "word" in line]
        text = max(len(line.strip()) for line in lines)
        assert longest - 5 <= text <= longest
        assert min(len(line) - len(line.lstrip()) for line in lines) == max(3, (width - 2 - 104) // 2 + 2 - width % 2)

    run(use, (width, 20))


@pytest.mark.parametrize("number", [3, 4], ids=["question", "thought"])
def test_what_is_unfolded_at_the_end_is_read_from_its_beginning(number: int) -> None:
    lines = "\n".join(f"line {each}" for each in range(60))

    async def use(app: Talk, transcript: Transcript, pilot: Pilot[None]) -> None:
        shown = [*branch(2), Shown(message(3, lines)), Shown(message(4, f"<think>{lines}</think>Yes"))]
        await transcript.show(shown)
        await settle(pilot)
        assert transcript.is_following
        view = transcript.views[number - 1]
        before, height = view.region.y, view.size.height
        view.turn_folded() if number == 3 else view.turn_thought()
        await settle(pilot)
        assert view.size.height > height + 40
        assert (view.region.y, transcript.is_following) == (before, False)
        view.turn_folded() if number == 3 else view.turn_thought()
        await settle(pilot)
        assert (view.region.y, transcript.is_following) == (before, True)

    run(use)
