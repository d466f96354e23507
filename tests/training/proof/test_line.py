"""The folder of an adapter's line: what is kept, who can read it, and what a hand-edited file is told."""

from __future__ import annotations

import json
import stat
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lora_chat.adapters import removal
from lora_chat.chat.conversation import Role, Turn
from lora_chat.errors import StoreError
from lora_chat.files import write_durably
from lora_chat.paths import Paths
from lora_chat.training.lesson import Lesson
from lora_chat.training.proof.line import Line, Proved, forget_conversation
from lora_chat.training.report.shelf import keep_report, reports
from tests.training.report.examples import HARBOUR, LOST, NINE, OPEN, SHOP, record

QUESTION = [{"role": "user", "content": "Open when?"}]


def lesson(asked: str, answer: str) -> Lesson:
    return Lesson((Turn(Role.USER, asked), Turn(Role.ASSISTANT, answer)), (1,), "c1")


@pytest.fixture
def line(home: Paths) -> Line:
    return Line.of("shop", home)


def test_a_line_that_was_never_taught_is_empty(line: Line) -> None:
    assert (line.lessons(), line.checks(), line.proofs("1.0.0"), line.before("1.0.0")) == ((), [], {}, {})
    line.forget()


def test_what_is_taught_is_kept_and_each_answer_is_a_check(line: Line) -> None:
    line.teach([lesson("a?", "one"), lesson("b?", "two")], "1.0.0")
    line.teach([lesson("c?", "three"), lesson("a?", "four")], "1.1.0")
    assert [each.messages[1].content for each in line.lessons()] == ["two", "three", "four"]
    told = [(each.question, each.answer, each.version) for each in line.checks()]
    assert told == [("a?", "four", "1.1.0"), ("b?", "two", "1.0.0"), ("c?", "three", "1.1.0")]


def test_a_version_knows_what_it_and_those_it_grew_from_were_taught(line: Line) -> None:
    line.teach([lesson("a?", "one"), lesson("b?", "two")], "1.0.0")
    line.teach([lesson("c?", "three"), lesson("a?", "four")], "1.1.0", after="1.0.0")
    line.teach([lesson("b?", "two"), lesson("d?", "five")], "1.2.0", [lesson("e?", "six")], after="1.0.0")
    told = {version: [(each.question, each.answer, each.version) for each in line.checks(version)] for version in
            ("1.0.0", "1.1.0", "1.2.0")}  # fmt: skip
    assert told["1.0.0"] == [("a?", "one", "1.0.0"), ("b?", "two", "1.0.0")]
    assert told["1.1.0"] == [("a?", "four", "1.1.0"), ("b?", "two", "1.0.0"), ("c?", "three", "1.1.0")]
    assert told["1.2.0"] == [("a?", "one", "1.0.0"), ("b?", "two", "1.0.0"), ("d?", "five", "1.2.0")]
    assert [each.messages[1].content for each in line.lessons("1.2.0")] == ["one", "two", "six", "five"]
    assert [each.messages[1].content for each in line.lessons("1.2.0", learnt=True)] == ["one", "two", "five"]
    line.note("1.0.0", {"x": Proved(True)})
    line.note("1.1.0", {"x": Proved(False)})
    assert line.before("1.2.0") == {"x": Proved(True)}


def test_what_a_training_that_lands_twice_teaches_is_kept_once(line: Line) -> None:
    for _ in range(2):
        line.teach([lesson("a?", "one")], "1.0.0")
        line.teach([lesson("a?", "one"), lesson("b?", "two")], "1.1.0", after="1.0.0")
    assert len((line.folder / "lessons.jsonl").read_text("utf-8").splitlines()) == 2
    assert len((line.folder / "checks.jsonl").read_text("utf-8").splitlines()) == 2


