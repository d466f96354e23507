"""What of a conversation is copied. Owns how that is asked for and found; where it goes is ``clipboard``'s."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_chat.chat.conversation import Message, Role
from lora_chat.chat.reading import codes_of
from lora_chat.chat.thought import answer_of
from lora_chat.chat.transcript import Format, export_conversations
from lora_chat.errors import RefusedError, UsageError
from lora_chat.text import clean

if TYPE_CHECKING:
    from lora_chat.sitting.sitting import Sitting

WISHES = (
    ("code", "the last block of code; code 2 is the second of that answer"),
    ("chat", "the whole conversation, as Markdown"),
)
"""What can be copied instead of the last answer."""


def copy(sitting: Sitting, wish: str) -> None:
    """The last answer, the last code, all of it, or the so-many-th answer from the end."""
    sitting.face.copy(_found(sitting, wish.lower()))


def copy_message(sitting: Sitting, message: Message) -> None:
    """One message as it was said, without what was thought before it.

    Raises:
        RefusedError: there is nothing in it.
    """
    sitting.face.copy(_required(_said(sitting.store.message(message.id))))


def codes_said(content: str) -> list[str]:
    """What stands in each block of code of an answer, as they are numbered where it is shown."""
    return codes_of(_answer(content))


def _found(sitting: Sitting, wish: str) -> str:
    sitting.refresh()
    if not wish:
        return _required(_said(sitting.last_answer()))
    if wish in ("chat", "all"):
        chosen = [sitting.conversation.id] if sitting.conversation is not None else []
        return _required("".join(export_conversations(sitting.store, chosen, Format.MARKDOWN)).strip())
    answers = [message.content for message in reversed(sitting.branch()) if message.role is Role.ASSISTANT]
    what, _, number = wish.partition(" ")
    if what == "code":
        blocks = next((blocks for each in answers if (blocks := codes_said(each))), [])
        if not blocks:
            raise RefusedError("There is no code in this conversation: /copy takes the last answer.")
        return _required(_block(blocks, number.strip()))
    return _required(_answer(_from_the_end(answers, wish)))


def _block(blocks: list[str], wish: str) -> str:
    """The last one, or the one of that number."""
    if not wish:
        return blocks[-1]
    number = _number(wish)
    if not number:
        raise UsageError("Write /copy code for the last block of code, or /copy code 2 for the second of that answer.")
    if number > len(blocks):
        there = f"{len(blocks)} block{'' if len(blocks) == 1 else 's'}"
        raise RefusedError(f"The last answer with code has {there} of it: /copy code 1 is the first.")
    return blocks[number - 1]


def _said(message: Message) -> str:
    return _answer(message.content) if message.role is Role.ASSISTANT else message.content


def _answer(content: str) -> str:
    return answer_of(clean(content))  # in this order, as the screen does: a carriage return hides where a thought ends


def _from_the_end(answers: list[str], wish: str) -> str:
    """The last answer is 1, the one before it 2."""
    number = _number(wish)
    if not number:
        raise UsageError("Write /copy, /copy code, /copy chat, or /copy 2 for the answer before the last.")
    if number > len(answers):
        there = f"{len(answers)} answer{'' if len(answers) == 1 else 's'}"
        raise RefusedError(f"This conversation has {there}: /copy 1 is the last.")
    return answers[number - 1]


def _number(wish: str) -> int:
    """What was counted to, from 1; 0 is no number."""
    return int(wish) if wish.isdecimal() and len(wish) < 10 else 0


def _required(text: str) -> str:
    if not text:
        raise RefusedError("There is nothing to copy there: choose a message with words in it.")
    return text
