"""An answer's row while it is written, also one that goes on. Owns what is kept when; never generates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Unpack

from lora_chat.chat.conversation import Message, Status
from lora_chat.chat.rows import MESSAGE_FIELDS, AnswerFields, MessageFields
from lora_chat.chat.store import Store


@dataclass(frozen=True)
class Growing:
    """The row of one answer."""

    store: Store
    begun: Message
    """What was there when its writing began."""
    made_by: AnswerFields | None = None
    """Who writes on, where it was there before; None for a new one."""

    def keep(self, text: str, **changes: Unpack[MessageFields]) -> Message:
        """Write ``text`` and ``changes``.

        What was vouched for, by a rating or by having been written by the person, was another text: with the first word
        that is added neither holds for the whole.
        """
        values: MessageFields = {"content": text, **changes}
        if self.made_by is not None and text.strip() != self.begun.content.strip():
            values = {**self.made_by, "rating": None, "edited_from": None, **values}
        return self.store.update_message(self.begun.id, **values)


def goes_on(store: Store, answer: Message) -> Message:
    """Mark ``answer`` as being written again; half a character at its end goes, as it is made again."""
    text = answer.content.rstrip("\ufffd") if answer.edited_from is None else answer.content
    return store.update_message(answer.id, content=text, status=Status.STREAMING, error=None, finish_reason=None)


def as_it_was(store: Store, answer: Message, *, ended: bool = False) -> Message:
    """Let ``answer``, to which nothing was added, be as it was; ``ended``: the base says now that it is whole."""
    values: dict[str, Any] = {name: getattr(answer, name) for name in MESSAGE_FIELDS}
    if ended and answer.edited_from is None:
        values |= {"status": Status.DONE, "finish_reason": "stop", "error": None}
    return store.update_message(answer.id, **values)