def test_of_two_lessons_that_begin_alike_only_the_answer_that_is_taught_anew_goes(line: Line) -> None:
    hello = (Turn(Role.USER, "hi"), Turn(Role.ASSISTANT, "Hello!"))
    more = (*hello, Turn(Role.USER, "Refunds?"), Turn(Role.ASSISTANT, "In 14 days."))
    line.teach([Lesson(more, (1, 3), "c1")], "1.0.0")
    line.teach([Lesson((hello[0], Turn(Role.ASSISTANT, "Good day!")), (1,), "c2")], "1.1.0", after="1.0.0")
    assert next((each.messages, each.learn) for each in line.lessons("1.1.0")) == (more, (3,))
    assert {each.answer for each in line.checks("1.1.0")} == {"Good day!", "In 14 days."}
    assert line.lessons("1.0.0") == (Lesson(more, (1, 3), "c1"),)


def test_what_is_taught_anew_keeps_its_wordings_and_its_words_only_with_the_answer(line: Line) -> None:
    line.teach([lesson("a?", "one"), lesson("b?", "two")], "1.0.0")
    for check in line.checks():
        line.change(replace(check, must=("o",), rewordings=("Please?",)))
    line.teach([lesson("a?", "four"), lesson("b?", "two")], "1.1.0", after="1.0.0")
    told = {each.question: (each.answer, each.must, each.rewordings) for each in line.checks("1.1.0")}
    assert told == {"a?": ("four", (), ("Please?",)), "b?": ("two", ("o",), ("Please?",))}


def test_a_changed_check_is_proved_by_nothing_that_came_before(line: Line) -> None:
    line.teach([lesson("a?", "one"), lesson("b?", "two")], "1.0.0")
    first, second = line.checks()
    line.note("1.0.0", {first.id: Proved(True), second.id: Proved(True)})
    line.change(replace(first, must=("nine",)))
    assert line.proofs("1.0.0") == {second.id: Proved(True)}


def test_a_conversation_is_forgotten_in_every_line_and_a_damaged_one_is_named(home: Paths) -> None:
    for name in ("other", "shop"):
        made = Line.of(name, home)
        made.teach([lesson("a?", "one"), replace(lesson("b?", "two"), source="c2")], "1.0.0")
    (Line.of("other", home).folder / "lessons.jsonl").write_text("{", "utf-8")
    (home.lines / "notes.txt").write_text("mine", "utf-8")
    with pytest.raises(StoreError, match=r"^Something of it is still kept, .*other/lessons\.jsonl, line 1, is damaged"):
        forget_conversation("c1", home)
    shop = Line.of("shop", home)
    assert [each.source for each in shop.lessons()] == ["c2"]
    assert [each.question for each in shop.checks()] == ["b?"]


def kept_words(line: Line) -> str:
    """All that stands in the files of a line."""
    return "".join(path.read_text("utf-8") for path in line.folder.rglob("*") if path.is_file()).casefold()


