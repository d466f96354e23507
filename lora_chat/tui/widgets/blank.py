"""What stands where there is no message yet. Owns its alignment; its words are given."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual.content import Content
from textual.widgets import Static

from lora_chat.language import tr
from lora_chat.text import clean


class Blank(Static):
    """Keys and commands in one column, what they do in another."""

    DEFAULT_CSS = """
    Blank { width: auto; height: auto; max-width: 100%; padding: 0 2; color: $text-muted; }
    """

    def show(self, lines: Sequence[tuple[str, str]]) -> None:
        """Show these rows."""
        lines = [(keys, tr(does)) for keys, does in lines]
        width = max((cell_len(keys) for keys, _ in lines), default=0)
        rows = [Content.assemble((keys + " " * (width - cell_len(keys)), "$text"), "   ", does) for keys, does in lines]
        self.update(Content("\n").join(rows))

    def refuse(self, why: str) -> None:
        """Show a refusal instead."""
        self.update(Content.styled(f"✗ {clean(tr(why))}", "$text-error"))
