"""What a conversation wears, looked after: put on again, and seen when it changed. Owns the words; never asks.

A server says who answers once it was asked, which may be after something was put on: that is then held against it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_chat.errors import LoraChatError
from lora_chat.sitting.changes import what_became_of

if TYPE_CHECKING:
    from lora_chat.session import Wearing
    from lora_chat.sitting.sitting import Sitting


def wear_again(sitting: Sitting, name: str | None, scale: float) -> str:
    """Wear what was chosen before, or nothing where that cannot be; then what is said of it.

    One that was made for another base was agreed to where it is in this sitting, or answered here on this base.
    """
    sitting.wearing = None
    try:
        wearing = sitting.checked(sitting.services.wear(name, scale)) if name else None
        is_asked = wearing is not None and not _wore(sitting, wearing)
        doubts = sitting.services.check_fit(wearing, sitting.answerer) if wearing is not None and is_asked else []
    except LoraChatError as error:
        return f"{error} The base answers."
    if doubts:
        return f"{doubts[0]} The base answers; /adapter use {name} asks."
    sitting.wearing = wearing
    return ""


def _wore(sitting: Sitting, wearing: Wearing) -> bool:
    """Whether it was agreed to on this base, or has answered in the open conversation on it."""
    current, who = sitting.conversation, sitting.answerer.name
    answered = current is not None and sitting.store.has_answer(current.id, who, wearing.name)
    return answered or all(adapter.sha256 in sitting.agreed for adapter in wearing.adapters)


def look_after(sitting: Sitting) -> None:
    """See ``Sitting.look_after_what_is_worn``."""
    if sitting.wearing is not None and not all(map(sitting.services.index.is_as_listed, sitting.wearing.adapters)):
        _look_anew(sitting, sitting.wearing)
    who = sitting.answerer
    if who is not sitting.met and who.signature.lineage:
        sitting.met = who
        if sitting.wearing is not None:
            _hold_against(sitting, sitting.wearing)


def _look_anew(sitting: Sitting, wearing: Wearing) -> None:
    catalog, now = sitting.services.adapters(), wearing
    for worn in wearing.adapters:
        change = what_became_of(worn, catalog, sitting.standings)
        if change.now is None:
            sitting.wear(None)
            sitting.face.warn(change.said)
            return
        now = now.with_(change.now)
        if change.said:
            sitting.face.note(change.said)
    sitting.wear(now)


def _hold_against(sitting: Sitting, wearing: Wearing) -> None:
    """A server was met that had not been when this was put on: what it cannot wear is taken off, a doubt is told."""
    if sitting.answerer is sitting.base or _wore(sitting, wearing):
        return
    for adapter in wearing.adapters:
        standing = sitting.standings.of(adapter)
        if standing.refusal:
            sitting.wear(None)
            sitting.face.warn(f"{standing.refusal} The base answers.")
            return
        if standing.doubt:
            sitting.face.warn(f"{adapter.name}: {standing.doubt}")