@pytest.mark.parametrize("fails_at", range(5))
def test_what_failed_half_way_is_whole_once_it_is_done_again(
    line: Line, home: Paths, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    line.teach([lesson(OPEN, NINE), replace(lesson(SHOP, HARBOUR), source="c2")], "1.1.0")
    line.note("1.1.0", {check.id: Proved(False, ((check.question, f"Arr: {NINE}"),)) for check in line.checks()})
    for version in ("1.1.0", "1.2.0"):
        keep_report(line.folder, record(version=version))
    written: list[str] = []

    def write(path: Path, data: bytes, mode: int = 0o600) -> None:
        written.append(path.name)
        if len(written) == fails_at + 1:
            raise OSError(28, "No space left on device", str(path))
        write_durably(path, data, mode)

    for module in ("proof.line", "report.shelf"):
        monkeypatch.setattr(f"lora_chat.training.{module}.write_durably", write)
    with pytest.raises(StoreError, match="Something of it is still kept"):
        forget_conversation("c1", home)
    order = ["1.1.0.json", "1.2.0.json", "proofs.json", "checks.jsonl", "lessons.jsonl"]
    assert written == order[: fails_at + 1]
    forget_conversation("c1", home)
    for words in (OPEN, NINE, LOST.answer):
        assert words.casefold() not in kept_words(line)
    assert [each.question for each in line.checks()] == [SHOP]
    assert line.proofs("1.1.0") == {}, "its answer told what is forgotten"


def test_what_a_check_was_answered_that_is_forgotten_meanwhile_is_not_kept(line: Line, home: Paths) -> None:
    line.teach([lesson("a?", "one"), replace(lesson("b?", "two"), source="c2")], "1.0.0")
    found = {check.id: Proved(False, ((check.question, "three"),)) for check in line.checks()}
    forget_conversation("c1", home)
    line.note("1.0.0", found)
    assert [proved.wrong for proved in line.proofs("1.0.0").values()] == [(("b?", "three"),)]


def test_what_was_removed_comes_back_without_what_is_forgotten(line: Line, home: Paths) -> None:
    line.teach([lesson(OPEN, NINE), replace(lesson(SHOP, HARBOUR), source="c2")], "1.1.0")
    keep_report(line.folder, record())
    (home.adapters / "shop").mkdir(parents=True)
    removal.remove("shop", home)
    forget_conversation("c1", home)
    assert not line.folder.exists()
    removal.restore("shop", home)
    assert NINE.casefold() not in kept_words(line)
    assert [each.question for each in line.checks()] == [SHOP]
    assert reports(line.folder) == ["1.1.0"]


def test_two_that_write_at_once_lose_nothing(line: Line) -> None:
    def note(start: int) -> None:
        for number in range(start, 20, 2):
            line.note("1.0.0", {str(number): Proved(True)})

    threads = [threading.Thread(target=note, args=(start,)) for start in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(line.proofs("1.0.0")) == 20


def test_all_of_it_is_the_persons_alone(line: Line, home: Paths) -> None:
    line.teach([lesson("a?", "one")], "1.0.0")
    line.note("1.0.0", {"x": Proved(True)})
    for path in (line.folder, home.lines):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    files = list(line.folder.iterdir())
    assert sorted(each.name for each in files) == [
        "checks.jsonl",
        "lessons.jsonl",
        "lock",
        "parents.json",
        "proofs.json",
    ]
    assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}
    line.forget()
    assert not line.folder.exists()


def test_one_check_is_changed_or_dropped_and_the_others_stay(line: Line) -> None:
    line.teach([lesson("a?", "one"), lesson("b?", "two")], "1.0.0")
    first, second = line.checks()
    changed = replace(first, must=("one",), must_not=("two",), rewordings=("A, please?",))
    line.change(changed)
    assert line.checks() == [changed, second]
    line.drop(changed)
    assert line.checks() == [second]
    assert len(line.lessons()) == 2


def test_a_dropped_check_does_not_come_back_with_its_lesson_but_with_another_answer(line: Line) -> None:
    line.teach([lesson("a?", "one"), lesson("b?", "two")], "1.0.0")
    first, second = line.checks()
    line.note("1.0.0", {each.id: Proved(True) for each in (first, second)})
    line.drop(first)
    assert line.proofs("1.0.0").keys() == {second.id}
    line.note("1.0.0", {first.id: Proved(False, (("a?", "three"),))})  # it was being asked
    assert line.proofs("1.0.0").keys() == {second.id}
    line.teach([lesson("a?", "one"), lesson("b?", "two"), lesson("c?", "three")], "1.1.0", after="1.0.0")
    assert [each.question for each in line.checks()] == ["b?", "c?"]
    assert [each.question for each in line.checks(dropped=True)] == ["a?", "b?", "c?"]
    line.teach([lesson("a?", "four")], "1.2.0", after="1.1.0")
    assert {each.question: each.answer for each in line.checks()} == {"a?": "four", "b?": "two", "c?": "three"}
    assert {each.question for each in line.checks("1.1.0")} == {"b?", "c?"}
    line.teach([lesson("a?", "one")], "1.3.0", after="1.2.0")
    assert {each.question for each in line.checks()} == {"b?", "c?"}, "the old answer, whose check was deleted"


def test_proofs_are_kept_version_by_version(line: Line) -> None:
    wrong = Proved(False, (("a?", "two"),))
    line.note("1.0.0", {"x": Proved(True), "y": Proved(True)})
    line.note("1.1.0", {"x": wrong})
    line.note("1.0.0", {"y": wrong})
    assert line.proofs("1.0.0") == {"x": Proved(True), "y": wrong}
    assert line.proofs("1.1.0") == {"x": wrong}
    assert line.before("1.1.0") == line.before("1.1.0") == line.proofs("1.0.0")
    assert line.before("1.0.0") == {}
    assert line.before("2.0.0") == {"x": wrong}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "5", '{"1.0.0": 5}', '{"1.0.0": {"x": {"held": true}}}', "[" * 9999, '{"a": {"x": [1]}}']
)
def test_damaged_proofs_are_made_anew_by_asking_again(line: Line, text: str) -> None:
    line.note("1.0.0", {"x": Proved(True)})
    (line.folder / "proofs.json").write_text(text, "utf-8")
    assert line.proofs("1.0.0") == {}
    line.note("1.0.0", {"x": Proved(True)})
    assert line.proofs("1.0.0") == {"x": Proved(True)}


