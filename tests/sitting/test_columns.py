"""One question in columns: which they are, who is asked what, and what marking one keeps. No model, real adapters."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from lora_chat.adapters.install import install_folder
from lora_chat.chat.conversation import Message, Rating, Role, Status
from lora_chat.config import Config
from lora_chat.engine.echo import EchoEngine
from lora_chat.engine.protocol import Chunk, Finished, Request
from lora_chat.errors import EngineError, LoraChatError, NotFoundError, RefusedError, StoreError, UsageError
from lora_chat.models.installed import InstalledBase
from lora_chat.paths import Paths
from lora_chat.services import Services
from lora_chat.sitting.columns import (
    Answered,
    Began,
    Column,
    ColumnEvent,
    Comparison,
    Grew,
    ask_columns,
    choose_columns,
    mark_better,
)
from lora_chat.sitting.commands import take
from lora_chat.sitting.face import Face
from lora_chat.sitting.sitting import Sitting
from tests.adapters.conftest import SIGNATURE, config, safetensors, tensors, write_adapter

BASE = InstalledBase("tiny", Path("/nowhere"), "test", 1, 1, 512, SIGNATURE)
ASKED = "Where is my parcel?"
HOSTILE = "\x1b[2J[red]x[/] \u202eevil\x9b31m"


class Heard:
    """A face that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.asked: list[str] = []
        self.shown: list[Comparison] = []
        self.agrees = True

    def note(self, text: str) -> None:
        self.notes.append(text)

    def confirm(self, question: str, **_: object) -> bool:
        self.asked.append(question)
        return self.agrees

    def show_columns(self, comparison: Comparison) -> None:
        self.shown.append(comparison)

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


class Engine(EchoEngine):
    """The scripted one, which keeps what it was asked and fails as it is told to."""

    def __init__(self, base: InstalledBase) -> None:
        super().__init__(base)
        self.requests: list[Request] = []
        self.fails: dict[str, LoraChatError] = {}
        """By who is worn; "" is the base."""

    def generate(self, request: Request, cancel: threading.Event | None = None) -> Iterator[Chunk]:
        self.requests.append(request)
        for chunk in super().generate(request, cancel):
            worn = request.adapter.name if request.adapter else ""
            if worn in self.fails and isinstance(chunk, Finished):
                raise self.fails[worn]
            yield chunk


class Room:
    """A sitting in a home with two adapters, ``shop`` and ``pirate``."""

    def __init__(self, services: Services, sources: Path) -> None:
        self.services, self._sources = services, sources
        self.heard = Heard()
        for seed, name in enumerate(("shop", "pirate")):
            self.install(name, seed=seed)
        self.sitting = Sitting(services, BASE, cast(Face, self.heard))
        self.engine = cast(Engine, self.sitting.engine)

    def install(self, name: str, *, seed: int = 0, base: str = "tiny/Llama-Random", **shape: Any) -> None:
        about = config(base_model_name_or_path=base or None)
        source = write_adapter(self._sources / name, about, safetensors(tensors(seed=seed, **shape)))
        install_folder(source, self.services.paths)

    def wear(self, name: str) -> None:
        self.sitting.wear(self.services.wear(name))

    def ask(self, text: str = ASKED) -> Message:
        """Have it said, and answered by the base."""
        session, conversation = self.sitting.session, self.sitting._begun()
        list(session.send(conversation, text, None, self.sitting.sampling()))
        self.sitting.refresh()
        return self.sitting.branch()[-1]

    def choose(self, words: str) -> Comparison:
        chosen = choose_columns(self.sitting, words)
        assert chosen is not None
        return chosen

    def answered(self, comparison: Comparison, cancel: threading.Event | None = None) -> list[ColumnEvent]:
        return list(ask_columns(self.sitting.session, comparison, cancel or threading.Event()))

    def ended(self, comparison: Comparison) -> dict[int, Answered]:
        return {each.column: each for each in self.answered(comparison) if isinstance(each, Answered)}

    def mark(self, words: str, better: int) -> None:
        comparison = self.choose(words)
        mark_better(self.sitting, comparison, self.ended(comparison), better)

    @property
    def answers(self) -> list[Message]:
        assert self.sitting.conversation is not None
        messages = self.sitting.store.messages(self.sitting.conversation.id)
        return [each for each in messages if each.role is Role.ASSISTANT]


