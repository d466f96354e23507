"""A training as it runs. Owns its live view; pausing and stopping it are others' work, asked for in messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from lora_chat.chat.attached import words_of
from lora_chat.language import tr
from lora_chat.models.sources.staging import size
from lora_chat.sitting.training import Progress
from lora_chat.text import clean, clean_line
from lora_chat.training.events import Sampled
from lora_chat.tui.screens.confirm import ConfirmScreen
from lora_chat.tui.screens.panel import PanelScreen
from lora_chat.tui.widgets.headline import Headline
from lora_chat.tui.widgets.loss_curve import LossCurve

STOP = "Stop it? Nothing is kept."


@dataclass
class PauseWanted(Message):
    """It should wait, or go on."""

    paused: bool


class CancelWanted(Message):
    """It should stop; the person has been asked."""


class TrainingScreen(PanelScreen[None]):
    """Figures over a large curve; says in place how it ended."""

    DEFAULT_CSS = """
    TrainingScreen {
        #panel { height: 80%; max-height: 30; }
        #figures { height: auto; margin: 0 1 1 1; }
        LossCurve { margin: 0 1; }
        #samples { height: auto; max-height: 5; margin: 1 1 0 1; display: none; }
        #figures.-failed { color: $error; }
        #figures.-finished { color: $success; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause(True)", "pause", id="training.pause"),
        Binding("p", "pause(False)", "resume", id="training.pause"),
        Binding("x", "cancel", "stop it", id="training.cancel"),
        Binding("escape", "dismiss", "back to the chat", id="training.back"),
    ]

    def __init__(self, progress: Progress) -> None:
        super().__init__(clean_line(progress.name), _state(progress))
        self._progress = progress

    def body(self) -> ComposeResult:
        """Figures, the curve, then what it answers by now."""
        yield Static(id="figures", markup=False)
        yield LossCurve()
        yield Static(id="samples", markup=False)

    def on_mount(self) -> None:
        """How far it is already."""
        self._draw()

    def show(self, progress: Progress) -> None:
        """How far it is now."""
        self._progress = progress
        if self.is_mounted:
            self._draw()

    def _draw(self) -> None:
        progress = self._progress
        self.query_one(Headline).show(progress.name, _state(progress))
        figures = self.query_one("#figures", Static)
        for state in ("failed", "finished"):
            figures.set_class(progress.state == state, f"-{state}")
        figures.update(_figures(progress, figures.content_size.width))
        self.query_one(LossCurve).show(progress.losses, progress.heldout)
        samples = self.query_one("#samples", Static)
        samples.display = bool(progress.samples)
        samples.update(Content("\n").join(_sample(each) for each in progress.samples))
        self.refresh_bindings()

    def on_resize(self) -> None:
        """The bar of the preparation is as long as the panel is wide."""
        self.call_after_refresh(self._draw)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What has ended can be neither paused nor stopped."""
        if action == "pause":
            return self._progress.running and (self._progress.state == "paused") is not parameters[0]
        return action != "cancel" or self._progress.running

    def action_pause(self, paused: bool) -> None:
        """Let it wait, or go on."""
        self.post_message(PauseWanted(paused))

    def action_cancel(self) -> None:
        """After asking."""
        self.app.push_screen(ConfirmScreen(STOP, yes="stop it", no="let it go on", loses=True), self._asked)

    def _asked(self, agreed: bool | None) -> None:
        if agreed and self._progress.running:
            self.post_message(CancelWanted())


def _state(progress: Progress) -> str:
    """What it does, in a word."""
    return tr("training…" if progress.state == "training" else progress.state)


def _figures(progress: Progress, width: int) -> Content:
    if not progress.running:
        return Content(clean(tr(progress.status)))
    if progress.step and not progress.steps:
        return Content(tr(f"going on from step {progress.step}…"))
    if progress.step:
        return _fitting(_steps(progress), width)
    if not progress.what:
        return Content(tr("starting…"))
    what = Content(f"{clean_line(tr(progress.what))} {progress.done:.0%}")
    return Content("\n").join([what, _bar(progress.done, width)])


def _steps(progress: Progress) -> list[Content]:
    parts = [f"step {progress.step}/{progress.steps}"]
    parts += [f"loss {progress.losses[-1]:.2f}"] if progress.losses else []
    parts += [f"held out {progress.heldout[-1][1]:.2f}"] if progress.heldout else []
    quiet = [f"{spoken_clock(progress.eta_s)} left at most"] if progress.eta_s is not None else []
    quiet += [f"{progress.tokens_per_second:.0f} tok/s"] if progress.tokens_per_second is not None else []
    quiet += [size(progress.memory)] if progress.memory else []
    return [*(Content(tr(part)) for part in parts), *(Content.styled(tr(part), "$text-muted") for part in quiet)]


def _fitting(parts: list[Content], width: int) -> Content:
    """As many of them as one line of ``width`` cells holds; all while nobody knows the width."""
    line = Content(" · ").join(parts)
    return _fitting(parts[:-1], width) if 0 < width < line.cell_length and len(parts) > 1 else line


def _sample(sample: Sampled) -> Content:
    """``taught, step 12  Where is your shop? → At 12 Harbour Street. ✓``: as it was taught, or as the base says."""
    at = tr(f"taught, step {sample.step}" if sample.taught else f"other talk, step {sample.step}")
    kind = f"{at}  {clean_line(words_of(sample.question), 60)} → "
    mark = (" ✓", "$success") if sample.expected else ""
    return Content.assemble((kind, "$text-muted"), clean_line(sample.answer, 200), mark)


def spoken_clock(seconds: float) -> str:
    """``1:10``, ``1:02:05``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _bar(done: float, width: int) -> Content:
    full = round(min(max(done, 0.0), 1.0) * width)
    return Content.assemble(("━" * full, "$primary"), ("━" * (width - full), "$border-blurred"))
