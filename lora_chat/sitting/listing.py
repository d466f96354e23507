"""Where conversations stand in the list. Owns pinning and putting away; never deletes one and never draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_chat.errors import RefusedError
from lora_chat.text import clean_line

if TYPE_CHECKING:
    from lora_chat.chat.conversation import Conversation
    from lora_chat.sitting.sitting import Sitting


def pin(sitting: Sitting, rest: str) -> None:
    """Keep the open conversation at the top of the list, or no longer."""
    current = _open(sitting, "/pin")
    turn_pin(sitting, current.id)


def archive(sitting: Sitting, rest: str) -> None:
    """Put the open conversation away, or list it again."""
    current = _open(sitting, "/archive")
    turn_archive(sitting, current.id)


def archived(sitting: Sitting, rest: str) -> None:
    """Show what was put away."""
    if not sitting.store.listed(1, archived=True):
        raise RefusedError("Nothing is archived: /archive puts the open conversation away.")
    sitting.face.choose_conversation(True)


def turn_pin(sitting: Sitting, id: str) -> None:
    """Pin a conversation, or let go of a pinned one; one that was archived is listed again.

    Raises:
        NotFoundError: it was deleted meanwhile.
    """
    before = sitting.store.conversation(id)
    now = sitting.store.update_conversation(before.id, pinned=not before.pinned)
    _look_again(sitting, now)
    said = "stands at the top of the list: /pin again lets it go" if now.pinned else "is no longer pinned"
    sitting.face.note(f"“{title_of(now)}” {said}.")


def turn_archive(sitting: Sitting, id: str) -> None:
    """Put a conversation away, or list it again; where the open one is put away, a new one begins.

    Raises:
        NotFoundError: it was deleted meanwhile.
    """
    before = sitting.store.conversation(id)
    now = sitting.store.update_conversation(before.id, archived=not before.archived)
    if now.archived:
        sitting.put_down(now.id)
    else:
        _look_again(sitting, now)
    said = "is archived: /archived lists it, and search finds it" if now.archived else "is listed again"
    sitting.face.note(f"“{title_of(now)}” {said}.")


def title_of(conversation: Conversation) -> str:
    """What it is called in a sentence."""
    return clean_line(conversation.title, 60) or "untitled"


def _open(sitting: Sitting, command: str) -> Conversation:
    sitting.refresh()
    if sitting.conversation is None:
        raise RefusedError(f"No conversation is open yet: write a message, or /open one, then {command}.")
    return sitting.conversation


def _look_again(sitting: Sitting, now: Conversation) -> None:
    if sitting.is_open(now.id):
        sitting.conversation = now
    sitting.face.changed()
