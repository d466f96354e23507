"""One branch beside another. Owns what of the one shown before stands in the next; never draws."""

from __future__ import annotations

from lora_chat.tui.widgets.message import Shown


def in_place_of(chosen: int | None, before: list[Shown], now: list[Shown]) -> int | None:
    """The chosen message, or the sibling that took its place, else the message before it where it was deleted."""
    if chosen is None or any(shown.message.id == chosen for shown in now):
        return chosen
    parents = [shown.message.parent for shown in before if shown.message.id == chosen]
    instead = [shown.message.id for shown in now if shown.message.parent in parents]
    before_it = [shown.message.id for shown in now if shown.message.id in parents]
    return next(iter([*instead, *before_it]), None)


def until(branch: list[Shown], message_id: int | None) -> list[Shown]:
    """``branch`` up to the message, all of it where that is not in it, none of it before the first."""
    if message_id is None:
        return []
    ids = [shown.message.id for shown in branch]
    return branch[: ids.index(message_id) + 1] if message_id in ids else branch