@pytest.fixture
def room(home: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    home.database.parent.mkdir(parents=True, exist_ok=True)
    paths = replace(home, bundled_adapters=tmp_path / "nothing-shipped")
    monkeypatch.setattr(Services, "engine_beside", lambda self, base: Engine(base))
    with Services(paths, Config(temperature=0.0)) as services:
        room = Room(services, tmp_path / "sources")
        yield room
        room.sitting.close()


def names(columns: Comparison) -> list[str]:
    return [column.name for column in columns.columns]


# Which columns


def test_nothing_behind_it_is_the_base_and_what_is_worn(room: Room) -> None:
    room.ask()
    room.wear("shop=0.5")
    for words in ("", "base"):
        assert names(room.choose(words)) == ["tiny", "shop ×0.5"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("base @shop @pirate=0.5", ["tiny", "shop", "pirate ×0.5"]),
        ("shop", ["tiny", "shop"]),
        ("@shop @shop=0.5", ["shop", "shop ×0.5"]),
        ("base @shop=0.7+pirate=0.3", ["tiny", "shop=0.7+pirate=0.3"]),
    ],
)
def test_names_are_columns_with_or_without_their_sign(room: Room, words: str, said: list[str]) -> None:
    room.ask()
    assert names(room.choose(words)) == said


@pytest.mark.parametrize(("words", "who"), [("@shop temperatures", "shop"), ("base temperatures", "tiny")])
def test_temperatures_are_one_ones_columns(room: Room, words: str, who: str) -> None:
    room.ask()
    chosen = room.choose(words)
    assert names(chosen) == [
        f"{who}, greedy", f"{who}, temperature 0.1", f"{who}, temperature 0.7", f"{who}, temperature 1.0"
    ]  # fmt: skip
    assert [column.sampling.temperature for column in chosen.columns] == [0.0, 0.1, 0.7, 1.0]


def test_temperatures_alone_are_those_of_what_is_worn(room: Room) -> None:
    room.ask()
    room.wear("pirate")
    assert [column.who for column in room.choose("temperatures").columns] == ["pirate"] * 4


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        ("", UsageError, "No adapter is worn to hold against the base: write /compare base @NAME."),
        ("base", UsageError, "No adapter is worn"),
        ("temperatures", UsageError, "No adapter is worn: write /compare @NAME temperatures"),
        ("@shop @pirate temperatures", UsageError, "Temperatures are one adapter's"),
        ("base @a @b @c @d", UsageError, "at most 4 columns, not 5: leave some out"),
        ("@shop base shop", UsageError, "shop stands there twice"),
        ("base @shpo", NotFoundError, "shop"),
        ("base @shop=much", RefusedError, '"much" is not a scale'),
    ],
)
def test_what_makes_no_columns_is_refused(room: Room, words: str, kind: type[LoraChatError], said: str) -> None:
    room.ask()
    with pytest.raises(kind) as refused:
        room.choose(words)
    assert said in str(refused.value)


def test_before_anything_was_asked_there_is_nothing_to_compare(room: Room) -> None:
    with pytest.raises(UsageError, match=r"^Ask something first, then /compare base @NAME"):
        room.choose("base @shop")


def test_one_that_does_not_fit_is_refused_as_wearing_it_is(room: Room) -> None:
    room.ask()
    adapter = room.services.adapters().get("shop")
    weights = adapter.path / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    said = []
    for line in ("/adapter use shop", "/compare base @shop"):
        with pytest.raises(RefusedError) as refused:
            take(room.sitting, line)
        said.append(str(refused.value))
    assert said[0] == said[1]


