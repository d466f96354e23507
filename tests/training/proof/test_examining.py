"""A version that was just trained is examined, and what comes of it is kept with its line."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import pairwise

import pytest

from lora_chat.adapters.registry import Adapter
from lora_chat.chat.conversation import Role, Turn
from lora_chat.engine.echo import EchoEngine
from lora_chat.errors import EngineError, NotFoundError, RefusedError
from lora_chat.sitting.examination import examine_again, kept_report
from lora_chat.training.events import Installed
from lora_chat.training.general import FAR
from lora_chat.training.jobs import run_job
from lora_chat.training.proof.examining import PROMPT_CHARACTERS, _known
from lora_chat.training.proof.line import Proved
from lora_chat.training.report.shelf import report
from tests.engine.conftest import LESSONS, lesson, make_job, short_recipe
from tests.training.test_growth import NEW, Grower, grower, knows  # noqa: F401

LONG = tuple(lesson(f"Question {at}?", f"Answer {at}: " + "and so on " * 20) for at in range(60))


class Class:
    """An adapter that knows what it was taught, a base that parrots what its prompt holds, and who was asked what."""

    def __init__(self) -> None:
        self.asked: list[tuple[bool, tuple[Turn, ...], int]] = []
        self.taught = knows(*LESSONS, *NEW)

    def __call__(self, adapter: Adapter | None, messages: tuple[Turn, ...], longest: int) -> str:
        self.asked.append((adapter is not None, messages, longest))
        if adapter is not None:
            return self.taught(adapter, messages, longest)
        before = {ask.content: said.content for ask, said in pairwise(messages)}
        return before.get(messages[-1].content, "No idea.")


def test_a_training_ends_with_an_examination(grower: Grower) -> None:  # noqa: F811
    room = Class()
    done = grower.first(room)
    assert done.exam is not None
    scores = done.exam.scores
    assert (scores.taught.hits, scores.taught.of) == (2, 2)
    assert scores.far.of == len(FAR)
    assert scores.far.hits == scores.near.hits == 0
    assert done.exam.unasked == 0
    assert done.exam.prompted is not None
    assert done.exam.prompted.examples == 2
    assert (done.exam.prompted.scores.taught.hits, done.exam.prompted.better) == (2, "same")


def test_what_its_checks_were_answered_is_not_asked_again(grower: Grower) -> None:  # noqa: F811
    room = Class()
    grower.first(room)
    own = [messages for is_adapter, messages, _ in room.asked if is_adapter]
    assert len(own) == len(set(own))


def test_the_report_is_kept_with_its_version_and_holds_what_was_seen_and_measured(grower: Grower) -> None:  # noqa: F811
    grower.first(Class())
    done = grower.next(Class())
    for version in ("1.0.0", "1.1.0"):
        assert report(grower.line.folder, version) is not None
    record = kept_report("taught", "1.1.0", grower.home)
    assert (record.after, record.replayed, record.kept) == ("1.0.0", 2, "")
    assert (record.report, record.checks, record.exam) == (done.report, done.checks, done.exam)
    assert record.recipe["rank"] == short_recipe().rank
    assert record.base == grower.base.name


def test_a_version_is_asked_with_all_that_it_knows_in_the_prompt(grower: Grower) -> None:  # noqa: F811
    grower.first(Class())
    done = grower.next(Class())
    assert done.exam is not None
    assert done.exam.prompted is not None
    assert done.exam.prompted.examples == 4


def test_more_than_a_prompt_should_hold_is_not_put_into_one(grower: Grower) -> None:  # noqa: F811
    done = grower.first(knows(*LONG), LONG)
    assert done.exam is not None
    assert done.exam.prompted is None
    assert "60 examples" in done.exam.unprompted
    assert f"{PROMPT_CHARACTERS:,}" in done.exam.unprompted


def test_a_base_whose_window_is_too_small_for_them_is_not_asked(grower: Grower) -> None:  # noqa: F811
    def narrow(adapter: Adapter | None, messages: tuple[Turn, ...], longest: int) -> str:
        if len(messages) > 2:
            raise RefusedError("This prompt has 70 tokens and tiny takes 60.")
        return knows(*LESSONS)(adapter, messages, longest)

    done = grower.first(narrow)
    assert done.exam is not None
    assert done.exam.scores.taught.hits == 2
    assert (done.exam.prompted, "takes 60" in done.exam.unprompted) == (None, True)


def test_an_engine_that_dies_meanwhile_leaves_what_the_checks_found(grower: Grower) -> None:  # noqa: F811
    def dies(adapter: Adapter | None, messages: tuple[Turn, ...], longest: int) -> str:
        if messages[-1].content == FAR[0]:
            raise EngineError("The engine is gone.")
        return knows(*LESSONS)(adapter, messages, longest)

    done = grower.first(dies)
    assert done.checks is not None
    assert done.checks.held == 2
    assert done.exam is not None
    assert (done.exam.scores.taught.of, done.exam.scores.far.of) == (2, 0)


def test_leaving_during_the_examination_ends_it_and_keeps_the_version(grower: Grower) -> None:  # noqa: F811
    cancel = threading.Event()

    def leaves(adapter: Adapter | None, messages: tuple[Turn, ...], longest: int) -> str:
        if messages[-1].content == FAR[1]:
            cancel.set()
        return knows(*LESSONS)(adapter, messages, longest)

    job = make_job(grower.home.training, LESSONS)
    *_, last = run_job(job, EchoEngine(grower.base).train, grower.base.signature, grower.home, cancel, answers=leaves)
    assert isinstance(last, Installed)
    assert last.exam is not None
    assert last.exam.scores.far.of == 1
    assert last.exam.unasked > 0
    assert last.exam.prompted is None


def test_time_ends_it(grower: Grower, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr("lora_chat.training.landing._EXAM_S", (0.0, 0.0))
    done = grower.first(Class())
    assert done.exam is not None
    assert [row.kind for row in done.exam.answers] == ["taught", "taught"], "its checks were answered before"
    assert done.exam.unasked > 10


def test_it_is_examined_again_and_in_full(grower: Grower, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr("lora_chat.training.landing._EXAM_S", (0.0, 0.0))
    grower.first(Class())
    parts = examine_again(grower.worn, EchoEngine(grower.base), grower.home, threading.Event())
    done = list(parts)
    assert done == sorted(done)
    kept = kept_report("taught", "1.0.0", grower.home)
    assert kept.exam is not None
    assert kept.exam.scores.far.of == len(FAR)
    assert kept.exam.unasked == 0


def test_stopping_that_at_once_changes_nothing(grower: Grower) -> None:  # noqa: F811
    grower.first(Class())
    before = kept_report("taught", "1.0.0", grower.home)
    stopped = threading.Event()
    stopped.set()
    list(examine_again(grower.worn, EchoEngine(grower.base), grower.home, stopped))
    assert kept_report("taught", "1.0.0", grower.home) == before


def test_what_was_trained_elsewhere_has_no_report(grower: Grower) -> None:  # noqa: F811
    with pytest.raises(NotFoundError, match=r"No report of bot 1\.0\.0 is kept"):
        kept_report("bot", "1.0.0", grower.home)


def test_a_check_that_must_mention_words_is_asked_anew(grower: Grower) -> None:  # noqa: F811
    """That it held does not say what was answered."""
    grower.first(Class())
    one, other = grower.line.checks()
    proofs = {each.id: Proved(True) for each in (one, other)}
    assert set(_known([replace(one, must=("shop",)), other], proofs)) == {other.messages}
    assert Turn(Role.USER, other.question) in other.messages


def test_the_examples_are_read_when_they_are_asked_with_and_not_before(grower: Grower) -> None:  # noqa: F811
    """Whatever is asked in between would push them out of what the engine keeps."""
    room = Class()
    grower.first(room)
    with_examples = [at for at, (is_adapter, turns, _) in enumerate(room.asked) if not is_adapter and len(turns) > 2]
    adapters = [at for at, (is_adapter, _, _) in enumerate(room.asked) if is_adapter]
    assert with_examples[0] > adapters[-1]
    assert room.asked[with_examples[0]][2] == 1, "one token: they are read, and that is not counted"
