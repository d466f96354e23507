"""An answer's figures, and the training. Owns the quiet line under the prompt; never computes a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from lora_chat.language import tr
from lora_chat.text import clean_line
from lora_chat.tui.keymap import keymap_of

if TYPE_CHECKING:
    from lora_chat.chat.conversation import Message
    from lora_chat.sitting.training import Progress

KEYS = 46
"""Cells that the keys beside a training keep; half as many where there is little room."""

SHORT = 60
"""Cells that hold neither curve nor loss, but leave room for keys."""

_BARS = "▁▂▃▄▅▆▇█"


class StatusLine(Widget):
    """``training pirate-2  █▆▅▃▂▁  step 38/60 · loss 0.61 · at most 1:10 left``, else ``31 tok/s · first 0.2 s``."""

    DEFAULT_CSS = """
    StatusLine { height: 1; width: auto; padding: 0 1; color: $text-muted; }
    """

    figures: reactive[str] = reactive("", layout=True)
    coming: reactive[str] = reactive("", layout=True)
    """A base model that is brought, and how far it is: ``qwen3-0.6b 42%``; it stands in the place of the figures."""
    training: reactive[Progress | None] = reactive(None, layout=True)

    def show(self, answer: Message | None) -> None:
        """The figures of this answer."""
        self.figures = figures_of(answer) if answer is not None else ""

    def render(self) -> Content:
        """A training comes before the figures where there is no room for both: it is what changes."""
        progress, figures = self.training, clean_line(tr(self.coming), 60) or self.figures
        if progress is None or (not progress.running and progress.state != "finished"):
            return Content(figures)
        looks = keymap_of(self).name("chat.training")
        width = self.screen.size.width - 4
        width -= KEYS if width > 2 * KEYS else KEYS // 2
        alone = training_line(progress, width, looks)
        beside = training_line(progress, width - cell_len(figures) - 3, looks)
        if not figures or beside.cell_length + cell_len(figures) + 3 > width:
            return alone
        return Content.assemble(figures, "   ", beside)


def figures_of(message: Message) -> str:
    """How fast an answer came: ``31 tok/s · first 0.2 s``; empty where nothing was measured."""
    parts = []
    if message.tokens_per_second is not None:
        parts.append(spoken_speed(message.tokens_per_second))
    if message.first_token_ms is not None:
        parts.append(tr(f"first {message.first_token_ms / 1000:.1f} s"))
    return " · ".join(parts)


def spoken_speed(speed: float) -> str:
    """``31 tok/s``; of a slow one a tenth too."""
    return tr(f"{speed:.0f} tok/s" if speed >= 10 else f"{speed:.1f} tok/s")


def training_line(progress: Progress, width: int, looks: str = "") -> Content:
    """One line on how far it is, within ``width`` cells: the curve gives way first, then the end."""
    name = clean_line(progress.name, 24)
    if progress.state == "finished":
        return Content.assemble((tr(f"{name} is ready"), "$success"), f" · {tr(f'{looks} looks at it')}")
    head = f"{tr('paused' if progress.state == 'paused' else 'training')} {name}  "
    if progress.step and not progress.steps:
        return Content(head + tr(f"going on from step {progress.step}"))
    if not progress.step:
        what = f"{tr(progress.what)} {progress.done:.0%}" if progress.what else tr("starting")
        return Content(head + what)
    loss = f"{tr(f'loss {progress.losses[-1]:.2f}')} · " if width > SHORT else ""
    tail = f"{loss}{spoken_left(progress.eta_s or 0)}"
    if not loss:
        return Content(f"{head}{progress.step}/{progress.steps} · {tail}")
    tail = f"{tr(f'step {progress.step}/{progress.steps}')} · {tail}"
    room = min(width - cell_len(head) - cell_len(tail) - 2, 24)
    if room < 6:
        return Content(head + tail)
    return Content.assemble(head, (bars(progress.losses, room), "$primary"), "  ", tail)


def bars(losses: tuple[float, ...], width: int) -> str:
    """The newest ``width`` losses as bars, the highest of them full."""
    shown = losses[-width:]
    most = max(shown) or 1.0
    return "".join(_BARS[min(int(loss / most * len(_BARS)), len(_BARS) - 1)] for loss in shown)


def spoken_left(seconds: float) -> str:
    """``at most 1:10 left``: it stops as soon as everything is learnt."""
    minutes, rest = divmod(int(seconds), 60)
    return tr(f"at most {minutes}:{rest:02} left")
