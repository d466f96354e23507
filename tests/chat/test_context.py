"""Where a conversation that outgrows its base is cut: as late as can be, as rarely as can be, and the same again."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import ceil, log2

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lora_chat.chat.context import KEPT, LEAST_ROOM, Context, Count, fit, start_of
from lora_chat.chat.conversation import Message, Role, Status, Turn
from lora_chat.errors import RefusedError

BASE = "tiny"
FIRST_ID = 40
"""No id is its place."""


def message(id: int, role: Role, content: str, base: str | None = None, start: int | None = None) -> Message:
    return Message(
        id=id,
        conversation="c",
        parent=id - 3 if id > FIRST_ID else None,
        role=role,
        content=content,
        status=Status.DONE,
        created_at=0.0,
        base=base if role is Role.ASSISTANT else None,
        context_start=start,
    )


@dataclass(frozen=True)
class Counter:
    """A monotone token count: letters, and what a template writes around a prompt and each message; asked how often."""

    before: int = 0
    around: int = 1
    letters: int = 1
    """In a token."""
    asked: list[tuple[Turn, ...]] = field(default_factory=list)

    def __call__(self, turns: tuple[Turn, ...]) -> int:
        self.asked.append(turns)
        return self.before + sum(self.around + ceil(len(turn.content) / self.letters) for turn in turns)


COUNTERS = st.builds(Counter, st.integers(0, 5), st.integers(0, 4), st.integers(1, 4))
LENGTHS = st.lists(st.integers(0, 60), min_size=1, max_size=40)
WINDOWS = st.integers(20, 400)
LONGEST = st.integers(1, 200)
SYSTEMS = st.sampled_from(["", "s", "s" * 17])


def branch_of(lengths: list[int], *, answered: bool = False) -> list[Message]:
    """Questions and answers of these lengths, which may be 0; the last one is a question unless ``answered``."""
    roles = [Role.USER, Role.ASSISTANT] if (len(lengths) % 2 == 0) == answered else [Role.ASSISTANT, Role.USER]
    said = [
        message(FIRST_ID + 3 * place, roles[place % 2], chr(97 + place % 26) * length, BASE)
        for place, length in enumerate(lengths)
    ]
    return said[1:] if said[0].role is Role.ASSISTANT else said


def limit(window: int, longest: int) -> int:
    """What a prompt may take before it is cut."""
    return window - min(longest, int(LEAST_ROOM * window))


def opening_of(system: str) -> tuple[Turn, ...]:
    return (Turn(Role.SYSTEM, system),) if system else ()


def prompt_of(said: list[Message], place: int, system: str) -> tuple[Turn, ...]:
    return (*opening_of(system), *(each.turn for each in said[place:]))


def fitted(
    branch: list[Message],
    count: Count,
    window: int,
    longest: int = 10**9,
    system: str = "",
    base: str = BASE,
) -> Context | None:
    """None: it is refused."""
    try:
        return fit(branch, opening_of(system), base, window, longest, count)
    except RefusedError:
        return None


def spoken(branch: list[Message]) -> list[Message]:
    return [each for each in branch if each.content]


@given(lengths=LENGTHS, window=WINDOWS, longest=LONGEST, system=SYSTEMS, count=COUNTERS)
def test_what_fits_whole_is_whole(lengths: list[int], window: int, longest: int, system: str, count: Counter) -> None:
    branch = branch_of(lengths)
    said = spoken(branch)
    assume(said)
    whole = prompt_of(said, 0, system)
    found = fitted(branch, count, window, longest, system)
    if count(whole) <= limit(window, longest):
        assert found == Context(whole, count(whole), None, 0)
    else:
        assert found is None or found.start is not None or not any(each.role is Role.USER for each in said[1:])


@given(
    lengths=LENGTHS,
    window=WINDOWS,
    longest=LONGEST,
    system=SYSTEMS,
    count=COUNTERS,
    before=st.integers(0, 20),
    answered=st.booleans(),
)
def test_a_cut_leaves_60_percent_begins_with_a_question_and_is_the_earliest_that_does(
    lengths: list[int], window: int, longest: int, system: str, count: Counter, before: int, answered: bool
) -> None:
    branch = branch_of(lengths, answered=answered)
    said = spoken(branch)
    questions = [place for place, each in enumerate(said) if each.role is Role.USER]
    assume(questions)
    stood = questions[before % len(questions)]
    branch = [replace(each, context_start=said[stood].id if stood else None) for each in branch]
    stood = stood if start_of(branch, BASE) is not None else 0  # where nothing was answered nothing could be cut
    found = fitted(branch, count, window, longest, system)
    later = [place for place in questions if place > stood]
    if count(prompt_of(said, stood, system)) <= limit(window, longest):
        place = stood
    elif later:
        enough = [place for place in later if count(prompt_of(said, place, system)) <= KEPT * window]
        place = enough[0] if enough else later[-1]
    else:
        place = stood
    tokens = count(prompt_of(said, place, system))
    if found is None:
        assert tokens >= window
        assert said[-1].role is Role.USER
        return
    assert tokens < window or said[-1].role is Role.ASSISTANT
    assert found.messages == prompt_of(said, place, system)
    assert found.tokens == tokens
    assert found.left_out == place
    assert found.start == (said[place].id if place else None)
    assert found.messages[-1] == said[-1].turn, "what is to be answered stays"
    assert [turn for turn in found.messages if turn.role is Role.SYSTEM] == ([Turn(Role.SYSTEM, system)] * bool(system))


@given(
    pairs=st.lists(st.tuples(st.integers(1, 40), st.integers(0, 60)), min_size=5, max_size=40),
    window=st.integers(60, 300),
    longest=LONGEST,
    system=SYSTEMS,
    count=COUNTERS,
)
def test_over_a_long_talk_the_beginning_stands_until_the_window_is_full_again(
    pairs: list[tuple[int, int]], window: int, longest: int, system: str, count: Counter
) -> None:
    branch: list[Message] = []
    stood: int | None = None
    for question, answer in pairs:
        asked = message(FIRST_ID + 3 * len(branch), Role.USER, "q" * question)
        found = fitted([*branch, asked], count, window, longest, system)
        if found is None:
            continue  # it was never said
        said = spoken([*branch, asked])
        ids = [each.id for each in said]
        place = ids.index(stood) if stood is not None else 0
        as_before = count(prompt_of(said, place, system))
        if as_before <= limit(window, longest):
            assert found.start == stood
        if found.start != stood:
            assert as_before > limit(window, longest)
            assert found.tokens <= KEPT * window or found.messages[-1:] == found.messages[bool(system) :]
        assert found.start is None or found.start >= (stood or 0), "what was left out never comes back"
        again = fitted([*branch, asked], count, window, longest, system)
        assert again == found, "a retry reads the same"
        stood = found.start
        branch += [asked, message(asked.id + 3, Role.ASSISTANT, "a" * answer, BASE, stood)]


def letters(turns: tuple[Turn, ...]) -> int:
    return sum(len(turn.content) for turn in turns)


def full() -> list[Message]:
    """Five questions and four answers of ten letters."""
    return branch_of([10] * 9)


@pytest.mark.parametrize(
    ("window", "left_out"),
    [
        (120, 0),  # 90 of 120 leaves a quarter
        (119, 0),
        (118, 2),  # 70 of 70.8
        (117, 2),  # 70 of 70.2
        (116, 4),  # 70 would be over 69.6
        (84, 4),  # 50 of 50.4
        (83, 6),
        (11, 8),  # the last message alone
    ],
)
def test_exchanges_go_whole_until_60_percent_are_left(window: int, left_out: int) -> None:
    found = fit(full(), (), BASE, window, 10**9, letters)
    assert (found.left_out, found.tokens) == (left_out, 90 - 10 * left_out)
    assert found.start == (full()[left_out].id if left_out else None)


def test_a_short_answer_needs_no_quarter_of_the_window() -> None:
    assert fit(full(), (), BASE, 100, 10, letters).left_out == 0
    assert fit(full(), (), BASE, 100, 11, letters).left_out == 4


def test_nothing_said_is_nothing_even_where_the_system_prompt_is_too_long() -> None:
    assert fit([], (), BASE, 10, 5, letters) == Context((), 0, None, 0)
    long = Turn(Role.SYSTEM, "s" * 99)
    assert fit([], (long,), BASE, 10, 5, letters) == Context((long,), 0, None, 0)


def test_answers_that_never_came_are_neither_read_nor_counted() -> None:
    branch = full()
    silent = [replace(each, content="") if each.role is Role.ASSISTANT else each for each in branch[:4]] + branch[4:]
    found = fit(silent, (), BASE, 84, 10**9, letters)
    assert all(turn.content for turn in found.messages)
    assert found.messages[0] == branch[4].turn
    assert found.left_out == 2, "of four messages two were never said"


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(RefusedError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize("earlier", [0, 8])
def test_a_message_that_is_too_long_alone_is_refused_with_both_numbers(earlier: int) -> None:
    branch = [*branch_of([10] * earlier, answered=True), message(900, Role.USER, "x" * 8192)] if earlier else []
    branch = branch or [message(900, Role.USER, "x" * 8192)]
    said = refusal(lambda: fit(branch, opening_of("s" * 1000), BASE, 8192, 512, letters))
    assert re.findall(r"[\d,]*\d", said) == ["9,192", "8,192"]
    assert BASE in said
    assert "\n" not in said
    assert said.endswith(".")
    assert fit([message(900, Role.USER, "x" * 8191)], (), BASE, 8192, 512, letters).tokens == 8191
    assert refusal(lambda: fit([message(900, Role.USER, "x" * 8192)], (), BASE, 8192, 512, letters))


def test_an_answered_conversation_that_fills_its_window_is_not_a_message_too_long() -> None:
    """What the next message begins with then: it is asked for when nobody wrote anything."""
    branch = [message(FIRST_ID, Role.USER, "q" * 40), message(FIRST_ID + 3, Role.ASSISTANT, "a" * 60, BASE)]
    found = fit(branch, (), BASE, 100, 50, letters)
    assert (found.tokens, found.left_out) == (100, 0)
    following = [*branch, message(FIRST_ID + 6, Role.USER, "q")]
    assert fit(following, (), BASE, 100, 50, letters).messages == (Turn(Role.USER, "q"),)


# What each prompt begins with

EXAMPLES = (Turn(Role.USER, "q" * 10), Turn(Role.ASSISTANT, "a" * 10))
OPENING = (Turn(Role.SYSTEM, "s" * 5), *EXAMPLES)


@pytest.mark.parametrize("opening", [EXAMPLES, OPENING], ids=["examples", "with a system prompt"])
@pytest.mark.parametrize("window", [60, 90, 120, 200])
def test_what_a_prompt_begins_with_is_never_cut(opening: tuple[Turn, ...], window: int) -> None:
    found = fit(full(), opening, BASE, window, 10, letters)
    assert found.messages[: len(opening)] == opening
    assert found.messages[len(opening) :] == tuple(each.turn for each in full()[found.left_out :])
    assert found.tokens == letters(found.messages) < window
    assert found.start == (full()[found.left_out].id if found.left_out else None)
    assert (found.left_out == 0) == (letters(opening) + letters(tuple(each.turn for each in full())) <= window - 10)


def test_nothing_said_is_what_the_prompt_begins_with() -> None:
    assert fit([], OPENING, BASE, 10, 5, letters) == Context(OPENING, 0, None, 0)


def test_a_preset_that_leaves_no_room_is_named_as_what_to_leave_off() -> None:
    asked = [message(900, Role.USER, "x" * 80)]
    said = refusal(lambda: fit(asked, OPENING, BASE, 100, 10, letters, "shop"))
    assert said == (
        "The preset shop and this message make a prompt of 105 tokens and tiny takes 100 with the answer: "
        "leave the preset off, or shorten the message."
    )
    assert fit([message(900, Role.USER, "x" * 74)], OPENING, BASE, 100, 10, letters, "shop").tokens == 99
    alone = refusal(lambda: fit([message(900, Role.USER, "x" * 100)], OPENING, BASE, 100, 10, letters, "shop"))
    assert alone.endswith("shorten it."), "without the preset it would be too long as well"
    assert refusal(lambda: fit(asked, OPENING, BASE, 100, 10, letters)).endswith("shorten it.")


# Where the newest prompt began


def started(branch: list[Message], place: int, start: int | None, base: str | None = BASE) -> list[Message]:
    changed = replace(branch[place], context_start=start, base=base)
    return [*branch[:place], changed, *branch[place + 1 :]]


def test_another_base_begins_at_the_beginning_and_the_first_one_goes_on_where_it_was() -> None:
    branch = started(full(), 7, FIRST_ID + 12)
    assert start_of(branch, BASE) == FIRST_ID + 12
    assert start_of(branch, "other") is None
    assert fit(branch, (), "other", 1000, 10, letters).left_out == 0
    assert fit(branch, (), BASE, 1000, 10, letters).left_out == 4
    answered = started(started(full(), 5, FIRST_ID + 12), 7, None, "other")
    assert start_of(answered, BASE) == FIRST_ID + 12


def test_the_newest_answer_alone_says_where_the_prompt_began() -> None:
    branch = started(started(full(), 3, FIRST_ID + 6), 7, FIRST_ID + 12)
    assert start_of(branch, BASE) == FIRST_ID + 12
    assert start_of(branch[:7], BASE) is None, "the answer before it read everything"
    assert start_of(branch[:5], BASE) == FIRST_ID + 6
    assert start_of(started(branch, 7, None), BASE) is None
    assert start_of([], BASE) is None


def test_an_answer_that_the_person_wrote_does_not_hide_the_cut_before_it() -> None:
    branch = started(started(full(), 5, FIRST_ID + 6), 7, None, None)
    assert start_of(branch, BASE) == FIRST_ID + 6
    assert fit(branch, (), BASE, 1000, 10, letters).left_out == 2


def test_a_beginning_that_is_not_in_the_branch_is_none() -> None:
    branch = started(full(), 7, 7777)
    assert fit(branch, (), BASE, 1000, 10, letters) == fit(full(), (), BASE, 1000, 10, letters)


# How often it counts


@pytest.mark.parametrize("exchanges", [1, 2, 3, 10, 100, 1000, 10_000])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99, 1.0])
def test_it_counts_as_often_as_halving_takes(exchanges: int, share: float) -> None:
    branch = branch_of([1] * (2 * exchanges - 1))
    count = Counter(around=0)
    fit(branch, (), BASE, max(8, int(share * 3 * exchanges)), 1, count)
    assert len(count.asked) <= 3 + ceil(log2(exchanges + 1))


@pytest.mark.parametrize("exchanges", [1, 1000])
def test_a_conversation_that_fits_is_counted_once(exchanges: int) -> None:
    count = Counter(around=0)
    fit(branch_of([1] * (2 * exchanges - 1)), opening_of("system"), BASE, 10**6, 512, count)
    assert len(count.asked) == 1


def test_nothing_said_is_not_counted() -> None:
    count = Counter()
    fit([], opening_of("system"), BASE, 100, 10, count)
    fit(branch_of([0]), opening_of("system"), BASE, 100, 10, count)
    assert count.asked == []
