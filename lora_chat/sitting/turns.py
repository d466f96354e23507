"""Turns that are taken otherwise. Owns what may be done with a question or a turn that stands in the open conversation;
never draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_chat.chat.conversation import Message, Role
from lora_chat.errors import RefusedError
from lora_chat.text import clean

if TYPE_CHECKING:
    from lora_chat.sitting.sitting import Sitting


def branch(sitting: Sitting, text: str) -> None:
    """Ask the last question in other words."""
    sitting.refresh()
    questions = [message for message in sitting.branch() if message.role is Role.USER]
    if not questions:
        raise RefusedError("There is no question yet: write a message first.")
    if text:
        ask_otherwise(sitting, questions[-1], text)
    else:
        sitting.face.write_question(questions[-1])


def ask_otherwise(sitting: Sitting, question: Message, text: str) -> None:
    """Have ``text`` answered in the place of ``question``, which is kept beside it with all that followed.

    Raises:
        NotFoundError: the question was deleted meanwhile.
        RefusedError: it is no question, is not of the open conversation, or there is nothing to answer.
    """
    sitting.refresh()
    asked = sitting.store.message(question.id)
    if asked.role is not Role.USER:
        raise RefusedError("That is not a question: /edit writes the answer you wanted.")
    if not sitting.is_open(asked.conversation):
        raise RefusedError("Another conversation is open now: /open the one with that question, then ask it there.")
    if not clean(text).strip():
        raise RefusedError("There is nothing to answer: write the question in other words.")
    sitting.say(text, asked)
