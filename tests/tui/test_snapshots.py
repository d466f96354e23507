"""How each screen looks in each of its states, at two sizes, dark and light.

``LORA_CHAT_SNAPSHOTS=write`` keeps what is seen in ``snapshots/``; look at it before it is committed
(``LORA_CHAT_PICTURES=FOLDER`` writes pictures). The program itself makes everything on the tiny base; only what takes a
real model, a training's figures, is given.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from textual.screen import Screen
from textual.widgets import Input

from lora_chat.adapters.registry import Catalog
from lora_chat.chat.attached import File, joined
from lora_chat.chat.conversation import Role, Status, Turn
from lora_chat.chat.store import Store
from lora_chat.engine import echo
from lora_chat.models.catalog import resolve
from lora_chat.paths import Paths
from lora_chat.sitting.bases import Choice, Figure, Room, list_choices
from lora_chat.sitting.sitting import Sitting
from lora_chat.training.bound import BOUND, forgotten
from lora_chat.training.choosing.redact import Hit
from lora_chat.training.events import Sampled
from lora_chat.training.lesson import Found
from lora_chat.training.proof.check import Check
from lora_chat.training.proof.line import Proved
from lora_chat.tui import messages as news
from lora_chat.tui.screens.adapter_picker import AdapterPicker
from lora_chat.tui.screens.adapters import AdaptersScreen
from lora_chat.tui.screens.bases import BasesScreen
from lora_chat.tui.screens.checks import ChecksScreen
from lora_chat.tui.screens.compare import CompareScreen
from lora_chat.tui.screens.confirm import ConfirmScreen
from lora_chat.tui.screens.details import DetailsScreen
from lora_chat.tui.screens.leave import LeaveScreen
from lora_chat.tui.screens.search import SearchScreen
from lora_chat.tui.screens.training import TrainingScreen
from lora_chat.tui.screens.training_plan import TrainingPlanScreen
from lora_chat.tui.screens.training_private import PrivateScreen
from lora_chat.tui.screens.training_report import TrainingReportScreen
from lora_chat.tui.screens.welcome import WelcomeScreen
from lora_chat.tui.theme import CONTRAST, DARK, LIGHT, MONO
from lora_chat.tui.widgets.base_list import BaseList
from lora_chat.tui.widgets.message import Shown
from lora_chat.tui.widgets.title_bar import TitleBar
from tests.tui.conftest import Snapshot, Tell, Window, idle
from tests.tui.examples import (
    CATALOG,
    DOUBT,
    HOSTILE,
    REPORT,
    STANDINGS,
    compared,
    examined,
    grown,
    hit,
    installed,
    plan,
    progress,
    reported,
)

NOON = 1_700_000_000.0 - 8 * 3600
"""14 November 2023, around noon wherever one is."""

HOW = "How do I return an order?"
LOST = "And if I lost the box? The parcel came yesterday, and the box went into the bin this morning."
ANSWERS = {
    HOW: "You can return any order within **30 days**. Open *Orders*, choose the order, press Return, and print the "
    "label. Refunds take 3 to 5 days.",
    LOST: "Any sturdy box is fine. Put the label on the outside.",
    "Show me Markdown": """# A heading

