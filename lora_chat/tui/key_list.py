"""Every key in a list. Owns its rows, for the window, the shell and the documents; what a key does is its binding's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lora_chat.language import tr
from lora_chat.tui.bound import TYPED, all_bound
from lora_chat.tui.key_names import told
from lora_chat.tui.keymap import Keymap


@dataclass(frozen=True)
class Row:
    """One binding as it is now."""

    id: str
    keys: tuple[str, ...]
    """As keyboards have them."""
    default: tuple[str, ...]
    """If the person had changed nothing."""
    does: str
    where: str
    typed: str
    """The command that does the same; empty where there is none."""

    @property
    def remapped(self) -> bool:
        """Whether the person changed it."""
        return self.keys != self.default

    @property
    def said(self) -> str:
        """``f9 (instead of ctrl+r) · retry · or /retry``, in the person's language."""
        keys, before = " ".join(self.keys), " ".join(self.default)
        told = [tr(f"{keys} (instead of {before})") if self.remapped else keys, tr(self.does)]
        return " · ".join([*told, *([f"{tr('or')} {self.typed}"] if self.typed else [])])


def rows(keymap: Keymap) -> Iterator[Row]:
    """All of them, place by place."""
    for each in all_bound():
        now, default = (tuple(told(key) for key in keys) for keys in (keymap.keys(each.id), each.keys))
        yield Row(each.id, now, default, each.does, each.place.where, TYPED.get(each.id, ""))


def facts(keymap: Keymap) -> list[tuple[str, str]]:
    """What is not used of the settings first, then what was changed, then all."""
    found = list(rows(keymap))
    wrong = [("not used", problem) for problem in keymap.problems]
    changed = [("changed", f"{row.id}: {row.said}") for row in found if row.remapped]
    return [*wrong, *changed, *((row.id, row.said) for row in found)]