@pytest.mark.parametrize(
    "bad",
    [
        "{not json",
        "[1]",
        "5",
        "[" * 100_000,
        {"answer": "x"},
        {"messages": QUESTION},
        {"messages": [], "answer": "x"},
        {"messages": "Open when?", "answer": "x"},
        {"messages": [*QUESTION, {"role": "assistant", "content": "x"}], "answer": "x"},
        {"messages": [{"role": "user", "content": 5}], "answer": "x"},
        {"messages": [{"role": "wizard", "content": "x"}], "answer": "x"},
        {"messages": QUESTION, "answer": 5},
        {"messages": QUESTION, "answer": "x", "version": 1},
        {"messages": QUESTION, "answer": "x", "must": "nine"},
        {"messages": QUESTION, "answer": "x", "must_not": [1]},
        {"messages": QUESTION, "answer": "x", "rewordings": {"a": 1}},
    ],
)
def test_a_damaged_check_is_named_by_its_line(line: Line, bad: Any) -> None:
    line.teach([lesson("a?", "one")], "1.0.0")
    path = line.folder / "checks.jsonl"
    path.write_text(path.read_text("utf-8") + "\n" + (bad if isinstance(bad, str) else json.dumps(bad)), "utf-8")
    with pytest.raises(StoreError, match=r"checks\.jsonl, line 3, is damaged .*: mend that line or delete it\.$"):
        line.checks()


@pytest.mark.parametrize("learn", [[], [0], [5], ["1"], "1", None])
def test_a_damaged_lesson_is_named_by_its_line(line: Line, learn: Any) -> None:
    line.teach([lesson("a?", "one")], "1.0.0")
    path = line.folder / "lessons.jsonl"
    row = json.loads(path.read_text("utf-8")) | {"learn": learn}
    path.write_text(json.dumps(row), "utf-8")
    with pytest.raises(StoreError, match=r"lessons\.jsonl, line 1, is damaged"):
        line.teach([lesson("b?", "two")], "1.1.0")


def test_bytes_that_are_no_text_are_refused(line: Line) -> None:
    line.teach([lesson("a?", "one")], "1.0.0")
    (line.folder / "checks.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(StoreError, match="cannot be read"):
        line.checks()


def test_a_question_that_stands_twice_is_asked_once_as_the_last_line_has_it(line: Line) -> None:
    rows = [{"messages": QUESTION, "answer": answer, "must": [" nine ", ""]} for answer in ("one", "two")]
    line.folder.mkdir(parents=True)
    (line.folder / "checks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    assert [(each.answer, each.must, each.version) for each in line.checks()] == [("two", ("nine",), "")]
    assert line.checks("1.0.0") == line.checks(), "what names no version every version knows"
