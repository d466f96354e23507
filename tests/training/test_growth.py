"""An adapter grows: it starts from what it was, replays what it knew, and takes no place where it forgot something."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save

from lora_chat.adapters.install import install_folder
from lora_chat.adapters.manifest import ChatSettings, Manifest
from lora_chat.adapters.registry import Adapter, discover
from lora_chat.adapters.removal import remove
from lora_chat.adapters.verify import load_verified, read_manifest_of
from lora_chat.adapters.versions import make_current, versions
from lora_chat.chat.conversation import Turn
from lora_chat.engine.echo import EchoEngine
from lora_chat.errors import EngineError, RefusedError
from lora_chat.models.attach import lora_layers, wear
from lora_chat.models.base_model import BaseModel
from lora_chat.models.installed import InstalledBase
from lora_chat.paths import Paths
from lora_chat.sitting.returning import ended_alone
from lora_chat.training.events import Installed, Trained, TrainingEvent
from lora_chat.training.growth import FEW, SHAPE, TAUGHT_BEFORE, Start, grow, new_to, replayed, started
from lora_chat.training.job import create_job, digest, read_job, split
from lora_chat.training.jobs import run_job
from lora_chat.training.peft.trainable import trainable_twin
from lora_chat.training.proof.check import checks_of
from lora_chat.training.proof.line import Line, Proved
from lora_chat.training.recipe import target_modules
from lora_chat.training.selection import Lesson, Selection
from lora_chat.training.trainer import train
from tests.engine.conftest import LESSONS, lesson, make_adapter, make_job, short_recipe
from tests.training.preparing import nothing

NEW = (lesson("Where are you?", "In a shop."), lesson("What do you sell?", "Books."))

Answer = Callable[[Adapter | None, tuple[Turn, ...], int], str]


def knows(*lessons: Lesson) -> Answer:
    """Answers these as they were taught, and nothing else."""

    def answer(adapter: Adapter | None, messages: tuple[Turn, ...], longest: int) -> str:
        known = {check.messages: check.answer for check in checks_of(lessons)}
        return known.get(messages, "No idea.")

    return answer


def knows_later(*lessons: Lesson) -> Answer:
    """The first version answers ``LESSONS`` as they were taught, and every other one these."""

    def answer(adapter: Adapter | None, messages: tuple[Turn, ...], longest: int) -> str:
        is_first = adapter is not None and adapter.version == "1.0.0"
        return knows(*(LESSONS if is_first else lessons))(adapter, messages, longest)

    return answer


class Grower:
    """Trains versions of ``taught`` with the scripted engine."""

    def __init__(self, base: InstalledBase, home: Paths) -> None:
        self.base, self.home = base, home

    def first(self, answers: Answer | None = None, lessons: tuple[Lesson, ...] = LESSONS) -> Installed:
        return self.run(make_job(self.home.training, lessons), answers)

    def next(self, answers: Answer | None = None, lessons: tuple[Lesson, ...] = NEW) -> Installed:
        selection, start = grow(self.worn, Selection(lessons, {}), self.home)
        return self.run(self.job(selection, start), answers)

    def job(self, selection: Selection, start: Start) -> Path:
        return create_job(self.home.training, "taught", self.base.name, "test", selection, short_recipe(), start=start)

    def run(self, job: Path, answers: Answer | None) -> Installed:
        engine = EchoEngine(self.base)
        *_, last = run_job(job, engine.train, self.base.signature, self.home, threading.Event(), answers=answers)
        assert isinstance(last, Installed)
        return last

    @property
    def worn(self) -> Adapter:
        return discover(self.home).get("taught")

    @property
    def line(self) -> Line:
        return Line.of("taught", self.home)

    @property
    def versions(self) -> list[tuple[str, bool]]:
        return [(each.number, each.current) for each in versions("taught", self.home)]


@pytest.fixture
def grower(tiny_llama: InstalledBase, home: Paths) -> Grower:
    return Grower(tiny_llama, home)


# What is learnt


def test_a_training_leaves_what_it_taught_and_a_check_of_each_answer(grower: Grower) -> None:
    done = grower.first(knows(*LESSONS))
    assert grower.line.lessons() == LESSONS
    assert [check.question for check in grower.line.checks()] == [each.messages[0].content for each in LESSONS]
    assert done.checks is not None
    assert (done.checks.of, done.checks.held, done.checks.new, done.checks.lost) == (2, 2, 2, ())
    assert (done.version, done.kept) == ("1.0.0", "")
    assert all(proof.held for proof in grower.line.proofs("1.0.0").values())


def test_the_next_version_learns_what_is_new_and_replays_what_it_knows(grower: Grower) -> None:
    grower.first()
    new = new_to(grower.worn, Selection((*LESSONS, *NEW), {"unrated": 3}), grower.home)
    assert new.lessons == NEW
    assert new.dropped == {"unrated": 3, TAUGHT_BEFORE: 2}
    both, start = grow(grower.worn, new, grower.home)
    assert both.lessons == (*LESSONS, *NEW)
    assert [each.why for each in both.lessons] == [("replayed",), ("replayed",), (), ()]
    assert (start.version, start.after, start.replayed, start.folder) == ("1.1.0", "1.0.0", 2, grower.worn.path)


def test_a_question_that_is_taught_anew_is_not_replayed_with_its_old_answer(grower: Grower) -> None:
    grower.first()
    corrected = lesson(LESSONS[0].messages[0].content, "I am a bookseller.")
    both, start = grow(grower.worn, Selection((corrected,), {}), grower.home)
    assert both.lessons == (LESSONS[1], corrected)
    grower.run(grower.job(both, start), None)
    assert {check.question: check.answer for check in grower.line.checks()} == {
        LESSONS[0].messages[0].content: "I am a bookseller.",
        LESSONS[1].messages[0].content: LESSONS[1].messages[1].content,
    }
    assert corrected in grower.line.lessons()
    assert LESSONS[0] not in grower.line.lessons()


def test_nothing_is_replayed_of_a_conversation_that_is_kept_out(grower: Grower) -> None:
    grower.first(lessons=(replace(LESSONS[0], source="3f2a"), LESSONS[1]))
    both, start = grow(grower.worn, Selection(NEW, {}), grower.home, kept_out={"3f2a"})
    assert both.lessons == (LESSONS[1], *NEW)
    assert start.replayed == 1


def test_what_it_knows_already_and_what_is_shipped_is_refused(grower: Grower) -> None:
    grower.first()
    with pytest.raises(RefusedError, match="taught all of this before"):
        new_to(grower.worn, Selection(LESSONS, {}), grower.home)
    with pytest.raises(RefusedError, match="is shipped"):
        new_to(discover(grower.home).get("support-bot"), Selection(NEW, {}), grower.home)


def test_few_are_all_replayed_and_of_many_those_that_were_lost_first() -> None:
    before = [lesson(f"Question {number}?", f"Answer {number}.") for number in range(3 * FEW)]
    assert replayed(before[:FEW], 1, {}, 0) == before[:FEW]
    lost = {checks_of([each])[0].id: Proved(False) for each in before[::9]}
    again = replayed(before, 5, lost, 0)
    assert len(again) == FEW
    assert set(before[::9]) <= set(again)
    assert again == sorted(again, key=before.index)
    assert again == replayed(before, 5, lost, 0)
    assert again != replayed(before, 5, lost, 1)
    assert len(replayed(before, 30, {}, 0)) == 60


# Where it starts


def test_it_starts_as_the_version_before_and_all_of_it_is_trained(
    base: BaseModel, tiny_llama: InstalledBase, tmp_path: Path
) -> None:
    worn = make_adapter(tmp_path / "worn", tiny_llama, seed=3)
    start = load_verified(worn.folder, tiny_llama.signature)
    ids = base.tensor(range(5, 15))
    tree = trainable_twin(base, tiny_llama.signature, short_recipe(), start)
    with torch.no_grad():
        assert torch.equal(tree(input_ids=ids).logits, wear(base.tree, start, "a")(input_ids=ids).logits)
    trained = {name for name, each in tree.named_parameters() if each.requires_grad}
    assert len(trained) == 2 * len(tiny_llama.signature.modules)
    assert all("lora_" in name for name in trained)
    assert all(each.dtype == torch.float32 for each in tree.parameters() if each.requires_grad)


def test_its_recipe_has_the_shape_of_the_version_before(tiny_llama: InstalledBase, tmp_path: Path) -> None:
    worn = make_adapter(tmp_path / "worn", tiny_llama, seed=3, rank=6)
    recipe = started(short_recipe(targets="mlp", upper=0.5), worn.folder, tiny_llama.signature)
    assert [getattr(recipe, name) for name in SHAPE] == [6, 12, "all", 1.0]
    assert set(target_modules(tiny_llama.signature, recipe)) == set(tiny_llama.signature.modules)


def test_a_job_holds_the_weights_it_starts_from_and_its_digest_covers_them(
    tiny_llama: InstalledBase, tmp_path: Path
) -> None:
    worn = make_adapter(tmp_path / "worn", tiny_llama, seed=3)
    start = Start(worn.folder, "1.3.0", "1.2.0", 2)
    job = create_job(tmp_path / "jobs", "taught", "b", "test", Selection(LESSONS, {}), short_recipe(), start=start)
    read = read_job(job)
    assert (read.version, read.after, read.replayed, read.start) == ("1.3.0", "1.2.0", 2, job / "start")
    assert {each.name for each in (job / "start").iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    before = digest(job)
    weights = job / "start" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    assert digest(job) != before


def test_a_next_version_begins_with_the_loss_that_the_one_before_ended_with(
    base: BaseModel, tiny_llama: InstalledBase, general: Path, tmp_path: Path
) -> None:
    def run(job: Path) -> tuple[list[float], Trained]:
        events = list(train(base, tiny_llama.signature, job, general, nothing))
        assert isinstance(events[-1], Trained)
        return [each.loss for each in events if each.event == "step"], events[-1]

    long: dict[str, Any] = {"learning_rate": 0.01, "upper": 1.0, "targets": "all"}
    first, done = run(make_job(tmp_path, max_steps=30, **long))
    start = Start(Path(done.folder), "1.1.0", "1.0.0", 2)
    recipe = replace(short_recipe(max_steps=3), **long)
    again = create_job(tmp_path / "again", "taught", "b", "test", Selection(LESSONS, {}), recipe, start=start)
    losses, grown = run(again)
    assert losses[0] < first[-1] < first[0] - 0.5  # its first step is made with what the last one left
    manifest = read_manifest_of(Path(grown.folder))
    assert manifest is not None
    assert (manifest.version, manifest.training["replayed"]) == ("1.1.0", 2)
    tree = lora_layers(wear(base.tree, load_verified(Path(grown.folder), tiny_llama.signature), "a"))
    assert tree.keys() == set(tiny_llama.signature.modules)


# Which version is worn


def test_a_version_that_lost_nothing_takes_the_place_of_the_one_before(grower: Grower) -> None:
    before = grower.first(knows(*LESSONS))
    done = grower.next(knows(*LESSONS, *NEW))
    assert done.checks is not None
    assert (done.checks.of, done.checks.held, done.checks.new) == (4, 4, 2)
    assert (done.version, done.kept, done.path) == ("1.1.0", "", before.path)
    assert grower.versions == [("1.0.0", False), ("1.1.0", True)]
    assert grower.worn.version == "1.1.0"


def test_a_version_that_lost_a_check_is_kept_and_not_worn(grower: Grower) -> None:
    grower.first(knows(*LESSONS))
    done = grower.next(knows_later(LESSONS[1], *NEW))
    assert done.checks is not None
    assert [each.question for each in done.checks.lost] == [LESSONS[0].messages[0].content]
    assert LESSONS[0].messages[0].content in done.kept
    assert grower.versions == [("1.0.0", True), ("1.1.0", False)]
    assert grower.worn.version == "1.0.0"


def test_the_version_after_one_that_was_not_worn_learns_it_anew(grower: Grower) -> None:
    grower.first(knows(*LESSONS))
    grower.next(knows_later(*NEW))
    assert new_to(grower.worn, Selection(NEW, {}), grower.home).lessons == NEW
    done = grower.next(knows(*LESSONS, *NEW))
    assert (done.version, done.kept) == ("1.2.0", "")
    assert grower.versions == [("1.0.0", False), ("1.1.0", False), ("1.2.0", True)]


def test_what_the_version_before_did_not_know_either_is_not_lost(grower: Grower) -> None:
    grower.first(knows(LESSONS[0]))
    done = grower.next(knows(LESSONS[0], NEW[0]))
    assert done.checks is not None
    assert (done.checks.held, done.checks.lost, done.kept) == (2, (), "")
    assert {each.question for each in done.checks.wrong} == {
        LESSONS[1].messages[0].content,
        NEW[1].messages[0].content,
    }


def test_a_training_ends_well_where_nobody_answers_its_checks(grower: Grower) -> None:
    def dead(adapter: Adapter | None, messages: tuple[Turn, ...], longest: int) -> str:
        raise EngineError("The engine is gone.")

    done = grower.first(dead)
    assert done.checks is None
    assert done.unchecked == "not all that it was taught could be asked: The engine is gone."
    assert grower.line.proofs("1.0.0") == {}


@pytest.mark.parametrize("known", [0, 1, 3])
def test_a_next_version_is_not_worn_where_not_all_that_it_knows_was_asked(grower: Grower, known: int) -> None:
    grower.first(knows(*LESSONS))
    asked: list[str] = []

    def dies(adapter: Adapter | None, messages: tuple[Turn, ...], longest: int) -> str:
        asked.append(messages[-1].content)
        if len(asked) > known:
            raise EngineError("The engine is gone.")
        return knows(*LESSONS, *NEW)(adapter, messages, longest)

    done = grower.next(dies)
    assert done.kept == "not all that it was taught could be asked: The engine is gone."
    assert done.unchecked == ""
    assert (done.checks is None) is (known == 0)
    assert grower.worn.version == "1.0.0"


def test_a_next_version_that_nobody_was_there_to_ask_is_not_worn(grower: Grower) -> None:
    grower.first(knows(*LESSONS))
    assert grower.next(None).kept == "nobody was there to ask what it was taught."
    assert grower.worn.version == "1.0.0"


def test_however_many_there_are_all_checks_are_asked(grower: Grower) -> None:
    many = tuple(lesson(f"Which is number {at}?", f"It is {at}.") for at in range(90))
    done = grower.first(knows(*LESSONS), many)
    assert done.checks is not None
    train = len(grower.line.lessons(learnt=True))
    assert train > 80  # some are held out
    assert (done.checks.of, done.checks.unasked) == (train, 0)


@pytest.mark.parametrize("asked_before", [True, False])
def test_what_does_not_hold_is_asked_of_the_version_before_anew(grower: Grower, asked_before: bool) -> None:
    """It may never have been asked, or have been judged by other rules."""
    grower.first(knows(*LESSONS))
    told = grower.line.checks()[0]
    grower.line.change(replace(told, rewordings=("In other words?",)))  # which takes back what came of it
    if asked_before:
        grower.line.note("1.0.0", {told.id: Proved(True)})
    of_whom: list[str] = []

    def forgets(adapter: Adapter | None, messages: tuple[Turn, ...], longest: int) -> str:
        of_whom.append(adapter.version if adapter else "")
        if adapter is not None and adapter.version == "1.0.0":
            return "Neither did I." if asked_before else told.answer
        return knows(*NEW, LESSONS[1])(adapter, messages, longest)

    done = grower.next(forgets)
    assert done.checks is not None
    assert of_whom.count("1.0.0") == 2, "its two wordings, and nothing that holds"
    assert grower.line.proofs("1.0.0")[told.id].held is not asked_before
    if asked_before:
        assert (done.checks.lost, done.kept) == ((), "")
    else:
        assert [each.question for each in done.checks.lost] == [told.question]
        assert done.kept.startswith("it lost a check that the version before held")


def test_a_next_version_is_not_worn_where_the_version_before_cannot_be_asked(grower: Grower) -> None:
    grower.first(knows(*LESSONS))

    def dies(adapter: Adapter | None, messages: tuple[Turn, ...], longest: int) -> str:
        if adapter is not None and adapter.version == "1.0.0":
            raise EngineError("The engine is gone")
        return knows(*NEW)(adapter, messages, longest)

    done = grower.next(dies)
    assert done.checks is not None
    assert done.checks.of == 4
    assert done.kept.startswith("it lost 2 checks"), "as they held when they were asked last"
    grower.line.change(replace(grower.line.checks()[0], must=("x",)))
    grower.line.change(replace(grower.line.checks()[1], must=("x",)))
    done = grower.next(dies)
    assert done.kept == "not all that it was taught could be asked: The engine is gone."


def test_what_fits_in_no_window_is_left_out_and_blocks_nothing_unless_it_is_all(grower: Grower) -> None:
    grower.first(knows(*LESSONS))
    too_long = LESSONS[0].messages[0].content

    def refuses(adapter: Adapter | None, messages: tuple[Turn, ...], longest: int) -> str:
        if messages[-1].content == too_long:
            raise RefusedError("It is too long")
        return knows(*LESSONS, *NEW)(adapter, messages, longest)

    done = grower.next(refuses)
    assert done.checks is not None
    assert (done.checks.of, done.checks.unasked, done.kept) == (3, 1, "")
    assert grower.worn.version == "1.1.0"

    def refuses_all(adapter: Adapter | None, messages: tuple[Turn, ...], longest: int) -> str:
        raise RefusedError("It is damaged")

    done = grower.next(refuses_all, (lesson("And now?", "Now too."),))
    assert done.kept == "nothing that it was taught could be asked: It is damaged."


def test_what_is_deleted_or_changed_while_it_is_asked_is_not_lost(grower: Grower) -> None:
    grower.first(knows(*LESSONS))
    first, second = grower.line.checks()
    asked: list[str] = []

    def meanwhile(adapter: Adapter | None, messages: tuple[Turn, ...], longest: int) -> str:
        asked.append(messages[-1].content)
        if len(asked) == 4:
            grower.line.drop(first)
            grower.line.change(replace(second, must=("nothing of the kind",)))
        return knows(*NEW)(adapter, messages, longest)

    done = grower.next(meanwhile)
    assert done.checks is not None
    assert (done.checks.of, done.checks.held, done.checks.unasked, done.checks.lost) == (2, 2, 1, ())
    assert done.kept == ""


def test_another_version_that_is_worn_while_it_is_asked_keeps_its_place(grower: Grower) -> None:
    grower.first(knows(*LESSONS))
    grower.next(knows(*LESSONS, *NEW))

    def goes_back(adapter: Adapter | None, messages: tuple[Turn, ...], longest: int) -> str:
        if grower.worn.version != "1.0.0":
            make_current("taught", "1.0.0", grower.home)
        return knows(*LESSONS, *NEW, *more)(adapter, messages, longest)

    more = (lesson("And now?", "Now too."),)
    done = grower.next(goes_back, more)
    assert done.kept == "it grew from 1.1.0, and 1.0.0 is worn meanwhile."
    assert grower.worn.version == "1.0.0"


@pytest.mark.parametrize("at", ["checks", "exam"])
def test_one_that_is_stopped_once_all_was_asked_is_worn_and_one_before_is_not(grower: Grower, at: str) -> None:
    grower.first(knows(*LESSONS))
    stop, asked = threading.Event(), list[str]()

    def answers(adapter: Adapter | None, messages: tuple[Turn, ...], longest: int) -> str:
        asked.append(messages[-1].content)
        if len(asked) == (2 if at == "checks" else 5):
            stop.set()
        return knows(*LESSONS, *NEW)(adapter, messages, longest)

    job = grower.job(*grow(grower.worn, Selection(NEW, {}), grower.home))
    *_, done = run_job(
        job, EchoEngine(grower.base).train, grower.base.signature, grower.home, threading.Event(), stop=stop,
        answers=answers,
    )  # fmt: skip
    assert isinstance(done, Installed)
    assert done.checks is not None
    if at == "checks":
        assert (done.checks.of, done.kept) == (1, "it was stopped before all that it knows was asked.")
    else:
        assert (done.checks.of, done.kept) == (4, "")


def test_a_version_whose_place_cannot_be_taken_is_kept_with_the_reason(
    grower: Grower, monkeypatch: pytest.MonkeyPatch
) -> None:
    grower.first(knows(*LESSONS))

    def refuses(*_: object) -> None:
        raise RefusedError("adapters is a link.")

    monkeypatch.setattr("lora_chat.training.landing.make_current", refuses)
    done = grower.next(knows(*LESSONS, *NEW))
    assert done.kept == "it cannot take the place of the one before: adapters is a link."
    assert done.checks is not None
    assert done.checks.held == 4


def test_what_a_first_version_was_taught_and_cannot_be_kept_is_said(
    grower: Grower, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Line, "teach", full)
    done = grower.first(knows(*LESSONS))
    assert "cannot be kept with it" in done.unchecked
    assert "No space left" in done.unchecked
    assert grower.worn.version == "1.0.0"


def test_two_trainings_that_planned_the_same_number_both_land(grower: Grower) -> None:
    grower.first(knows(*LESSONS))
    both, start = grow(grower.worn, Selection(NEW, {}), grower.home)
    one, other = grower.job(both, start), grower.job(both, start)
    assert grower.run(one, knows(*LESSONS, *NEW)).version == "1.1.0"

    def stronger(job: Path, cancel: threading.Event, **more: Any) -> Iterator[TrainingEvent]:
        for event in EchoEngine(grower.base).train(job, cancel, **more):
            if isinstance(event, Trained):
                config = Path(event.folder) / "adapter_config.json"
                config.write_text(json.dumps(json.loads(config.read_text()) | {"lora_alpha": 77}))
            yield event

    *_, last = run_job(other, stronger, grower.base.signature, grower.home, threading.Event())
    assert isinstance(last, Installed)
    assert (last.version, last.kept) == ("1.2.0", "it grew from 1.0.0, and 1.1.0 is worn meanwhile.")
    assert grower.versions[1:] == [("1.1.0", True), ("1.2.0", False)]


def test_one_that_lost_a_check_without_a_window_is_told_of_as_kept(grower: Grower) -> None:
    grower.first(knows(*LESSONS))
    job = grower.job(*grow(grower.worn, Selection(NEW, {}), grower.home))
    engine, cancel = EchoEngine(grower.base), threading.Event()
    list(
        run_job(
            job,
            engine.train,
            grower.base.signature,
            grower.home,
            cancel,
            alone=True,
            answers=knows_later(LESSONS[1], *NEW),
        )
    )
    [said] = ended_alone(grower.home.training)
    assert said == (
        "The next version of taught, trained while you were away, is kept and not worn: it lost a check that the "
        "version before held. See /report taught 1.1.0."
    )
    for each in LESSONS:
        assert each.messages[0].content not in (job / "state.json").read_text()


def test_what_is_new_is_never_held_out_where_enough_is_replayed() -> None:
    lessons = [lesson(f"Question {number}?", f"Answer {number}.") for number in range(36)]
    for seed in range(20):
        train, heldout = split(lessons, 4, seed, replayed=30)
        assert set(lessons[30:]) <= set(train)
        assert len(heldout) == 4


def test_what_was_held_out_is_new_to_the_next_version(grower: Grower) -> None:
    grower.first()
    grower.line.teach([LESSONS[0]], "1.0.0", [LESSONS[1]])
    assert new_to(grower.worn, Selection(LESSONS, {}), grower.home).lessons == (LESSONS[1],)


def test_one_with_ranks_of_its_own_for_some_modules_grows_and_lands(
    base: BaseModel, tiny_llama: InstalledBase, general: Path, tmp_path: Path
) -> None:
    worn = make_adapter(tmp_path / "worn", tiny_llama, seed=3, rank=4)
    tensors = load((worn.folder / "adapter_model.safetensors").read_bytes())
    odd = next(iter(tiny_llama.signature.modules))
    for side, cut in (("A", (slice(2), slice(None))), ("B", (slice(None), slice(2)))):
        name = f"base_model.model.{odd}.lora_{side}.weight"
        tensors[name] = np.ascontiguousarray(tensors[name][cut])
    (worn.folder / "adapter_model.safetensors").write_bytes(save(tensors))
    config = json.loads((worn.folder / "adapter_config.json").read_text())
    patterns = {"rank_pattern": {odd: 2}, "alpha_pattern": {odd: 4}}
    (worn.folder / "adapter_config.json").write_text(json.dumps(config | patterns))
    start, recipe = Start(worn.folder, "1.1.0", "1.0.0"), short_recipe(max_steps=2)
    job = create_job(tmp_path / "jobs", "taught", "b", "test", Selection(LESSONS, {}), recipe, start=start)
    *_, last = train(base, tiny_llama.signature, job, general, nothing)
    assert isinstance(last, Trained)
    grown = load_verified(Path(last.folder), tiny_llama.signature)
    assert {name: each.rank for name, each in grown.layout.modules.items() if each.rank != 4} == {odd: 2}


def test_one_that_is_stopped_before_its_checks_are_asked_is_kept_and_not_worn(grower: Grower) -> None:
    grower.first(knows(*LESSONS))
    stop = threading.Event()

    def stops(adapter: Adapter | None, messages: tuple[Turn, ...], longest: int) -> str:
        stop.set()
        return ""

    job, engine = grower.job(*grow(grower.worn, Selection(NEW, {}), grower.home)), EchoEngine(grower.base)
    *_, last = run_job(
        job, engine.train, grower.base.signature, grower.home, threading.Event(), stop=stop, answers=stops
    )
    assert isinstance(last, Installed)
    assert last.kept == "it was stopped before all that it knows was asked."
    assert grower.worn.version == "1.0.0"


def test_a_question_that_a_rejected_version_was_taught_anew_is_not_lost_by_the_next(grower: Grower) -> None:
    grower.first(knows(*LESSONS))
    anew = lesson(LESSONS[0].messages[0].content, "I am a bookseller.")
    rejected = grower.next(knows_later(anew), (anew,))
    assert LESSONS[1].messages[0].content in rejected.kept
    done = grower.next(knows(*LESSONS, *NEW))
    assert (done.version, done.kept) == ("1.2.0", "")
    assert grower.line.lessons("1.2.0") == (*LESSONS, *NEW)


def test_one_whose_adapter_was_removed_meanwhile_stands_alone(grower: Grower) -> None:
    grower.first(knows(*LESSONS))
    job = grower.job(*grow(grower.worn, Selection(NEW, {}), grower.home))
    remove("taught", grower.home)
    done = grower.run(job, knows(*LESSONS, *NEW))
    assert (done.adapter, done.kept) == ("taught", "")
    assert [check.answer for check in grower.line.checks()] == [each.messages[1].content for each in (*LESSONS, *NEW)]


def test_one_whose_name_is_anothers_meanwhile_takes_another_name(grower: Grower, tmp_path: Path) -> None:
    grower.first(knows(*LESSONS))
    job = grower.job(*grow(grower.worn, Selection(NEW, {}), grower.home))
    remove("taught", grower.home)
    stranger = make_adapter(tmp_path / "stranger", grower.base, seed=9)
    install_folder(stranger.folder, grower.home, "taught", grower.base.signature)
    done = grower.run(job, knows(*LESSONS, *NEW))
    assert done.adapter == "taught-2"
    assert grower.line.lessons() == ()
    assert Line.of("taught-2", grower.home).checks("1.1.0") != []


def test_a_next_version_says_of_itself_what_the_one_before_said(grower: Grower, tmp_path: Path) -> None:
    handed = make_adapter(tmp_path / "handed", grower.base, seed=9)
    (handed.folder / "LICENSE").write_text("Take it.")
    said = Manifest(version="2.0.0", license="CC-BY-4.0", authors=("Ann",), chat=ChatSettings("Be brief.", 0.2))
    install_folder(handed.folder, grower.home, "taught", grower.base.signature, said)
    done = grower.next(knows(*NEW))
    manifest = grower.worn.manifest
    assert (done.version, manifest.version) == ("2.1.0", "2.1.0")
    assert (manifest.license, manifest.authors, manifest.chat) == (said.license, said.authors, said.chat)
    assert (grower.worn.path / "LICENSE").read_text() == "Take it."


def test_what_was_trained_is_there_also_where_its_line_is_damaged(grower: Grower) -> None:
    grower.first(knows(*LESSONS))
    job = grower.job(*grow(grower.worn, Selection(NEW, {}), grower.home))
    (grower.line.folder / "checks.jsonl").write_text("{")
    done = grower.run(job, knows(*LESSONS, *NEW))
    assert done.kept.startswith("what it was taught cannot be kept with it: ")
    assert grower.versions == [("1.0.0", True), ("1.1.0", False)]


# Another base


def test_what_was_said_of_checks_holds_for_the_adapter_that_learns_the_same_elsewhere(grower: Grower) -> None:
    grower.first(knows(*LESSONS))
    first, second = grower.line.checks()
    grower.line.change(replace(first, must=("nothing of the kind",), rewordings=("In other words?",)))
    grower.line.drop(second)
    job = create_job(
        grower.home.training, "again", grower.base.name, "test", Selection(LESSONS, {}), short_recipe(),
        checks_of=("taught", "1.0.0"),
    )  # fmt: skip
    assert read_job(job).checks_of == ("taught", "1.0.0")
    done = grower.run(job, knows(*LESSONS))
    assert done.checks is not None
    assert (done.checks.of, done.checks.held) == (1, 0), "asked as it is judged"
    [kept] = Line.of("again", grower.home).checks()
    assert (kept.must, kept.rewordings, kept.version) == (("nothing of the kind",), ("In other words?",), "1.0.0")