def test_one_made_for_another_base_is_asked_about_once_and_no_changes_nothing(room: Room) -> None:
    room.ask()
    room.install("haiku", seed=7, base="someone/Else-1B")
    room.heard.agrees = False
    take(room.sitting, "/compare base @haiku")
    assert (room.heard.shown, room.heard.notes) == ([], ["Nothing was compared."])
    room.heard.agrees = True
    take(room.sitting, "/compare base @haiku")
    take(room.sitting, "/compare base @haiku")
    assert len(room.heard.shown) == 2
    assert len(room.heard.asked) == 2


# Asking


def test_each_is_asked_the_same_as_a_turn_would_be_with_one_seed(room: Room) -> None:
    room.ask("Hello")
    room.ask()
    room.sitting.update(system="Be brief.")
    take(room.sitting, "/set top_p 0.5")
    room.engine.requests.clear()
    comparison = room.choose("base @shop")
    room.answered(comparison)
    first, second = room.engine.requests
    assert (first.adapter, second.adapter and second.adapter.name) == (None, "shop")
    assert [turn.content for turn in first.messages] == ["Be brief.", "Hello", "Hello", ASKED]
    assert first.messages == second.messages
    assert first.sampling == second.sampling
    assert (first.sampling.top_p, first.sampling.seed is None) == (0.5, False)
    take(room.sitting, "/set seed 7")
    assert {column.sampling.seed for column in room.choose("@shop temperatures").columns} == {7}


def test_what_is_asked_is_the_last_question_also_where_it_has_an_answer(room: Room) -> None:
    room.ask("Hello")
    room.ask()
    assert room.choose("base @shop").question.content == ASKED


def test_the_answers_come_one_after_the_other_in_pieces_and_nothing_is_kept(room: Room) -> None:
    before = room.ask()
    events = room.answered(room.choose("base @shop"))
    assert [type(each) for each in events[:2]] == [Began, Grew]
    texts = ["".join(each.text for each in events if isinstance(each, Grew) and each.column == at) for at in (0, 1)]
    assert texts == [ASKED, f"(shop 1) {ASKED}"]
    ends = [each for each in events if isinstance(each, Answered)]
    assert [each.draft and each.draft.text for each in ends] == texts
    assert all(each.can_be_marked for each in ends)
    assert room.answers == [before]


def test_hostile_text_is_cleaned_before_anybody_sees_it(room: Room) -> None:
    room.ask(HOSTILE)
    events = room.answered(room.choose("base @shop"))
    said = "".join(each.text for each in events if isinstance(each, Grew))
    assert "[red]x[/]" in said
    assert not {"\x1b", "\x9b", "\u202e"} & set(said)


def test_one_that_fails_leaves_the_others(room: Room) -> None:
    room.ask()
    room.engine.fails["shop"] = EngineError("It broke.")
    ended = room.ended(room.choose("base @shop @pirate"))
    assert [each.can_be_marked for each in ended.values()] == [True, False, True]
    assert str(ended[1].failure) == "It broke."


def test_once_nobody_waits_any_more_the_rest_is_not_asked(room: Room) -> None:
    room.ask()
    room.engine.requests.clear()
    cancel = threading.Event()
    events = []
    for event in ask_columns(room.sitting.session, room.choose("base @shop @pirate"), cancel):
        events.append(event)
        if isinstance(event, Grew):
            cancel.set()
    first, second, third = (each for each in events if isinstance(each, Answered))
    assert first.draft is not None
    assert first.draft.status is Status.STOPPED
    assert not first.can_be_marked
    assert (second, third) == (Answered(1), Answered(2))
    assert len(room.engine.requests) == 1


