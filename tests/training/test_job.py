"""A job is a folder of plain files; its result goes through the door that every adapter takes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_chat.adapters.registry import discover
from lora_chat.chat.conversation import Role, Turn
from lora_chat.engine.echo import EchoEngine
from lora_chat.errors import RefusedError, TrainingError
from lora_chat.models.installed import InstalledBase
from lora_chat.models.prompt import load_prompt_format
from lora_chat.paths import Paths
from lora_chat.training.choosing.redact import Hit
from lora_chat.training.events import Cancelled, Installed, StepDone, Trained, TrainingEvent
from lora_chat.training.job import create_job, read_job, split
from lora_chat.training.jobs import check_free, run_job
from lora_chat.training.preview import preview
from lora_chat.training.recipe import HANDFUL, choose_recipe
from lora_chat.training.selection import Lesson, Selection
from tests.engine.conftest import LESSONS, lesson, make_job, short_recipe

ODD = Lesson(
    (
        Turn(Role.SYSTEM, 'Say "yes".\n\u2028next'),
        Turn(Role.USER, "日本 🙂\r\n"),
        Turn(Role.ASSISTANT, "\\n{}"),
        Turn(Role.USER, "again"),
        Turn(Role.ASSISTANT, "yes"),
    ),
    (2, 4),
    "3f2a",
)


HITS = ((), (Hit("e-mail", "a…@b….io"), Hit("e-mail", "c…@d….io")), (), (Hit("phone", "+4…8", masked=False),), ())


def test_a_job_is_read_as_it_was_written(tmp_path: Path) -> None:
    lessons = (*LESSONS, replace(ODD, hits=HITS))
    recipe = choose_recipe(3, 10**8, "deep", seed=7)
    selection = Selection(lessons, {"rated bad": 2, "wore another adapter": 1})
    folder = create_job(tmp_path / "training", "support-bot", "smollm2-135m", "history", selection, recipe)
    job = read_job(folder)
    assert (job.name, job.base, job.source) == ("support-bot", "smollm2-135m", "history")
    assert (job.train, job.heldout) == (lessons, ())
    assert (job.dropped, job.redacted, job.recipe) == (selection.dropped, 2, recipe)
    assert (job.private, job.kept) == ({"e-mail": 2}, {"phone": 1})
    assert folder.name.endswith("-support-bot")


def test_why_an_answer_is_taught_is_no_part_of_the_job(tmp_path: Path) -> None:
    taught = replace(ODD, why=("edited", "rated good"), hits=HITS)
    folder = make_job(tmp_path, (taught,))
    [read] = read_job(folder).train
    assert read == taught
    assert (read.why, read.hits) == ((), ())
    assert "why" not in (folder / "train.jsonl").read_text()


@pytest.mark.skipif(os.name != "posix", reason="modes")
def test_a_job_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    os.umask(old := os.umask(0))
    os.umask(0)
    try:
        folder = make_job(tmp_path / "home" / "training")
    finally:
        os.umask(old)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (folder, folder.parent, folder.parent.parent)}
    assert set(modes.values()) == {0o700}
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_two_jobs_of_the_same_second_and_name_lie_side_by_side(tmp_path: Path) -> None:
    folders = {make_job(tmp_path) for _ in range(3)}
    assert len(folders) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(folder.name for folder in folders)


@pytest.mark.parametrize("name", ["", "../x", "A B", "x" * 65, ".hidden", "a/b"])
def test_a_name_that_cannot_be_a_folder_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(RefusedError):
        make_job(tmp_path / "training", name=name)
    assert not (tmp_path / "training").exists()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("job.toml", "schema ="),
        ("job.toml", "schema = 1"),
        ("job.toml", None),
        ("train.jsonl", "{"),
        ("train.jsonl", "[]\n"),
        ("train.jsonl", '{"messages": [{"role": "wizard", "content": ""}], "learn": [], "source": ""}\n'),
        ("heldout.jsonl", None),
    ],
)
def test_half_a_job_is_refused_in_one_sentence(tmp_path: Path, file: str, text: str | None) -> None:
    folder = make_job(tmp_path)
    if text is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(text)
    with pytest.raises(TrainingError, match="not a whole training job") as caught:
        read_job(folder)
    assert "\n" not in str(caught.value)


def test_an_unknown_number_in_the_recipe_is_refused(tmp_path: Path) -> None:
    folder = make_job(tmp_path)
    toml = (folder / "job.toml").read_text()
    (folder / "job.toml").write_text(toml + "\nmagic = 3\n")
    with pytest.raises(TrainingError, match="magic"):
        read_job(folder)


MANY = tuple(lesson(f"q{number}", f"a{number}") for number in range(40))


@given(heldout=st.integers(0, 40), seed=st.integers(0, 1000))
def test_the_split_is_by_whole_conversations_and_the_same_each_time(heldout: int, seed: int) -> None:
    train, held = split(MANY, heldout, seed)
    assert split(MANY, heldout, seed) == (train, held)
    assert len(held) == heldout
    assert set(train) | set(held) == set(MANY)
    assert list(train) == [each for each in MANY if each in train]  # their order is kept
    assert not set(train) & set(held)


def test_another_seed_holds_out_others() -> None:
    assert len({split(MANY, 4, seed)[1] for seed in range(10)}) > 5


def test_the_preview_counts_what_the_training_will(tiny_llama: InstalledBase) -> None:
    prompt = load_prompt_format(tiny_llama.folder)
    found = preview(Selection((*LESSONS, replace(ODD, hits=HITS)), {"unrated": 1}), prompt)
    examples = [example for each in (*LESSONS, ODD) for example in prompt.examples(each.messages, each.learn)]
    assert (found.conversations, found.examples) == (3, 4)
    assert found.tokens == sum(len(example.ids) for example in examples)
    assert found.supervised_tokens == sum(map(sum, (example.supervised for example in examples)))
    assert (found.dropped, found.redacted) == ({"unrated": 1}, 2)
    assert (found.private, found.kept) == ({"e-mail": 2}, {"phone": 1})


# The recipe


@given(lessons=st.integers(1, 5000), parameters=st.integers(10**6, 10**11), seed=st.integers(0, 9))
def test_the_recipe_is_sensible_for_every_size(lessons: int, parameters: int, seed: int) -> None:
    light, normal, deep = (choose_recipe(lessons, parameters, effort, seed) for effort in ("light", "normal", "deep"))
    assert light.max_steps < normal.max_steps < deep.max_steps
    assert light.settle_steps <= normal.settle_steps <= deep.settle_steps
    assert {light.learning_rate, deep.learning_rate} == {normal.learning_rate}
    assert 0 < normal.warmup_steps < normal.max_steps
    assert (normal.heldout > 0) == (lessons >= HANDFUL)
    assert normal.heldout < lessons / 4
    assert normal.seed == seed
    assert [each.effort for each in (light, normal, deep)] == ["light", "normal", "deep"]
    assert all(each.rule for each in (light, normal, deep))


@given(lessons=st.integers(1, 3000), more=st.integers(0, 3000), parameters=st.integers(10**6, 10**11))
def test_more_lessons_take_no_fewer_steps_rank_or_held_out(lessons: int, more: int, parameters: int) -> None:
    few, many = choose_recipe(lessons, parameters), choose_recipe(lessons + more, parameters)
    assert many.max_steps >= few.max_steps
    assert many.rank >= few.rank
    assert many.heldout >= few.heldout


@given(new=st.integers(1, HANDFUL - 1), replayed=st.integers(0, 300))
def test_a_few_new_lessons_are_a_handful_however_many_are_replayed(new: int, replayed: int) -> None:
    recipe = choose_recipe(new + replayed, 10**8, replayed=replayed)
    assert (recipe.heldout, recipe.rehearsal_weight) == (0, choose_recipe(new, 10**8).rehearsal_weight)
    assert recipe.max_steps >= 2 * (new + replayed)


@given(lessons=st.integers(1, 3000), small=st.integers(10**6, 10**11), more=st.integers(0, 10**11))
def test_a_larger_base_takes_no_larger_steps(lessons: int, small: int, more: int) -> None:
    assert choose_recipe(lessons, small + more).learning_rate <= choose_recipe(lessons, small).learning_rate


# From a job to an adapter that can be worn


def test_a_finished_training_is_installed_through_the_door(tiny_llama: InstalledBase, home: Paths) -> None:
    job = make_job(home.training)
    *before, last = run_job(job, EchoEngine(tiny_llama).train, tiny_llama.signature, home, threading.Event())
    assert isinstance(last, Installed)
    assert not any(isinstance(event, Trained) for event in before)
    assert sum(isinstance(event, StepDone) for event in before) == 3
    [adapter] = [each for each in discover(home).adapters if each.origin == "user"]
    assert (adapter.name, str(adapter.path)) == ("taught", last.path) == (last.adapter, str(home.adapters / "taught"))
    assert last.report.seconds > 0
    assert adapter.manifest.private


def test_it_is_installed_under_the_jobs_name_even_if_the_engine_wrote_none(
    tiny_llama: InstalledBase, home: Paths
) -> None:
    def nameless(
        job: Path,
        cancel: threading.Event,
        *,
        pause: threading.Event | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[TrainingEvent]:
        for event in EchoEngine(tiny_llama).train(job, cancel, pause=pause, stop=stop):
            if isinstance(event, Trained):
                (Path(event.folder) / "adapter.toml").unlink()
            yield event

    *_, last = run_job(make_job(home.training), nameless, tiny_llama.signature, home, threading.Event())
    assert isinstance(last, Installed)
    assert last.adapter == "taught"


def test_a_result_that_does_not_fit_the_base_is_not_installed(
    tiny_llama: InstalledBase, tiny_opt: InstalledBase, home: Paths
) -> None:
    job = make_job(home.training)
    with pytest.raises(RefusedError):
        list(run_job(job, EchoEngine(tiny_opt).train, tiny_llama.signature, home, threading.Event()))
    assert not any(each.origin == "user" for each in discover(home).adapters)


def test_a_cancelled_training_installs_nothing(tiny_llama: InstalledBase, home: Paths) -> None:
    cancel = threading.Event()
    cancel.set()
    events = list(run_job(make_job(home.training), EchoEngine(tiny_llama).train, tiny_llama.signature, home, cancel))
    assert isinstance(events[-1], Cancelled)
    assert not home.adapters.exists()


def test_the_seconds_of_a_pause_are_none_of_the_trainings(tiny_llama: InstalledBase, home: Paths) -> None:
    pause = threading.Event()
    pause.set()
    threading.Timer(0.6, pause.clear).start()
    began = time.perf_counter()
    job = make_job(home.training)
    *_, last = run_job(job, EchoEngine(tiny_llama).train, tiny_llama.signature, home, threading.Event(), pause=pause)
    assert isinstance(last, Installed)
    assert 0 < last.report.seconds < time.perf_counter() - began - 0.5


def test_a_paused_training_that_is_cancelled_installs_nothing(tiny_llama: InstalledBase, home: Paths) -> None:
    pause, cancel = threading.Event(), threading.Event()
    pause.set()
    threading.Timer(0.1, cancel.set).start()
    job = make_job(home.training)
    events = list(run_job(job, EchoEngine(tiny_llama).train, tiny_llama.signature, home, cancel, pause=pause))
    assert events[-1] == Cancelled(0)
    assert not home.adapters.exists()


def test_a_name_that_is_taken_is_refused_before_the_training(tiny_llama: InstalledBase, home: Paths) -> None:
    check_free("taught", home)
    list(run_job(make_job(home.training), EchoEngine(tiny_llama).train, tiny_llama.signature, home, threading.Event()))
    with pytest.raises(RefusedError, match="adapter remove taught"):
        check_free("taught", home)
    with pytest.raises(RefusedError):
        check_free("../taught", home)
    (home.adapters / "broken").mkdir()
    with pytest.raises(RefusedError, match="broken"):
        check_free("broken", home)


def test_a_name_taken_while_it_trained_is_not_overwritten(tiny_llama: InstalledBase, home: Paths) -> None:
    (home.adapters / "taught").mkdir(parents=True)
    (home.adapters / "taught" / "mine.txt").write_text("mine")
    events = list(
        run_job(make_job(home.training), EchoEngine(tiny_llama).train, tiny_llama.signature, home, threading.Event())
    )
    assert isinstance(events[-1], Installed)
    assert events[-1].adapter == "taught-2"
    assert (home.adapters / "taught" / "mine.txt").read_text() == "mine"


def test_the_recipe_of_these_tests_is_a_real_one() -> None:
    assert replace(short_recipe(), max_steps=choose_recipe(2, 10**5).max_steps).batch == choose_recipe(2, 10**5).batch
