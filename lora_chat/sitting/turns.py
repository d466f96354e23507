"""Turns that are taken otherwise, and what is deleted and comes back. Owns what may be done with what was said; never
draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_chat.chat.attached import parted
from lora_chat.chat.conversation import Message, Rating, Role
from lora_chat.chat.removal import RemovedConversation, remove, restore, restore_conversation
from lora_chat.errors import NotFoundError, RefusedError, UsageError
from lora_chat.sitting.attaching import attach
from lora_chat.sitting.listing import title_of
from lora_chat.text import clean, clean_line

if TYPE_CHECKING:
    from lora_chat.sitting.sitting import Sitting


def branch(sitting: Sitting, text: str) -> None:
    """Ask the last question in other words."""
    question = _last_question(sitting)
    if text:
        ask_otherwise(sitting, question, text)
    else:
        sitting.face.write_question(question)


def ask_otherwise(sitting: Sitting, question: Message, text: str) -> None:
    """Have ``text`` answered in the place of ``question``, which is kept beside it with all that followed.

    The files of ``question`` that ``text`` names too go with it as they were then.

    Raises:
        NotFoundError: the question was deleted meanwhile, or another file that ``text`` names is not there.
        RefusedError: it is no question, is not of the open conversation, there is nothing to answer, or such a file
            cannot be attached.
    """
    sitting.refresh()
    asked = sitting.store.message(question.id)
    if asked.role is not Role.USER:
        raise RefusedError("That is not a question: /edit writes the answer you wanted.")
    if not sitting.is_open(asked.conversation):
        raise RefusedError("Another conversation is open now: /open the one with that question, then ask it there.")
    if not clean(text).strip():
        raise RefusedError("There is nothing to answer: write the question in other words.")
    old = [each for each in sitting.branch() if each.id > asked.id]
    sitting.say(attach(text, parted(asked.content).files), asked)
    if vouched := sum(each.edited_from is not None or each.rating is Rating.GOOD for each in old):
        stay = "stays" if vouched == 1 else "stay"
        sitting.face.note(
            f"{_answers(vouched)} {stay} with the old question: a training learns from what is shown, ← shows it again."
        )


def delete(sitting: Sitting, what: str) -> None:
    """Delete the open conversation, or its last question with what followed; either can come back."""
    if what == "turn":
        delete_turn(sitting, _last_question(sitting))
    elif what:
        raise UsageError("Write /delete for this conversation, or /delete turn for its last question and the answer.")
    elif sitting.conversation is None:
        raise RefusedError("No conversation is open: /open one, then /delete.")
    else:
        delete_conversation(sitting, sitting.conversation.id)


def delete_conversation(sitting: Sitting, id: str) -> None:
    """Delete a conversation with all of its answers, without asking: it can come back.

    Raises:
        NotFoundError: it was deleted meanwhile.
    """
    title = title_of(sitting.store.conversation(id))
    sitting.delete(id)
    sitting.face.note(f"“{title}” is deleted: /undo brings it back, until you leave.")


def delete_turn(sitting: Sitting, message: Message) -> None:
    """Delete ``message`` with all that followed it. Raises as ``remove``."""
    removed = remove(sitting.store, message.id)
    sitting.removed.append(removed)
    _look_again(sitting)
    them, they = ("messages are", "them") if len(removed) > 1 else ("message is", "it")
    among = f", {_answers(removed.vouched)} among them" if removed.vouched else ""
    sitting.face.note(f"{len(removed):,} {them} deleted{among}: /undo brings {they} back, until you leave.")


def undo(sitting: Sitting, rest: str) -> None:
    """Bring back what was deleted last, and show it.

    Raises:
        RefusedError: nothing was deleted in this sitting.
        NotFoundError: what it belongs to was deleted since.
    """
    if not sitting.removed:
        raise RefusedError("Nothing was deleted since you came: /delete or d deletes, a conversation or a turn.")
    removed = sitting.removed[-1]
    if isinstance(removed, RemovedConversation):
        restore_conversation(sitting.store, removed)
        sitting.removed.pop()
        _show_again(sitting, removed)
        return
    try:
        restore(sitting.store, removed)
    except NotFoundError:
        sitting.removed.pop()  # else nothing before it could ever come back
        raise
    sitting.removed.pop()
    if sitting.is_open(removed.conversation):
        _look_again(sitting)
    else:
        sitting.open(removed.conversation)
    them = "messages are" if len(removed) > 1 else "message is"
    sitting.face.note(f"{len(removed):,} {them} back.")


def _show_again(sitting: Sitting, removed: RemovedConversation) -> None:
    """A conversation that is back is opened where none is open; else it is listed, and what is open stays."""
    if sitting.conversation is None:
        sitting.open(removed.conversation)
    else:
        sitting.face.changed()
    sitting.face.note(f"“{clean_line(removed.title, 60) or 'untitled'}” is back.")


def _answers(vouched: int) -> str:
    return f"{vouched:,} answer{'' if vouched == 1 else 's'} that you vouched for"


def _look_again(sitting: Sitting) -> None:
    sitting.refresh()
    sitting.face.changed()
    sitting.prefill()


def _last_question(sitting: Sitting) -> Message:
    sitting.refresh()
    questions = [message for message in sitting.branch() if message.role is Role.USER]
    if not questions:
        raise RefusedError("There is no question yet: write a message first.")
    return questions[-1]
