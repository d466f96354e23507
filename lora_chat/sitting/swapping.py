"""Another base for the chat: what ``/model use`` does, and what a chat of another base is told. Owns their words.

A base is changed by ending the engine process that holds it and starting another: all of its memory is free before the
next one is loaded, so that two need never fit beside each other.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, cast

from lora_chat.config import LOCAL
from lora_chat.errors import LoraChatError, NotFoundError, RefusedError
from lora_chat.models.answering import Served, base_of
from lora_chat.models.installed import InstalledBase, find_base
from lora_chat.session import Ended, TurnEvent
from lora_chat.sitting.bases import fitting
from lora_chat.sitting.face import Turn
from lora_chat.text import clean_line

if TYPE_CHECKING:
    from lora_chat.chat.conversation import Conversation
    from lora_chat.sitting.sitting import Sitting

SHOWN = 6
"""Names of adapters in one row; how many more fit is said."""


def model_use(sitting: Sitting, name: str) -> None:
    """Have another base answer in this conversation, from the next answer on.

    Raises:
        NotFoundError: it is not on this machine.
        RefusedError: an answer is being made or an adapter trained with the one that would be put away.
    """
    found, base = _here(sitting, name), sitting.answerer
    if isinstance(base, Served):
        raise RefusedError(f'{base.name} answers, on a server: with engine = "{LOCAL}" in the settings {found.name} '
                           "does from the next start on.")  # fmt: skip
    if found.name == base.name:
        sitting.face.note(f"{found.name} answers already.")
        return
    if sitting.is_training:
        training = sitting.training
        what = training.name if training is not None else "an adapter"
        raise RefusedError(f"{what} is trained on {base.name}: wait for its end, or /train cancel, first.")
    sitting.face.check_idle()
    before = base.name
    sitting.change_base(found)
    sitting.face.note(f"{found.name} answers from the next answer on; {before} is put away. {_fitting(sitting, found)}")


def _here(sitting: Sitting, name: str) -> InstalledBase:
    try:
        return find_base(sitting.services.paths.models, name)
    except NotFoundError:
        if name and sitting.face.coming() == name:
            raise RefusedError(f"{clean_line(name, 60)} comes just now: have it answer once it is here.") from None
        raise


def held_here(sitting: Sitting, conversation: Conversation, turn: Turn) -> Turn:
    """``turn``, once it has made an answer, makes the base that made it the conversation's; nothing less does."""
    store, face = sitting.store, sitting.face
    if conversation.model == sitting.answerer.name and not isinstance(sitting.answerer, Served):
        return turn

    def held(cancel: threading.Event) -> Iterator[TurnEvent]:
        with closing(cast("Generator[TurnEvent]", turn(cancel))) as events:
            for event in events:
                here = sitting.answerer.name  # a server's is known once it answered
                if isinstance(event, Ended) and conversation.model != here:
                    store.update_conversation(conversation.id, model=here)
                    face.warn("")
                yield event

    return held


def told_of_another(sitting: Sitting, held: str) -> str:
    """What is said of a conversation that was ``held`` with another base than the one that answers; else nothing."""
    base = sitting.answerer
    is_served = isinstance(base, Served)
    if not held or held == base.name or not base.signature.lineage:
        return ""
    if is_served and held == sitting.services.config.engine:  # nobody had answered in it yet
        return ""
    try:
        there = find_base(sitting.services.paths.models, held)
    except NotFoundError:
        if base.signature.is_called(held):  # it was installed under another name then
            return ""
        if is_served:
            return f"This was held with {clean_line(held, 60)}: {base.name} answers."
        return f"This was held with {clean_line(held, 60)}, which is not on this machine: {base.name} answers."
    except LoraChatError as error:
        return f"This was held with {clean_line(held, 60)}: {base.name} answers. {error}"
    if there == base_of(base):
        return ""
    if is_served:
        return f"This was held with {there.name}: {base.name} answers."
    return f"This was held with {there.name}: {base.name} answers, and /model use {there.name} goes back."


def _fitting(sitting: Sitting, base: InstalledBase) -> str:
    """Which of the installed adapters can be worn on it: as their headers say, without reading a weight."""
    fit = fitting(sitting.services, base)
    if not fit:
        return "No adapter here was made for it."
    more = f" and {len(fit) - SHOWN:,} more" if len(fit) > SHOWN else ""
    return f"{', '.join(fit[:SHOWN])}{more} fit{'s' if len(fit) == 1 else ''}."
