"""How much of a conversation a base is given. Owns where it is cut; never counts a token or changes a message itself.

A conversation that outgrows the base's window loses its oldest exchanges, so many at once that the rest takes 60 % of
it: the following turns then begin alike, and what was read for one need not be read again for the next. What each
prompt begins with, a system prompt and the examples of a preset, and the newest message always stay. Where an answer's
prompt began is kept with it (``context_start``), so the cut stands where it is until the window is full again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lora_chat.chat.attached import names_of
from lora_chat.chat.conversation import Message, Role, Turn
from lora_chat.chat.thought import answer_of
from lora_chat.errors import RefusedError

KEPT = 0.6
"""The share of the window that a cut leaves filled."""

LEAST_ROOM = 0.25
"""The share of the window that is kept free for the answer, or all that it may have where that is less."""

Count = Callable[[tuple[Turn, ...]], int]
"""Tokens of the prompt that turns make."""


@dataclass(frozen=True)
class Context:
    """What of a conversation goes into a prompt."""

    messages: tuple[Turn, ...]
    """What each prompt begins with, and what was said from ``start`` on."""
    tokens: int
    """Of the prompt they make; 0 where nothing was said yet."""
    start: int | None
    """The first message's id; None where nothing is left out."""
    left_out: int
    """Messages before it."""


def start_of(branch: Sequence[Message], base: str) -> int | None:
    """Where the prompt of the newest answer that ``base`` gave in ``branch`` began; None: at the beginning."""
    for message in reversed(branch):
        if message.role is Role.ASSISTANT and message.base == base:
            return message.context_start
        if message.edited_from is not None and message.context_start is not None:
            return message.context_start  # of the answer that the person wrote this one in place of
    return None


def fit(
    branch: Sequence[Message],
    opening: tuple[Turn, ...],
    base: str,
    window: int,
    longest_answer: int,
    count: Count,
    preset: str = "",
    *,
    continues: bool = False,
) -> Context:
    """What of ``branch``, whose last message is to be answered, fits in the ``window`` of ``base`` with its answer.

    Where the last message is an answer, it is what the next prompt begins with, which may then fill the window: the
    next message is all that is left of it; unless that answer ``continues``, as ``count`` then knows. ``window`` and
    ``longest_answer`` are in tokens. ``opening`` is what each prompt begins with, the system prompt first if there is
    one, and is never cut; ``preset`` names where it is from.

    Raises:
        RefusedError: the last message is to be answered, or to go on, and too long behind ``opening``, with the
            numbers.
    """
    said = [message for message in branch if _read(message, base).content]
    ids = [message.id for message in said]
    start = start_of(branch, base)
    at = ids.index(start) if start in ids else 0

    def from_(place: int) -> Context:
        messages = (*opening, *(_read(message, base) for message in said[place:]))
        return Context(messages, count(messages), ids[place] if place else None, place)

    if not said:
        return Context(opening, 0, None, 0)
    whole = from_(at)
    if whole.tokens <= window - min(longest_answer, int(LEAST_ROOM * window)):
        return whole
    places = [place for place in range(at + 1, len(said)) if said[place].role is Role.USER]
    cut = _first(places, lambda place: from_(place).tokens <= KEPT * window)
    found = whole if cut is None else from_(cut)
    if continues and found.tokens >= window:
        raise RefusedError(
            f"That answer and its question make a prompt of {found.tokens:,} tokens and {base} takes {window:,}: "
            f"there is no room for it to go on; ask for the rest in a new message."
        )
    if found.tokens >= window and said[-1].role is Role.USER:
        files = names_of(said[-1].content)
        message = f"this message with {files}" if files else "this message"
        if preset and count((said[-1].turn,)) < window:
            raise RefusedError(
                f"The preset {preset} and {message} make a prompt of {found.tokens:,} tokens and {base} takes "
                f"{window:,} with the answer: leave the preset off, or shorten the message."
            )
        shorter = "attach the part that matters" if files else "shorten it"
        raise RefusedError(
            f"T{message[1:]} makes a prompt of {found.tokens:,} tokens and {base} takes {window:,} with the answer: "
            f"{shorter}."
        )
    return found


def _read(message: Message, base: str) -> Turn:
    """As ``base`` reads it: its own template knows what to do with its own thoughts, not with those of another base."""
    if message.role is not Role.ASSISTANT or message.base in (None, base):
        return message.turn
    return replace(message.turn, content=answer_of(message.content))


def _first(places: Sequence[int], fits: Callable[[int], bool]) -> int | None:
    """The first of ``places`` that fits, as all after it do; the last where none does, None where there are none."""
    low, high = 0, len(places) - 1
    while low < high:
        middle = (low + high) // 2
        if fits(places[middle]):
            high = middle
        else:
            low = middle + 1
    return places[high] if places else None
