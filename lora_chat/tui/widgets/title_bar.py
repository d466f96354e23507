"""The top line. Owns the conversation's title, the base's name and how full the context is; never changes any."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from lora_chat.language import tr
from lora_chat.text import clean_line

WARM = 0.8
"""From this share of the context on the gauge warns."""

_LEAST = 10
"""Cells of a title."""
_SHORTEST = 5
"""How many parts of the right have a short form: own settings, what is never trained on, preset, context, base."""


class TitleBar(Widget):
    """`` lora-chat   Return of order 4711        smollm2-135m · 12 % of 8k context``."""

    DEFAULT_CSS = """
    TitleBar { height: 1; padding: 0 1; background: $background; }
    """

    title: reactive[str] = reactive("")
    base: reactive[str] = reactive("")
    engine: reactive[str] = reactive("")
    """What the engine does while it is not ready: ``loading``."""
    never_train: reactive[bool] = reactive(False)
    """Whether the conversation is kept out of every training."""
    archived: reactive[bool] = reactive(False)
    """Whether it was put away."""
    preset: reactive[str] = reactive("")
    """What each prompt of the conversation begins with."""
    sampling: reactive[str] = reactive("")
    """What is drawn otherwise here than elsewhere."""
    used: reactive[int] = reactive(0)
    """Tokens of the context that are filled before the next message."""
    window: reactive[int] = reactive(0)
    """Tokens of the whole context."""

    def render(self) -> Content:
        """Left the title, right the rest; the title gives way as far as it can be told by what is left of it."""
        name, title = "lora-chat", clean_line(self.title)
        wide = self.content_size.width - len(name) - 3 - 2 - min(cell_len(title), _LEAST)
        rights = (self._right(short) for short in range(_SHORTEST + 1))
        right = next((each for each in rights if each.cell_length <= wide), self._right(_SHORTEST))
        room = self.content_size.width - len(name) - 3 - right.cell_length - 2
        if cell_len(title) > room:
            title = set_cell_size(title, max(room - 1, 0)).rstrip() + "…" if room > 1 else ""
        gap = " " * max(self.content_size.width - len(name) - 3 - cell_len(title) - right.cell_length, 1)
        return Content.assemble((name, "$text-muted"), "   ", (title, "bold"), gap, right)

    def _right(self, short: int) -> Content:
        """With so many of its parts in their short form, the least missed first."""
        kept_out = "⊘" if short > 1 else f"⊘ {tr('never trained on')}"
        sampling = tr("own settings") if short else clean_line(self.sampling, 32)
        preset = tr(f"prompt: {clean_line(self.preset, 12 if short > 2 else 24)}") if self.preset else ""
        base = clean_line(self.base, 14) if short > 4 else self.base
        said = (
            kept_out if self.never_train else "",
            tr("archived") if self.archived else "",
            preset,
            sampling if self.sampling else "",
            base,
            tr(self.engine),
        )
        parts = [Content.styled(part, "$text-muted") for part in said if part]
        if self.window and self.used:
            share = self.used / self.window
            style = "$warning" if share >= WARM else "$text-muted"
            full = f"{share:.0%}".replace("%", " %")
            told = full if short > 3 else tr(f"{full} of {_short(self.window)} context")
            parts.append(Content.styled(told, style))
        return Content.styled(" · ", "$text-muted").join(parts)


def _short(tokens: int) -> str:
    return f"{tokens / 1024:.0f}k" if tokens >= 1024 else str(tokens)
