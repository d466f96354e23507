"""What the threads tell the screen. Owns these messages; ``bridge`` alone posts them.

Each carries values that are never changed afterwards, so no lock is needed on either side.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from textual.message import Message as TextualMessage

if TYPE_CHECKING:
    from lora_chat.adapters.registry import Catalog
    from lora_chat.chat.conversation import Conversation, Message
    from lora_chat.chat.search import Hit
    from lora_chat.config import Config
    from lora_chat.sitting.checking import Checking
    from lora_chat.sitting.columns import ColumnEvent, Comparison
    from lora_chat.sitting.comparison import Compared
    from lora_chat.sitting.plan import Plan
    from lora_chat.sitting.standing import Standing
    from lora_chat.sitting.training import Progress
    from lora_chat.training.proof.check import Check
    from lora_chat.training.proof.line import Proved
    from lora_chat.training.proof.proving import Found
    from lora_chat.training.report.record import Record
    from lora_chat.tui.widgets.message import Shown

EngineState = Literal["starting", "loading", "ready", "died", "failed"]


class News(TextualMessage):
    """Base of all."""


@dataclass
class SettingsRead(News):
    """The person's settings, before anything else."""

    config: Config


@dataclass
class WrittenSeen(News):
    """What the person wrote in earlier sessions."""

    sent: Sequence[str]
    """As it was typed, newest first."""
    draft: str = ""
    """What stands unsent in the conversation that is not begun yet."""


@dataclass
class CannotBegin(News):
    """There can be no chat, and why."""

    reason: str


@dataclass
class EngineSeen(News):
    """What the engine process does."""

    state: EngineState
    said: str = ""
    window: int = 0
    """Tokens that it reads at most, once it is ready."""


@dataclass
class DraftSeen(News):
    """What stands unsent in the conversation that is open now; comes before it is shown."""

    conversation: str
    """Its id; empty where it is not begun yet."""
    text: str
    another: bool
    """It was opened; else it began, goes on, or is what a deleted one left."""


@dataclass
class ViewSeen(News):
    """What is open and worn, and the visible branch."""

    conversation: Conversation | None
    shown: Sequence[Shown]
    worn: str
    """Name of the adapter, or the shares of a mixture; empty on the base alone."""
    scale: float
    another: bool
    """A conversation was opened: the view begins at its end."""
    presets: Sequence[str] = ()
    """What another could begin with."""
    bases: Sequence[str] = ()
    """What could answer."""
    formats: Sequence[tuple[str, str]] = ()
    """What plugins write: a name, and what it is in their words."""
    sampling: str = ""
    """What of how answers are drawn is this conversation's own."""


@dataclass
class ContextCounted(News):
    """What the next prompt begins with."""

    tokens: int


@dataclass
class ConversationsSeen(News):
    """The saved conversations, pinned ones first, then newest first."""

    conversations: Sequence[Conversation]
    archived: Sequence[Conversation] = ()
    """What was put away."""


@dataclass
class AdaptersSeen(News):
    """What is installed now."""

    catalog: Catalog
    standings: Mapping[str, Standing] = field(default_factory=dict)
    """How each stands to the base, by name; those that were not looked at yet are missing."""


@dataclass
class ReplyBegan(News):
    """The person's message is durable; its answer is being made."""

    prompt: Shown
    reply: Shown
    elsewhere: bool = False
    """The person looks at another conversation already."""


@dataclass
class ReplyGrew(News):
    """A piece of the answer."""

    message_id: int
    text: str


@dataclass
class ReplyEnded(News):
    """The answer in its last form, whole or not."""

    shown: Shown | None
    """None where nothing was begun, or nothing is left of it."""
    refusal: str = ""


@dataclass
class NotTaken(News):
    """What the person wrote could not be sent: it is theirs again."""

    line: str


@dataclass
class NotInstalled(News):
    """What was to be installed was refused: it is the person's again."""

    source: str


@dataclass
class Said(News):
    """One sentence for the person."""

    text: str
    refused: bool = False
    lasting: bool = False
    """Nobody asked for it, so that it takes longer to be read."""


@dataclass
class TerminalTold(News):
    """A sequence that the person's terminal, and no screen, is to have."""

    sequence: str


@dataclass
class Warned(News):
    """What became of what was worn; it stays in sight."""

    text: str


@dataclass
class DetailsSeen(News):
    """Facts, each with its name."""

    title: str
    rows: Sequence[tuple[str, str]]


@dataclass
class Asked(News):
    """A question that a thread waits for."""

    question: str
    loses: bool
    about: Sequence[tuple[str, str]]
    answer: Future[bool]


@dataclass
class Offered(News):
    """A training that could be started."""

    plan: Plan


@dataclass
class PlanRefused(News):
    """A training cannot be planned so."""

    reason: str


@dataclass
class TrainingSeen(News):
    """How far the training is."""

    progress: Progress


@dataclass
class ComparedSeen(News):
    """One question before and after."""

    index: int
    row: Compared


@dataclass
class ReportSeen(News):
    """A report that is to be shown again."""

    record: Record
    worn: bool
    """Whether its version is the one that is worn now."""


@dataclass
class PresetWanted(News):
    """The person wants the examples of this training in a prompt: a preset."""

    record: Record


@dataclass
class ReportWanted(News):
    """The person wants this report as files."""

    record: Record


@dataclass
class ChecksWanted(News):
    """The person wants the checks of this adapter asked one by one."""

    record: Record


@dataclass
class RestWanted(News):
    """The person wants asked what the examination of this version had no time for."""

    record: Record


@dataclass
class RestSeen(News):
    """How far that is."""

    adapter: str
    version: str
    part: float
    """In [0, 1]."""
    record: Record | None = None
    """The report with all of it, once it is there."""
    ended: bool = False
    """Whether nothing more is asked, well or not."""


@dataclass
class ChecksSeen(News):
    """The checks of an adapter, which the person wants to see asked."""

    checking: Checking
    checks: Sequence[Check]
    before: Mapping[str, Proved]
    """What came of them in the version before."""
    last: Mapping[str, Proved] = field(default_factory=dict)
    """What came of them when they were asked last."""

    @classmethod
    def of(cls, checking: Checking) -> ChecksSeen:
        """As they are kept now. Raises as ``Checking.checks``."""
        line, version = checking.line, checking.version
        return cls(checking, checking.checks(), line.before(version), line.proofs(version))


@dataclass
class CheckSeen(News):
    """What came of one check."""

    asking: threading.Event
    """What ends the asking that it belongs to."""
    found: Found | None
    """None: no more are asked, well or not."""


@dataclass
class ColumnsSeen(News):
    """One question that is to be answered in columns, then what becomes of them."""

    comparison: Comparison
    event: ColumnEvent | None = None
    """None: a command asked for it."""


@dataclass
class HitsSeen(News):
    """Where a text was said."""

    text: str
    hits: Sequence[Hit]
    asked: bool = False
    """By a command: the search screen opens with it."""


@dataclass
class LookWanted(News):
    """A message of the open conversation is to be looked at."""

    message_id: int
    text: str
    """What was searched for."""


@dataclass
class AnswerWanted(News):
    """The person wants to write the answer they wanted in place of this one."""

    answer: Message
    question: str


@dataclass
class QuestionWanted(News):
    """The person wants to ask this question in other words."""

    question: Message


@dataclass
class Opened(News):
    """One of the screens was asked for by a command."""

    what: Literal["adapters", "picker", "conversations", "archived", "training", "help", "keys", "tour"]


@dataclass
class ThemeChosen(News):
    """Other colours."""

    name: str


@dataclass
class LeaveAsked(News):
    """The person wants to leave."""
