"""The last answer going on where it ends. Owns whether it may and what is said of it; never generates or draws."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, cast

from lora_chat.chat.conversation import Message, Role, Status
from lora_chat.errors import RefusedError
from lora_chat.models.answering import Served
from lora_chat.session import Ended, TurnEvent
from lora_chat.sitting.swapping import held_here
from lora_chat.text import clean_line

if TYPE_CHECKING:
    from lora_chat.sitting.face import Turn
    from lora_chat.sitting.sitting import Sitting


def go_on(sitting: Sitting, rest: str) -> None:
    """Let the last answer go on."""
    sitting.refresh()
    branch = sitting.branch()
    if not branch:
        raise RefusedError("There is no answer yet to go on with: write a message first.")
    if branch[-1].role is not Role.ASSISTANT:
        raise RefusedError("The last question has no answer yet to go on with: /retry answers it.")
    let_go_on(sitting, branch[-1])


def let_go_on(sitting: Sitting, answer: Message) -> None:
    """Let ``answer`` go on where it ends, in the same message.

    Raises:
        RefusedError: it is not the last one, is empty or being written, or something else wrote it than is worn now.
        NotFoundError: it was deleted meanwhile.
    """
    sitting.refresh()
    old, current = sitting.store.message(answer.id), sitting.conversation
    if current is None or current.head != old.id:
        raise RefusedError("Only the last answer can go on: what follows this one has read it as it is.")
    if old.status is Status.STREAMING:
        raise RefusedError("That answer is still being written: wait for it or stop it first.")
    if not old.content.strip():
        raise RefusedError("There is nothing of that answer to go on with: /retry answers the question again.")
    sitting.look_after_what_is_worn()
    _check_writer(sitting, old)
    session, wearing, sampling = sitting.session, sitting.wearing, sitting.sampling()
    turn = held_here(sitting, current, lambda cancel: session.go_on(current, old, wearing, sampling, cancel))
    sitting.face.play(_told(sitting, old, turn))


def _check_writer(sitting: Sitting, answer: Message) -> None:
    """Refuse what another base or adapter wrote: its tokens would not go on as they began."""
    if answer.edited_from is not None or answer.base is None:
        return  # the person's own words
    who, wearing = sitting.answerer, sitting.wearing
    if isinstance(who, Served) and not who.is_met:
        who = sitting.services.answerer(sitting.base)
    here = who.name
    if answer.base != here:
        wrote = clean_line(answer.base, 60)
        if isinstance(who, Served):
            raise RefusedError(f"{wrote} wrote that answer and {here} answers now: /retry answers anew.")
        raise RefusedError(
            f"{wrote} wrote that answer and {here} answers now: /model use {wrote}, or /retry to answer anew."
        )
    if answer.adapter is None:
        if wearing is not None:
            raise RefusedError(
                f"The base alone wrote that answer and {sitting.worn} is worn now: /adapter off, or /retry to answer "
                "anew."
            )
        return
    wrote, scale = clean_line(answer.adapter, 200), 1.0 if answer.scale is None else answer.scale
    if wearing is None or (wearing.name, wearing.scale) != (answer.adapter, scale):
        raise RefusedError(
            f"{wrote}{'' if scale == 1 else f' ×{scale:g}'} wrote that answer and "
            f"{f'{sitting.worn} is worn' if sitting.worn else 'nothing is worn'} now: "
            f"{_wear_it(wrote, scale)}, or /retry to answer anew."
        )
    if wearing.sha256 != answer.adapter_sha256:
        raise RefusedError(f"Another version of {wrote} wrote that answer: /retry answers anew with the one worn now.")


def _wear_it(name: str, scale: float) -> str:
    if "=" in name:  # a mixture is named by its shares
        also = "" if scale == 1 else f" and /adapter scale {scale:g}"
        return f"/adapter mix {name.replace('+', ' ')}{also}"
    return f"/adapter use {name}{'' if scale == 1 else f'={scale:g}'}"


def _told(sitting: Sitting, old: Message, turn: Turn) -> Turn:
    """``turn``, whose end says what is no longer vouched for, and that nothing came where nothing did."""

    def told(cancel: threading.Event) -> Iterator[TurnEvent]:
        with closing(cast("Generator[TurnEvent]", turn(cancel))) as events:
            for event in events:
                yield event
                if isinstance(event, Ended) and (said := _said(old, event)):
                    sitting.face.note(said)

    return told


def _said(old: Message, ended: Ended) -> str:
    if ended.reply.content == old.content:
        return "" if ended.finished.reason == "cancelled" else "Nothing was added: the answer ends there."
    if old.edited_from is not None:
        return "The answer is no longer yours alone, and not learnt as it is: /rate good vouches for all of it."
    if old.rating is not None:
        return f"The rating {old.rating} was for the answer as it was, and is taken back: /rate judges all of it."
    return ""
