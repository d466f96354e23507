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
        """Left the title, right the rest; the title gives way."""
        right = self._right()
        name = "lora-chat"
        room = self.content_size.width - len(name) - 3 - right.cell_length - 2
        title = clean_line(self.title)
        if cell_len(title) > room:
            title = set_cell_size(title, max(room - 1, 0)).rstrip() + "…" if room > 1 else ""
        gap = " " * max(self.content_size.width - len(name) - 3 - cell_len(title) - right.cell_length, 1)
        return Content.assemble((name, "$text-muted"), "   ", (title, "bold"), gap, right)

    def _right(self) -> Content:
        kept_out = f"⊘ {tr('never trained on')}" if self.never_train else ""
        away = tr("archived") if self.archived else ""
        preset = tr(f"prompt: {clean_line(self.preset, 24)}") if self.preset else ""
        said = (kept_out, away, preset, clean_line(self.sampling, 32), self.base, tr(self.engine))
        parts = [Content.styled(part, "$text-muted") for part in said if part]
        if self.window and self.used:
            share = self.used / self.window
            style = "$warning" if share >= WARM else "$text-muted"
            parts.append(Content.styled(tr(f"{share:.0%} of {_short(self.window)} context".replace("%", " %")), style))
        return Content.styled(" · ", "$text-muted").join(parts)


def _short(tokens: int) -> str:
    return f"{tokens / 1024:.0f}k" if tokens >= 1024 else str(tokens)