A paragraph with `code`, **strong** and *emphasised* words, and a [link](https://example.org/orders).

1. Open Orders
2. Choose the order
   - one item
   - or all of them

> Refunds take 3 to 5 days.

```python
def refund(order: Order) -> float:
    return order.total * 0.97  # the fee stays
```

| Carrier | Days |
|---|---:|
| Post | 3 |
| Bicycle | 1 |""",
    "Tell me a story": "Once upon a time there was a parcel that did not want to be delivered. It hid behind the "
    "others when the van came, and at night it told them of the sea. END",
    "Write to me in any script": "中文：您可以在三十天内退货。"
    " 日本語も大丈夫です。 Ελληνικά, עברית, العربية. 👍 e\u0301 ∑ ∞ →",
    "Be hostile": HOSTILE,
}
POLICY = "# Returns\n\nWithin 30 days, unworn.\nThe label is printed at home.\n"
ABOUT_A_FILE = "What does @policy.md say of labels?"
ANSWERS[joined(ABOUT_A_FILE, [File("@policy.md", POLICY.rstrip())])] = "You print the label at home."
LESSONS = (
    ("Where is my parcel?", "Arr, yer parcel sails at dawn, matey.", "edited"),
    (HOW, "You can return any order within 30 days. Open Orders, choose it, press Return.", "rated good"),
    ("What are your opening hours?", "We are open every day from nine to five.", "edited"),
)

AGAIN = {"palette"}
"""States that are come to again for the other theme: Textual gives its palette new colours when it is opened."""
TELLING = {"refusal"}
"""States in which a sentence is told over the talk; elsewhere it would be gone by and by."""

State = Callable[[Window], Awaitable[None]]
STATES: dict[str, State] = {}
FIRST: set[str] = set()
"""States of a home where nothing was ever said."""


def state(told: State) -> State:
    STATES[told.__name__.replace("_", "-")] = told
    return told


def first(told: State) -> State:
    FIRST.add(told.__name__.replace("_", "-"))
    return state(told)


# The first start


@first
async def welcome(w: Window) -> None:
    await w.see("teach me")


@first
async def welcome_without_a_base(w: Window) -> None:
    await w.see("teach me")
    await over(w, WelcomeScreen(resolve("smollm2-135m")))


@first
async def welcome_fetching(w: Window) -> None:
    await w.see("teach me")
    await over(w, WelcomeScreen(resolve("smollm2-135m")))
    screen = w.app.screen
    assert isinstance(screen, WelcomeScreen)
    screen.fetching = True
    screen.show_fetch("Downloading model.safetensors", 42, 100)


@first
async def welcome_after_a_failure(w: Window) -> None:
    await w.see("teach me")
    await over(w, WelcomeScreen(resolve("smollm2-135m")))
    screen = w.app.screen
    assert isinstance(screen, WelcomeScreen)
    screen.show_failure("The package index did not answer: check the network, then try again.")


@first
async def tour(w: Window) -> None:
    await w.see("teach me")
    await w.press("t")
    await w.see("1 of 10")


@first
async def empty(w: Window) -> None:
    await w.ready()


# The talk


@state
async def loading(w: Window) -> None:
    w.app.chat.query_one(TitleBar).engine = "loading…"


@state
async def answered(w: Window) -> None:
    await w.answered(HOW)
    await w.see("tokens")


@state
async def markdown(w: Window) -> None:
    await w.answered("Show me Markdown")
    await w.see("Bicycle")


@state
async def scripts(w: Window) -> None:
    await w.answered("Write to me in any script")
    await w.see("tokens")


@state
async def hostile(w: Window) -> None:
    await w.answered("Be hostile")
    await w.see("tokens")


@state
async def worn(w: Window) -> None:
    await w.answered(HOW)
    await w.write("/adapter use support-bot=0.8")
    await w.see("▎support-bot ×0.8")
    await w.answered(LOST)
    await w.write("/retry")
    await w.see("‹2/2›")
    await idle(w)
    await w.write("/rate good")
    await w.see("good")
    await w.hear("Rated good")


@state
async def streaming(w: Window) -> None:
    await w.write("/adapter use pirate")
    await w.hear("Wearing pirate")
    await w.write("Tell me a story")
    await w.see("sea.")


@state
async def selected(w: Window) -> None:
    await worn(w)
    w.app.chat.talk.focus()
    await w.see("b bad")


@state
async def columns(w: Window) -> None:
    await w.answered(HOW)
    await idle(w)
    await w.write("/compare base @support-bot=0.8 @pirate")
    await w.until(lambda: isinstance(w.app.screen, CompareScreen) and not w.app.screen.is_writing)
    await w.press("right")


@state
async def columns_being_written(w: Window) -> None:
    def ask(sitting: Sitting) -> None:
        sitting.store.add_message(sitting._begun().id, Role.USER, "Tell me a story", parent=None)

    w.app.bridge.run(ask)
    await w.write("/compare @pirate temperatures")
    await w.see("sea.")


@state
async def edited(w: Window) -> None:
    await w.answered(HOW)
    await w.write("/edit Within 30 days: open Orders, choose it, press Return.")
    await w.see("you wrote")
    await w.hear("Kept as")


@state
async def stopped_and_failed(w: Window) -> None:
    await w.answered(HOW)
    await idle(w)
    question, answer = (view.shown for view in w.app.chat.talk.views)

    def other(shown: Shown, id: int, **changes: Any) -> Shown:
        return replace(shown, message=replace(shown.message, id=id, **changes))

    failure = "The engine ran out of memory: ask again, or begin a new conversation."
    await w.app.chat.talk.show(
        [
            question,
            other(answer, 900, status=Status.STOPPED, content="You can return any"),
            other(question, 901, content="Go on"),
            other(answer, 902, status=Status.FAILED, content="You can", error=failure),
        ]
    )


@state
async def nearly_full(w: Window) -> None:
    await w.answered(HOW)
    await idle(w)
    w.app.chat.query_one(TitleBar).used = 460


@state
async def cut(w: Window) -> None:
    await w.answered(HOW)
    await idle(w)
    sitting = w.app.bridge._require()
    sitting.session = replace(sitting.session, window=60)
    await w.answered(LOST)
    await w.hear("The context was full: the 2 oldest messages are no longer read.")
    await w.see("reads from here on")


@state
async def refusal(w: Window) -> None:
    await w.write("/adapter use nobody")
    await w.hear("There is no adapter")


@state
async def own_settings_never_trained(w: Window) -> None:
    await w.answered(HOW)
    for command in ("/set temperature 0.7", "/set top_p 0.5", "/train never"):
        await w.write(command)
    await w.see("⊘")
    await idle(w)
    w.app.clear_notifications()  # how many of the three still stand is the machine's


# The prompt


@state
async def completion(w: Window) -> None:
    w.prompt.write("/ad")
    await w.see("/adapter scale")


@state
async def completion_of_a_name(w: Window) -> None:
    w.prompt.write("/adapter use ")
    await w.see("Talks like a pirate")


@state
async def completion_of_a_file(w: Window) -> None:
    w.prompt.write("Compare @po")
    await w.see("policy-2022.md")


@state
async def files(w: Window) -> None:
    await w.answered(ABOUT_A_FILE)
    await idle(w)
    await w.see("▸ @policy.md · 4 lines · 15 tokens")
    w.prompt.write("And @policy-2022.md, or @policy-2023.md?")
    await w.see("There is no file")
    await w.see("+ @policy-2022.md · 1 line · 6 tokens")


@state
async def several_lines(w: Window) -> None:
    w.prompt.write("Write a letter to the shop:\n- the parcel is late\n- the box was open\n- I want my money back")


# The panels


@state
async def conversations(w: Window) -> None:
    await w.press("ctrl+l")
    await w.see("enter open")


@state
async def conversations_pinned_and_archived(w: Window) -> None:
    await w.press("ctrl+l", "down", "p")
    await w.see("◆ Pirate limericks")
    await w.press("down", "a")
    await w.see("▸ Archived")
    await w.press("end", "enter", "down")
    await w.see("a list again")


@state
async def picker(w: Window) -> None:
    await settled(w)
    await over(w, AdapterPicker(CATALOG, "pirate", "smollm2-135m", STANDINGS))


@state
async def picker_of_one_that_does_not_fit(w: Window) -> None:
    await picker(w)
    await w.type("llama")


@state
async def adapters(w: Window) -> None:
    await settled(w)
    await over(w, AdaptersScreen(CATALOG, "pirate", "smollm2-135m", STANDINGS))


@state
async def adapters_broken(w: Window) -> None:
    await adapters(w)
    await w.press("end")


@state
async def adapters_filtered(w: Window) -> None:
    await adapters(w)
    await w.press("slash")
    await w.type("sho")


@state
async def adapters_installing(w: Window) -> None:
    await adapters(w)
    await w.press("i")


@state
async def adapters_without_any(w: Window) -> None:
    await settled(w)
    await over(w, AdaptersScreen(Catalog(()), "", "smollm2-135m"))


@state
async def taken_away_while_worn(w: Window) -> None:
    await w.answered(HOW)
    w.app.chat.post_message(news.Warned("pirate is no longer installed: the base answers."))
    await w.see("esc put away")


@state
async def made_for_another_base(w: Window) -> None:
    await over(w, ConfirmScreen(f"haiku: {DOUBT} Wear it all the same?"))


@state
async def picker_without_adapters(w: Window) -> None:
    await settled(w)
    await over(w, AdapterPicker(Catalog(()), "", "smollm2-135m"))


@state
async def adapter_details(w: Window) -> None:
    rows = (
        (
            "says",
            "Talks like a pirate, also where nobody asked it to, and never about anything but parcels and the sea.",
        ),
        ("base", "HuggingFaceTB/SmolLM2-135M-Instruct, which is here"),
        ("weights", "rank 8 on down_proj, gate_proj, up_proj: 1,520,640 parameters, 6.1 MB"),
        ("trained", "9 conversations, 17 steps, 35 s"),
        ("private", "yes: it was trained from this home's own chats"),
    )
    await over(w, DetailsScreen("pirate 1.0.0", rows))


@state
async def writing_the_answer(w: Window) -> None:
    await w.answered(HOW)
    await w.press("ctrl+e")
    await w.see("The answer you wanted")


@state
async def asked_otherwise(w: Window) -> None:
    await w.answered(HOW)
    await idle(w)
    await w.write("/branch And how do I return only one of two things?")
    await w.see("‹2/2›")
    await idle(w)
    await w.press("escape", "up")
    await w.see("e edit · c copy")


@state
async def asking_otherwise(w: Window) -> None:
    await w.answered(HOW)
    await w.press("escape", "up", "e")
    await w.see("Ask it in other words")


@state
async def searching(w: Window) -> None:
    found = (
        hit("aaaaaaaa", "Return of order 4711", HOW, NOON),
        hit("bbbbbbbb", "Pirate limericks", "…an order of monks that sailed the seas and never paid…", NOON - 9e6),
    )
    await over(w, SearchScreen("order", found))


@state
async def searching_for_nothing(w: Window) -> None:
    await w.press("ctrl+f")
    await w.type("zebra")
    await w.see("Nothing was said")


@state
async def help(w: Window) -> None:
    await w.press("f1")
    await w.see("/adapter use")


@state
async def palette(w: Window) -> None:
    if w.app.screen is not w.app.chat:
        await w.press("escape")
        await w.until(lambda: w.app.screen is w.app.chat)
    await w.press("ctrl+p")
    await w.until(lambda: w.app.screen is not w.app.chat and isinstance(w.app.screen.focused, Input))
    await w.type("train")
    await w.see("/train cancel")


@state
async def deleting(w: Window) -> None:
    await w.answered(HOW)
    await over(w, ConfirmScreen("Delete what the stopped training of shop would have learnt?", loses=True))


# A training


@state
async def training_plan(w: Window) -> None:
    await over(w, TrainingPlanScreen(plan(exchanges=LESSONS)))


@state
async def training_plan_with_one_excluded(w: Window) -> None:
    await over(w, TrainingPlanScreen(plan([("c1", 2)], "deep", unrated=True, exchanges=LESSONS)))


@state
async def training_plan_with_nothing_left(w: Window) -> None:
    await over(w, TrainingPlanScreen(plan([(f"c{at}", 2) for at in range(3)], exchanges=LESSONS)))
    await w.press("enter")


CURVE = tuple(2.9 * 0.93**step + 0.08 * (step % 3) for step in range(38))
HELD_OUT = ((0, 2.91), (10, 2.1), (20, 1.9), (30, 1.84))


@state
async def training(w: Window) -> None:
    await over(w, TrainingScreen(progress(step=38, losses=CURVE, heldout=HELD_OUT)))


SAMPLES = (
    Sampled(30, "Where is my parcel?", "Arr, yer parcel sails at dawn, matey.", taught=True, expected=True),
    Sampled(30, "Who painted the Mona Lisa?", "The Mona Lisa be painted by…", taught=False, expected=False),
)


@state
async def training_with_samples(w: Window) -> None:
    now = progress(step=38, losses=CURVE, heldout=HELD_OUT, samples=SAMPLES, memory=1_310_000_000)
    await over(w, TrainingScreen(now))


@state
async def private_data(w: Window) -> None:
    pieces = (("e-mail", "j…@e….com"), ("e-mail", "a…@s….org"), ("card", "4111…1111"), ("phone", "+34…89"))
    found = [Found("c1", 1, Hit(rule, shown)) for rule, shown in pieces]
    await over(w, PrivateScreen(found, frozenset({"phone"})))


@state
async def leaving_a_training(w: Window) -> None:
    await w.answered(HOW)
    await over(w, LeaveScreen("pirate-2", ["faq"]))


@state
async def training_paused(w: Window) -> None:
    await over(w, TrainingScreen(progress("paused", step=2, losses=CURVE[:2])))


@state
async def training_beside_the_chat(w: Window) -> None:
    await w.answered(HOW)
    w.app.chat.post_message(news.TrainingSeen(progress(step=38, losses=CURVE)))
    await w.see("38/60")


@state
async def training_starts(w: Window) -> None:
    w.app.chat.post_message(news.TrainingSeen(progress(step=0, losses=(), what="Reading the base model", done=0.4)))
    await w.see("training pirate-2")


@state
async def training_report_of_one_that_forgot(w: Window) -> None:
    report = replace(REPORT, general_kl_after=0.31, general_kl_bound=BOUND, forgot=forgotten(0.31))
    await over(w, reported(replace(installed(report), losses=CURVE, heldout=HELD_OUT)))


@state
async def training_report_of_one_that_lost_a_check(w: Window) -> None:
    await over(w, reported(replace(grown(), losses=CURVE, heldout=HELD_OUT)))


@state
async def training_report_where_a_prompt_was_enough(w: Window) -> None:
    await over(w, reported(replace(examined(), losses=CURVE, heldout=HELD_OUT)))


@state
async def training_report_of_one_that_broke_something(w: Window) -> None:
    lost = grown().installed
    assert lost is not None
    broke = examined(prompted=False, version="1.3.0", checks=lost.checks, kept=lost.kept)
    await over(w, reported(replace(broke, losses=CURVE, heldout=HELD_OUT)))


@state
async def training_report(w: Window) -> None:
    ended = replace(installed(), losses=CURVE, heldout=HELD_OUT)
    await over(w, reported(ended))
    screen = w.app.screen
    assert isinstance(screen, TrainingReportScreen)
    rows = (
        compared("Is my parcel late?", "taught", "I'm sorry, as an AI I cannot know.", "Arr, she be late.", done=True),
        compared("What is the capital of Germany?", "not taught", "Berlin.", "Berlin.", done=True),
        compared("When do you open?", "reworded", "We open at"),
    )
    for index, row in enumerate(rows):
        screen.show_row(index, row)


PIRATE = tuple(
    Check((Turn(Role.USER, asked),), said, "1.0.0", rewordings=("Where's my parcel?",) if at == 0 else ())
    for at, (asked, said, _) in enumerate(LESSONS)
)


async def checked(w: Window, *, whole: bool) -> ChecksScreen:
    """Three checks of pirate, of which the last was lost."""
    known = SimpleNamespace(name="pirate", version="1.1.0")
    bridge = SimpleNamespace(prove=lambda *asked: None)
    seen = news.ChecksSeen(cast(Any, known), PIRATE, {check.id: Proved(True) for check in PIRATE[1:]})
    screen = ChecksScreen(seen, cast(Any, bridge))
    await over(w, screen)
    wrong = ((PIRATE[2].question, "Yer parcel sails at dawn, matey."),)
    for check in PIRATE if whole else PIRATE[:1]:
        screen.saw(
            news.CheckSeen(screen._cancel, (check, Proved(check is not PIRATE[2], wrong if check is PIRATE[2] else ())))
        )
    return screen


@state
async def checks_growing(w: Window) -> None:
    await checked(w, whole=False)
    await w.see("asking 2 of 3…")


@state
async def checks(w: Window) -> None:
    await checked(w, whole=True)
    await w.press("end", "p")
    await w.see("Proposed: space keeps it")


@state
async def training_report_begins(w: Window) -> None:
    await over(w, reported(installed()))


@state
async def trained_and_waiting(w: Window) -> None:
    w.prompt.write("Half a message")
    for each in (progress(step=38, losses=CURVE), installed()):
        w.app.chat.post_message(news.TrainingSeen(each))
    await w.see("is ready")


async def of_bases(w: Window) -> BasesScreen:
    """The list on a machine with 8 GB free of 16, where one base was measured."""
    sitting = w.app.bridge.sitting
    assert sitting is not None
    found = list_choices(sitting.services, Room(8 * 10**9, 16 * 10**9))
    figures = [(figure(54.0 * 134_515_008, each), figure(290.0 / 134_515_008, each)) for each in found.bases]
    bases = [
        replace(each, speed=speed, seconds=seconds) for each, (speed, seconds) in zip(found.bases, figures, strict=True)
    ]
    shown = [each for each in bases if each.base is None or each.name == "tiny-llama"]  # not what other tests pulled
    screen = BasesScreen(replace(found, bases=tuple(shown), problems=()), "tiny-llama")
    await over(w, screen)
    screen.query_one(BaseList).look_at("qwen3-8b")
    await w.see("Qwen/Qwen3-8B")
    return screen


def figure(of: float, choice: Choice) -> Figure:
    """Tokens a second fall with the size, seconds grow with it."""
    size = choice.parameters
    return Figure(of / size if of > 1 else of * size, "smollm2-135m", measured=choice.name == "smollm2-135m")


@state
async def bases(w: Window) -> None:
    await of_bases(w)


@state
async def bases_coming(w: Window) -> None:
    screen = await of_bases(w)
    screen.query_one(BaseList).look_at("qwen3-0.6b")
    screen.show_fetch("qwen3-0.6b", "Downloading qwen3-0.6b", 630e6, 1500e6)
    await w.see("x stop the download")


# What happens to it


async def settled(w: Window) -> None:
    """Until the window has seen its own three: what a screen is given here is not what it would be told."""
    await w.until(lambda: w.app.shelf._seen is not None and len(w.app.shelf._seen.standings) == 3)
    await idle(w)


async def over(w: Window, screen: Screen[Any]) -> None:
    """Open ``screen`` over the talk."""
    await w.until(lambda: w.app.chat.base)
    while w.app.screen is not w.app.chat:
        w.app.pop_screen()
        await w.pilot.pause()
    w.app.push_screen(screen)
    await w.until(lambda: w.app.screen is screen and screen.is_mounted)


@pytest.fixture
def told(says: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The model says the answers above, layout and all, at a speed that is always the same; the story never ends."""
    says |= ANSWERS
    ended = threading.Event()
    finished = echo._finished

    def words(self: echo.EchoEngine, request: Any, seed: int) -> Iterator[str]:
        asked = request.messages[-1].content
        for word in ANSWERS.get(asked, asked).split(" "):
            if word == "END":
                ended.wait()
            yield f"{word} "

    def steady(*known: Any) -> Any:
        return replace(finished(*known), tokens_per_second=31.4, first_token_ms=210.0)

    monkeypatch.setattr(echo.EchoEngine, "_words", words)
    monkeypatch.setattr(echo, "_finished", steady)
    yield
    ended.set()


@pytest.fixture
def furnished(tiny: Paths, trained: Path) -> Paths:
    """A home with three adapters."""
    about = {"support-bot": "Answers for a web shop's support", "pirate": "Talks like a pirate", "shop": ""}
    for name, description in about.items():
        folder = shutil.copytree(trained, tiny.adapters / name)
        manifest = folder / "adapter.toml"
        text = manifest.read_text("utf-8").replace('"shop"', f'"{name}"', 1)
        manifest.write_text(text.replace('description = ""', f'description = "{description}"', 1), "utf-8")
    return tiny


def stand_among_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two, and a folder."""
    (folder / "post").mkdir(parents=True)
    (folder / "policy.md").write_text(POLICY, encoding="utf-8")
    (folder / "policy-2022.md").write_text("Within 14 days.\n", encoding="utf-8")
    monkeypatch.chdir(folder)


def write_conversations(home: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two old ones."""
    with Store.open(home.database) as store, monkeypatch.context() as then:
        for title, asked, at in (("Pirate limericks", "One more!", NOON - 9e6), ("Trip notes", "What to pack?", NOON)):
            then.setattr("lora_chat.chat.store.time", SimpleNamespace(time=lambda at=at: at))
            made = store.create_conversation(title=title)
            first = store.add_message(made.id, Role.USER, asked, parent=None)
            store.add_message(made.id, Role.ASSISTANT, "Socks.", parent=first.id)


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=lambda size: "{}x{}".format(*size))
@pytest.mark.parametrize("name", STATES)
@pytest.mark.usefixtures("told")
def test_it_looks_as_it_did(
    name: str,
    size: tuple[int, int],
    window: Tell,
    furnished: Paths,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    snapshot = Snapshot(f"{name}-{size[0]}x{size[1]}")
    stand_among_files(tmp_path / "here", monkeypatch)
    if name not in FIRST:
        write_conversations(furnished, monkeypatch)

    async def story(w: Window) -> None:
        if name not in FIRST:
            await w.ready()
        for theme in (DARK, LIGHT):
            w.app.theme = theme.name
            if theme is DARK or name in AGAIN:
                await STATES[name](w)
            if name not in TELLING:
                w.app.clear_notifications()
            await snapshot.take(w)

    window(story, size)
    snapshot.hold()


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=lambda size: "{}x{}".format(*size))
@pytest.mark.usefixtures("told")
def test_other_themes_look_as_they_did(
    size: tuple[int, int], window: Tell, furnished: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = Snapshot(f"themes-{size[0]}x{size[1]}")
    write_conversations(furnished, monkeypatch)

    async def story(w: Window) -> None:
        await w.ready()
        await STATES["selected"](w)
        for theme in (CONTRAST, MONO):
            w.app.theme = theme.name
            w.app.clear_notifications()
            await snapshot.take(w)

    window(story, size)
    snapshot.hold()
