"""What a training in the chat would learn. Owns which adapter it makes and the offer; never begins one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_chat.errors import UsageError
from lora_chat.sitting.plan import Plan
from lora_chat.training.jobs import check_free
from lora_chat.training.selection import HistoryFilter
from lora_chat.training.shelf import unfinished_names

if TYPE_CHECKING:
    from lora_chat.sitting.sitting import Sitting


def offer_new(sitting: Sitting, name: str, wanted: HistoryFilter | None = None) -> None:
    """A new adapter from the history; without a name it gets the next free one.

    Raises:
        RefusedError: the name is taken, or there is nothing to learn.
    """
    chosen = name or _next_name(sitting)
    check_free(chosen, sitting.services.paths)
    sitting.face.offer(Plan.make(sitting.services, sitting.base_here(), chosen, wanted or HistoryFilter()))


def offer_next(sitting: Sitting, name: str) -> None:
    """The next version of an adapter, by default of the one worn.

    Raises:
        UsageError: no adapter is worn, or several are.
        RefusedError: it is shipped, or there is nothing new to learn.
    """
    worn = sitting.wearing
    if not name and (worn is None or worn.mixture):
        raise UsageError("Say which adapter is to learn more: /train continue NAME, or wear it first.")
    adapter = sitting.services.adapters().get(name) if name or worn is None else worn.adapter
    check_free(adapter.name, sitting.services.paths, continued=True)
    sitting.face.offer(
        Plan.make(sitting.services, sitting.base_here(), adapter.name, HistoryFilter(), continued=adapter)
    )


def offer_from(sitting: Sitting, conversation: str, stem: str) -> None:
    """What one conversation alone teaches, as ``stem`` or the next free name after it. Raises as ``offer_new``."""
    offer_new(sitting, _free_name(sitting, stem), HistoryFilter(conversations=(conversation,)))


def _next_name(sitting: Sitting) -> str:
    """One beside what is worn, if that was trained here; else ``mine``, ``mine-2``, …"""
    worn = sitting.wearing.adapter if sitting.wearing else None
    stem = worn.name if worn and worn.manifest.private else "mine"
    head, dash, tail = stem.rpartition("-")
    return _free_name(sitting, head if dash and tail.isdigit() else stem)


def _free_name(sitting: Sitting, stem: str) -> str:
    taken = {adapter.name for adapter in sitting.services.adapters().adapters}
    taken |= unfinished_names(sitting.services.paths.training)
    numbered = (stem if number == 1 else f"{stem}-{number}" for number in range(1, len(taken) + 3))
    return next(name for name in numbered if name not in taken)