def test_an_answer_without_a_word_cannot_be_better(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    room.ask()
    monkeypatch.setattr(Engine, "_words", lambda *_: [" "])
    assert not any(each.can_be_marked for each in room.ended(room.choose("base @shop")).values())


# Marking


def test_the_better_one_is_rated_and_shown_and_the_others_stand_beside_it(room: Room) -> None:
    first = room.ask()
    room.mark("@shop=0.5 @pirate", 0)
    shown = room.sitting.branch()[-1]
    assert (shown.content, shown.rating, shown.status) == (f"(shop 0.5) {ASKED}", Rating.GOOD, Status.DONE)
    assert (shown.parent, shown.base, shown.adapter, shown.scale) == (first.parent, "tiny", "shop", 0.5)
    assert shown.adapter_sha256 == room.services.adapters().get("shop").sha256
    assert (shown.finish_reason, shown.generated_tokens) == ("stop", 5)
    assert shown.tokens_per_second is not None
    assert json.loads(shown.sampling or "")["temperature"] == 0.0
    assert [(each.adapter, each.rating) for each in room.answers] == [
        (None, None), ("shop", Rating.GOOD), ("pirate", None)
    ]  # fmt: skip
    assert room.sitting.wearing is None
    assert room.heard.notes == ["Rated good and shown: shop ×0.5; the other one stands beside it."]


def test_what_is_there_already_is_rated_and_not_kept_twice(room: Room) -> None:
    first = room.ask()
    take(room.sitting, "/set seed 1")  # drawn, one in 120 says the same as the greedy answer
    room.mark("base temperatures", 0)
    kept = room.answers
    assert (kept[0].id, kept[0].rating) == (first.id, Rating.GOOD)
    assert room.sitting.branch()[-1].id == first.id
    assert len({each.content for each in kept}) == len(kept)
    beside = "the other one stands" if len(kept) == 2 else "the other answers stand"
    assert beside in room.heard.notes[-1]
    room.mark("base @shop", 0)
    assert room.sitting.branch()[-1].id == first.id
    assert [each.content for each in room.answers] == [*(each.content for each in kept), f"(shop 1) {ASKED}"]


def test_an_answer_the_person_wrote_to_the_letter_is_another_one(room: Room) -> None:
    first = room.ask()
    room.sitting.edit(first, f"(shop 1) {ASKED}")
    room.mark("base @shop", 1)
    written, kept = room.answers[1:]
    assert (written.rating, kept.rating, kept.adapter) == (None, Rating.GOOD, "shop")
    assert room.sitting.branch()[-1].id == kept.id


def test_a_stopped_or_failed_one_is_not_kept(room: Room) -> None:
    room.ask()
    room.engine.fails["shop"] = EngineError("It broke.")
    room.mark("@shop @pirate", 1)
    assert [each.adapter for each in room.answers] == [None, "pirate"]
    assert room.heard.notes == ["Rated good and shown: pirate."]
    with pytest.raises(RefusedError, match="not whole"):
        room.mark("@shop @pirate", 0)


def test_all_of_it_is_kept_or_nothing(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    first = room.ask()
    comparison = room.choose("@shop @pirate")
    ended = room.ended(comparison)

    def full(*_: object) -> None:
        raise StoreError("No space is left.")

    monkeypatch.setattr(type(room.sitting.store), "rate", full)
    with pytest.raises(StoreError):
        mark_better(room.sitting, comparison, ended, 0)
    assert room.answers == [first]
    room.sitting.refresh()
    assert room.sitting.branch()[-1] == first


def test_a_conversation_that_was_deleted_meanwhile_is_said(room: Room) -> None:
    room.ask()
    comparison = room.choose("@shop @pirate")
    ended = room.ended(comparison)
    room.sitting.store.delete_conversation(comparison.question.conversation)
    with pytest.raises(NotFoundError):
        mark_better(room.sitting, comparison, ended, 0)


def test_a_column_is_told_by_its_temperature_only_where_that_is_compared(room: Room) -> None:
    sampling = room.sitting.sampling()
    assert Column("tiny", None, sampling).name == "tiny"
    assert Column("tiny", None, sampling, "greedy").name == "tiny, greedy"
