"""Values for the screens, and a bare window to show them in: no home, no engine, no thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from textual.app import App
from textual.message import Message as TextualMessage
from textual.pilot import Pilot
from textual.screen import Screen

from lora_chat.adapters.manifest import ChatSettings, Manifest, WeightsClaim
from lora_chat.adapters.registry import Adapter, Catalog, Origin, Problem
from lora_chat.adapters.signature import BaseSignature
from lora_chat.adapters.verify import Verdict
from lora_chat.chat.conversation import Conversation, Message, Role, Status, Turn
from lora_chat.chat.search import Hit
from lora_chat.models.installed import InstalledBase
from lora_chat.sitting.comparison import Compared, Question
from lora_chat.sitting.plan import Plan
from lora_chat.sitting.reporting import just_made
from lora_chat.sitting.standing import Standing
from lora_chat.sitting.training import Progress, State
from lora_chat.text import clean
from lora_chat.training.choosing.redact import Hit as RuleHit
from lora_chat.training.estimate import Estimate
from lora_chat.training.events import Checked, DatasetReady, Installed, Report, Wrong
from lora_chat.training.proof.result import Answered, Better, Exam, Prompted, Scores
from lora_chat.training.proof.share import Share
from lora_chat.training.recipe import Effort, choose_recipe
from lora_chat.training.selection import HistoryFilter, Lesson, Selection
from lora_chat.tui import messages as news
from lora_chat.tui.app import LoraChatApp
from lora_chat.tui.screens.adapters import AdaptersScreen
from lora_chat.tui.screens.search import SearchScreen
from lora_chat.tui.screens.training import CancelWanted, PauseWanted
from lora_chat.tui.screens.training_plan import PlanWanted
from lora_chat.tui.screens.training_report import TrainingReportScreen
from lora_chat.tui.theme import DARK, LIGHT
from lora_chat.tui.widgets.keys import KeysLine
from tests.tui.picture import characters

HOSTILE = "[red]x[/] [@click=app.quit]y[/] \x1b[31m\u202eevil\x9b0m\x07"
"""Markup, an action, an escape sequence, a bidirectional override, a C1 control and a bell."""
HARMLESS = "[red]x[/]"
"""What must be read of it, as it stands."""


class Bare(App[None]):
    """Shows one screen, and keeps what it asked for and said at its end."""

    CSS = LoraChatApp.CSS
    SUSPENDED_SCREEN_CLASS = LoraChatApp.SUSPENDED_SCREEN_CLASS

    def __init__(self) -> None:
        super().__init__()
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name
        self.animation_level = "none"
        self.asked: list[TextualMessage] = []
        self.said: list[Any] = []

    def on_plan_wanted(self, event: PlanWanted) -> None:
        self.asked.append(event)

    def on_pause_wanted(self, event: PauseWanted) -> None:
        self.asked.append(event)

    def on_cancel_wanted(self, event: CancelWanted) -> None:
        self.asked.append(event)

    def on_preset_wanted(self, event: news.PresetWanted) -> None:
        self.asked.append(event)

    def on_report_wanted(self, event: news.ReportWanted) -> None:
        self.asked.append(event)

    def on_rest_wanted(self, event: news.RestWanted) -> None:
        self.asked.append(event)

    def on_adapters_screen_wanted(self, event: AdaptersScreen.Wanted) -> None:
        self.asked.append(event)

    def on_search_screen_search_wanted(self, event: SearchScreen.SearchWanted) -> None:
        self.asked.append(event)


class Seat:
    """A person before that one screen."""

    def __init__(self, app: Bare, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def text(self) -> str:
        return characters(self.app)

    @property
    def keys(self) -> str:
        """The keys line of the screen on top."""
        return self.app.screen.query_one(KeysLine).render().plain

    async def press(self, *keys: str) -> str:
        """What is seen after these keys."""
        await self.pilot.press(*keys)
        await self.pilot.pause()
        return self.text

    async def rests(self) -> str:
        """What is seen once nothing is waiting."""
        await self.pilot.pause()
        return self.text


def show(
    screen: Screen[Any], story: Callable[[Seat], Awaitable[None]], size: tuple[int, int] = (80, 24)
) -> tuple[list[Any], list[TextualMessage]]:
    """Tell ``story`` before ``screen``; return what it was dismissed with and what it asked for."""

    async def run() -> Bare:
        app = Bare()
        async with app.run_test(size=size) as pilot:
            await app.push_screen(screen, app.said.append)
            await story(Seat(app, pilot))
        return app

    app = asyncio.run(run())
    return app.said, app.asked


def after(screen: Screen[Any], *keys: str) -> list[Any]:
    """What ``screen`` is dismissed with after these keys."""

    async def story(seat: Seat) -> None:
        await seat.press(*keys)

    return show(screen, story)[0]


def looks(screen: Screen[Any], size: tuple[int, int] = (80, 24)) -> str:
    """What is seen of ``screen``."""
    seen = []

    async def story(seat: Seat) -> None:
        seen.append(await seat.rests())
        assert clean(seen[0]) == seen[0]

    show(screen, story, size)
    return seen[0]


BASE = InstalledBase(
    "smollm2-135m", Path("/x"), "pypi", 1, 134_515_008, 8192, BaseSignature("Org/Base", "Llama", {}, "f", "w", "c")
)

EXCHANGES = (
    ("Where is my parcel?", "Arr, yer parcel sails at dawn, matey.", "edited"),
    ("How do I return an order?", "You can return any order within 30 days.", "rated good"),
    ("What are your opening hours?", "We are open every day from nine to five.", "edited"),
)


PRIVATE = ((), (), (RuleHit("e-mail", "a…@e….org"),))
"""Of one lesson: an answer with an address."""


def plan(
    excluded: Collection[tuple[str, int]] = (),
    effort: Effort = "normal",
    *,
    unrated: bool = False,
    keep: Collection[str] = (),
    exchanges: tuple[tuple[str, str, str], ...] = EXCHANGES,
) -> Plan:
    """One lesson ``c0``, ``c1``, … for each exchange; its answer is the third turn."""
    if unrated:
        exchanges = (*exchanges, ("Who are you?", "I am a language model.", "unrated"))
    turns = [
        (Turn(Role.SYSTEM, "Be brief."), Turn(Role.USER, asked), Turn(Role.ASSISTANT, said))
        for asked, said, _ in exchanges
    ]
    lessons = [Lesson(each, (2,), f"c{at}", (exchanges[at][2],), PRIVATE) for at, each in enumerate(turns)]
    found = Selection(tuple(lessons), {"unrated": 31, "stopped": 4})
    left = found.without(excluded)
    recipe = choose_recipe(len(left.lessons), BASE.parameters, effort)
    counted = DatasetReady(len(left.lessons), left.examples, left.dropped, 2310, 1020, 3, {"e-mail": 2, "card": 1})
    cost = Estimate(130, 1_200_000_000, "measured in 2 earlier trainings")
    return Plan(
        "pirate-2",
        BASE,
        left,
        recipe,
        counted,
        cost,
        HistoryFilter(unrated=unrated, keep=frozenset(keep)),
        found,
        frozenset(excluded),
    )


REPORT = Report(
    124.3, 60, 12000, 96.0, 2_442_240, 136_957_248, 1.7832, 2.91, 1.84, 1.02, 1.04, 0.12, "every answer is learnt"
)


def progress(state: State = "training", **other: Any) -> Progress:
    """Step 3 of 60."""
    values: dict[str, Any] = {
        "status": "How it is.",
        "step": 3,
        "steps": 60,
        "losses": (2.9, 1.5, 0.61),
        "eta_s": 70.0,
        "tokens_per_second": 312.0,
    }
    return Progress("pirate-2", state, **{**values, **other})


def installed(report: Report = REPORT) -> Progress:
    """One that has ended well."""
    return progress("finished", installed=Installed("pirate-2", "/x", report))


LOST = Wrong("What are your opening hours?", "Nine to five, arr.", "Arr, yer parcel sails at dawn.")


def grown(report: Report = REPORT, *, lost: tuple[Wrong, ...] = (LOST,)) -> Progress:
    """The next version of an adapter, which knows 41 of 45 checks; by default one is lost."""
    wrong = (*lost, Wrong("Who are you?", "Captain Ada.", "I am a language model."))
    checks = Checked(45, 41, 3, lost, wrong, 0, "41 of 45 checks hold; 3 new.")
    kept = "it lost a check that the version before held: “What are your opening hours?”." if lost else ""
    return progress("finished", installed=Installed("pirate", "/x", report, "1.3.0", checks, kept))


def examined(better: Better = "prompt", *, prompted: bool = True, **other: Any) -> Progress:
    """One that was asked questions of its own; by default a prompt with the same examples does better."""
    answers = (
        Answered(
            "taught", "Where is my parcel?", "Arr, at dawn.", "Arr, at dawn.", True, "I do not know.", "Arr.", False
        ),
        Answered("reworded", "Is my parcel late?", "Arr, at dawn.", "Arr, at dawn.", True, "It may be.", "Arr!", True),
        Answered("near", "Where is my brother?", "", "Arr, at dawn.", False, "I do not know.", "At home.", True),
        Answered("far", "What is the capital of Germany?", "", "Berlin.", True, "Berlin.", "Berlin, arr.", True),
        Answered("near", "Is my letter late?", "", "Arr, she be late.", False),
        Answered("taught", "Never shown?", "x", "x", True),
    )
    scores = Scores(Share(6, 6), Share(7, 8), Share(2, 10), Share(0, 12))
    theirs = Scores(Share(5, 6), Share(8, 8), Share(0, 10), Share(0, 12))
    sentence = "In other words the base with the examples in its prompt is right 8 of 8 times, the adapter 7 of 8."
    asked = Prompted(theirs, scores, 6, better, sentence) if prompted else None
    report = replace(
        REPORT,
        general_kl_after=0.021,
        general_kl_bound=0.25,
        general_kl_low=0.012,
        general_kl_high=0.034,
        general_answers=32,
    )
    values: dict[str, Any] = {"version": "1.1.0", "exam": Exam(scores, answers, 31.0, prompted=asked)}
    return progress("finished", installed=Installed("pirate-2", "/x", report, **(values | other)))


def reported(ended: Progress) -> TrainingReportScreen:
    """The report of one that has ended."""
    return TrainingReportScreen(just_made(ended))


def compared(text: str, kind: str, base: str = "", adapter: str = "", *, done: bool = False) -> Compared:
    """One row of before and after."""
    return Compared(Question((Turn(Role.USER, text),), kind), base, adapter, done)


def adapter(
    name: str,
    description: str = "",
    *,
    rank: int = 8,
    starters: tuple[str, ...] = (),
    base: str = "Org/Base",
    origin: Origin = "user",
    **said: Any,
) -> Adapter:
    """One that could be worn."""
    manifest = Manifest(
        name,
        description=description,
        weights=WeightsClaim(sha256="ab" * 32),
        chat=ChatSettings(starters=starters),
        **said,
    )
    return Adapter(name, Path("/a") / name, origin, base, rank, 2_442_240, 9_800_000, ("up_proj",), manifest)


TRAINED = {"source": "examples.jsonl", "conversations": 48, "seconds": 308.2, "steps": 66, "recipe": {"rank": 8}}

CATALOG = Catalog(
    (
        adapter("big-llama", "Speaks of llamas", base="meta-llama/Llama-3.2-1B-Instruct"),
        adapter("haiku", "Answers in three lines", base="someone/SmolLM2-135M-tuned"),
        adapter(
            "pirate",
            "Talks like a pirate",
            starters=("Where is my parcel?",),
            license="MIT",
            training=TRAINED,
            evaluation={"heldout_loss_before": 3.4576, "heldout_loss_after": 0.0267},
        ),
        adapter("shop", "Knows our shop at 12 Harbour Street", rank=4),
        adapter("support-bot", "Answers for a web shop's support", rank=16, origin="bundled"),
    ),
    (Problem(Path("/a/broken-one"), "Its configuration is not JSON: remove the folder."),),
)


UNFIT = (
    'The adapter "big-llama" (made for meta-llama/Llama-3.2-1B-Instruct, checked against Org/Base) does not fit: it '
    'adapts "model.layers.15.mlp.up_proj", which this base does not have; wear it on its own base model or install one '
    "made for this base."
)
DOUBT = "It was made for someone/SmolLM2-135M-tuned; its shapes fit Org/Base, its words may not."
STANDINGS = {
    "big-llama": Standing(Verdict(False, UNFIT, (), 14, 210)),
    "haiku": Standing(Verdict(True, "", (), 210, 210, DOUBT)),
    "pirate": Standing(Verdict(True, "", (), 210, 210), effect=7.318),
    "shop": Standing(Verdict(True, "", (), 210, 210)),
    "support-bot": Standing(Verdict(True, "", (), 90, 210), effect=0.0),
}


def hit(id: str, title: str, snippet: str, at: float | None = None) -> Hit:
    """One message that was found."""
    when = time.time() if at is None else at
    return Hit(
        Conversation(id, title, when, when), Message(1, id, None, Role.USER, snippet, Status.DONE, when), snippet
    )


HITS = (
    hit("aaaaaaaa", "Return of order 4711", "How do I return an order?"),
    hit("bbbbbbbb", "Pirate limericks", "…an order of monks…"),
)
