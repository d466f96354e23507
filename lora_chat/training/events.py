"""What a training says while it runs. Owns the events; their ``as_json`` lines are the contract of ``train --json``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from lora_chat.adapters.manifest import FIRST
from lora_chat.training.proof.result import Exam
from lora_chat.training.proof.share import with_intervals


@dataclass(frozen=True)
class DatasetReady:
    """The examples are chosen, masked and counted."""

    conversations: int
    examples: int
    """Assistant turns that are learnt."""
    dropped: dict[str, int]
    """Turns left out, counted by reason."""
    tokens: int
    supervised_tokens: int
    redacted: int
    """Pieces of private data replaced by placeholders."""
    private: dict[str, int] = field(default_factory=dict)
    """The same, counted by rule."""
    kept: dict[str, int] = field(default_factory=dict)
    """Pieces of private data that are learnt as they are, counted by rule."""
    event: Literal["dataset"] = "dataset"


@dataclass(frozen=True)
class Preparing:
    """Something that comes before the first step, with its progress in [0, 1]."""

    what: str
    done: float
    event: Literal["preparing"] = "preparing"


@dataclass(frozen=True)
class StepDone:
    """One optimiser step."""

    step: int
    steps: int
    """Most steps this job may take; it can stop earlier."""
    loss: float
    """Mean over the step's supervised tokens, nats."""
    tokens_per_second: float
    eta_s: float
    memory: int = 0
    """Bytes of the process that trains; 0 where nobody knows."""
    event: Literal["step"] = "step"


@dataclass(frozen=True)
class Evaluated:
    """The held-out examples were measured."""

    step: int
    heldout_loss: float
    event: Literal["evaluated"] = "evaluated"


@dataclass(frozen=True)
class Sampled:
    """What it answers by now, greedily: now and then, to a taught question and to a general one."""

    step: int
    question: str
    answer: str
    """At most 24 tokens; what was cut ends in an ellipsis."""
    taught: bool
    """Else it is one of the general questions that are never trained on."""
    expected: bool
    """Whether it is, as far as it goes, the taught answer or the base's own."""
    event: Literal["sampled"] = "sampled"


@dataclass(frozen=True)
class Report:
    """What the training measured. Losses are nats per supervised token; None where too few examples were held out."""

    seconds: float
    """From the first data read to the adapter installed, replay and evaluation included."""
    steps: int
    tokens: int
    tokens_per_second: float
    trainable_parameters: int
    total_parameters: int
    """Of base and adapter together, as PEFT's ``print_trainable_parameters`` counts."""
    trainable_percent: float
    heldout_loss_before: float | None
    heldout_loss_after: float | None
    general_loss_before: float | None
    """On the base's own answers to general questions that are not trained on."""
    general_loss_after: float | None
    train_loss_after: float
    stopped_because: str
    """Which rule ended it, in words."""
    general_kl_before: float | None = None
    """Mean KL(base ‖ adapted) on those same answers, nats per token: 0, as a new adapter changes nothing."""
    general_kl_after: float | None = None
    general_kl_bound: float | None = None
    """What it may be: beyond it the adapter is not worn by itself."""
    text_loss_before: float | None = None
    """On a fixed page of general text."""
    text_loss_after: float | None = None
    dataset_sha256: str = ""
    """Of the lessons, held-out ones included: see ``digest``."""
    forgot: str = ""
    """What to say where the bound is broken; empty where it holds."""
    general_kl_low: float | None = None
    """The 95 % interval of ``general_kl_after``, from resampling those answers."""
    general_kl_high: float | None = None
    general_answers: int = 0
    """How many answers that is."""
    general_tokens: int = 0
    memory: int = 0
    """Bytes of the process that trained, at most; 0 where nobody knows."""


@dataclass(frozen=True)
class Trained:
    """The weights are written into the job's folder; nothing is installed yet."""

    folder: str
    report: Report
    saw: DatasetReady | None = None
    losses: tuple[float, ...] = ()
    """Of each step."""
    heldout: tuple[tuple[int, float], ...] = ()
    """(step, loss) of the evaluations."""
    event: Literal["trained"] = "trained"


@dataclass(frozen=True)
class Wrong:
    """A check that does not hold."""

    question: str
    taught: str
    answer: str


@dataclass(frozen=True)
class Checked:
    """What came of the checks of all that an adapter was ever taught."""

    of: int
    held: int
    new: int
    """Asked for the first time."""
    lost: tuple[Wrong, ...]
    """That held in the version before."""
    wrong: tuple[Wrong, ...]
    """All that do not hold, the lost ones too."""
    unasked: int
    """That were not asked, as the asking ended before."""
    sentence: str
    """Such as ``41 of 45 checks hold; 3 new; 1 lost: …``."""


@dataclass(frozen=True)
class Installed:
    """The adapter went through the door and can be worn."""

    adapter: str
    path: str
    report: Report
    version: str = FIRST
    checks: Checked | None = None
    """None where nobody could be asked."""
    kept: str = ""
    """Why this version does not take the place of the one before, in one sentence; empty where it does."""
    exam: Exam | None = None
    """None where nobody could be asked."""
    unchecked: str = ""
    """Why not all that a first version was taught is asked or kept, in a sentence that begins small; empty where it is.
    Of a next version ``kept`` says it."""
    event: Literal["finished"] = "finished"


@dataclass(frozen=True)
class Resumed:
    """It goes on from a checkpoint, or, with step 0, begins anew for a reason."""

    step: int
    losses: tuple[float, ...] = ()
    """Of the steps until there."""
    heldout: tuple[tuple[int, float], ...] = ()
    """(step, loss) of the evaluations until there."""
    reason: str = ""
    """Why it begins anew."""
    event: Literal["resumed"] = "resumed"


@dataclass(frozen=True)
class Stopped:
    """It was made to stop and can go on later."""

    step: int
    """From which it will go on: the newest checkpoint's; 0 begins anew."""
    event: Literal["stopped"] = "stopped"


@dataclass(frozen=True)
class Cancelled:
    """The person stopped it; no adapter came of it."""

    step: int
    event: Literal["cancelled"] = "cancelled"


@dataclass(frozen=True)
class Failed:
    """It could not go on."""

    reason: str
    event: Literal["failed"] = "failed"


TrainingEvent = (
    DatasetReady
    | Preparing
    | Resumed
    | StepDone
    | Evaluated
    | Sampled
    | Trained
    | Installed
    | Stopped
    | Cancelled
    | Failed
)


def as_json(event: TrainingEvent) -> dict[str, Any]:
    """One flat object whose first key is ``event``; each share of an examination has the ends of its interval."""
    fields: dict[str, Any] = with_intervals(asdict(event))
    return {"event": fields.pop("event")} | fields
