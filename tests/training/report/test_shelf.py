"""The reports of a line: what is kept, in which order, who can read it, what a damaged one says, what is forgotten."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lora_chat.adapters import removal
from lora_chat.chat.conversation import Role, Turn
from lora_chat.errors import StoreError
from lora_chat.paths import Paths, make_private
from lora_chat.training.events import Wrong
from lora_chat.training.lesson import Lesson
from lora_chat.training.proof.line import Line, Proved, forget_conversation
from lora_chat.training.proof.result import Answered
from lora_chat.training.report.shelf import keep_report, newest, report, reported, reports
from tests.training.report.examples import ANSWERS, CHECKS, EXAM, HARBOUR, LOST, NINE, OPEN, SHOP, least, record


@pytest.fixture
def line(home: Paths) -> Path:
    return make_private(Line.of("shop", home).folder)


def test_what_is_kept_is_what_comes_back(line: Path) -> None:
    assert (reports(line), report(line, "1.1.0")) == ([], None)
    for each in (record(), least(version="1.2.0")):
        keep_report(line, each)
        assert report(line, each.version) == each
    keep_report(line, record(source="another"))
    assert report(line, "1.1.0") == record(source="another")


def test_versions_come_oldest_first_and_what_is_no_report_is_none(line: Path) -> None:
    for version in ("1.10.0", "1.9.0", "1.0.0"):
        keep_report(line, least(version=version))
    (line / "reports" / ".1.8.0.json.x").write_text("{", "utf-8")
    (line / "reports" / "notes.txt").write_text("{", "utf-8")
    assert reports(line) == ["1.0.0", "1.9.0", "1.10.0"]


def test_it_is_the_persons_alone(line: Path, home: Paths) -> None:
    keep_report(line, record())
    assert [stat.S_IMODE(each.stat().st_mode) for each in (home.lines, line, line / "reports")] == [0o700] * 3
    assert stat.S_IMODE((line / "reports" / "1.1.0.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["{", "[]", '{"adapter": 1}', "[" * 100_000, "\udcff"], ids=range(5))
def test_a_damaged_one_is_told_by_its_path_and_what_to_do(line: Path, text: str) -> None:
    keep_report(line, record())
    path = line / "reports" / "1.1.0.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(StoreError) as told:
        report(line, "1.1.0")
    assert str(told.value).startswith(f"The report {path} cannot be read (")
    assert str(told.value).endswith("): mend it, or delete it.")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        (("exam", "scores", "near", "hits"), 11, "exam.scores.near counts more hits than questions"),
        (("exam", "prompted", "scores", "taught", "of"), -6, "exam.prompted.scores.taught"),
        (("exam", "unasked"), -1, "exam.unasked is no count"),
        (("exam", "scores", "far", "of"), float("nan"), "exam.scores.far.of: "),
        (("exam", "scores", "far", "of"), 10**400, "exam.scores.far.of is no count"),
        (("checks", "held"), 7, "checks counts more that hold than were asked"),
        (("saw", "dropped", "unrated"), -3, "saw.dropped.unrated is no count"),
        (("report", "total_parameters"), float("inf"), "report.total_parameters: "),
    ],
)
def test_counts_that_cannot_be_are_told_and_not_drawn(
    line: Path, path: tuple[str, ...], value: float, why: str
) -> None:
    keep_report(line, record())
    file = line / "reports" / "1.1.0.json"
    whole = json.loads(file.read_text("utf-8"))
    inner = whole
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    file.write_text(json.dumps(whole), "utf-8")
    with pytest.raises(StoreError) as told:
        report(line, "1.1.0")
    assert f"cannot be read ({why}" in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("version", ["../../x", "", "A", "x" * 80, "\x00"])
def test_no_version_leads_out_of_the_folder(line: Path, version: str) -> None:
    assert report(line, version) is None
    with pytest.raises(StoreError, match="No report is kept"):
        keep_report(line, record(version=version))
    assert not list(line.parent.parent.rglob("*.json"))


def test_the_newest_of_any_adapter_is_found_and_a_damaged_one_hides_none(home: Paths) -> None:
    assert (newest(home.lines), reported(home.lines)) == (None, [])
    for at, name in enumerate(("a", "c", "b")):
        keep_report(make_private(home.lines / name), record(adapter=name, made=100.0 + at % 2))
    (home.lines / "b" / "reports" / "1.1.0.json").write_text("{", "utf-8")
    found = newest(home.lines)
    assert (found and found.adapter, reported(home.lines)) == ("c", ["a", "b", "c"])


# What is forgotten


def taught(home: Paths) -> Line:
    line = Line.of("shop", home)
    lessons = [
        Lesson((Turn(Role.USER, asked), Turn(Role.ASSISTANT, said)), (1,), source)
        for asked, said, source in ((OPEN, NINE, "c1"), (SHOP, HARBOUR, "c2"))
    ]
    line.teach(lessons, "1.1.0")
    return line


def test_a_conversation_that_is_forgotten_is_in_no_report_any_more(home: Paths) -> None:
    line = taught(home)
    check = line.checks()[0]
    line.change(replace(check, rewordings=("Since when, pray?",)))
    line.note("1.1.0", {check.id: Proved(False, ((OPEN, "We are never open."),))})
    told = Answered("far", "Anything?", "", f"Arr: {NINE.upper()}", False)
    mine = Answered("reworded", "Since when, pray?", "", "x", False)
    rows = (*ANSWERS, told, mine)
    kept = record(exam=replace(EXAM, answers=rows), kept=f"it lost a check: “{OPEN}”.")
    keep_report(line.folder, kept)
    forget_conversation("c1", home)
    left = report(line.folder, "1.1.0")
    assert left is not None
    assert left.exam is not None
    assert left.checks is not None
    assert [each.question for each in left.exam.answers] == [SHOP, "Who painted the Mona Lisa?"]
    assert [each.question for each in left.checks.wrong] == [SHOP]
    assert left.checks.lost == ()
    assert (left.exam.scores, left.checks.of, left.checks.held) == (EXAM.scores, 6, 4)
    raw = "".join(path.read_text("utf-8") for path in line.folder.rglob("*.json*"))
    for words in (OPEN, NINE, LOST.answer, "Since when"):
        assert words.casefold() not in raw.casefold()
    assert SHOP in raw


def test_another_conversation_leaves_reports_as_they_are(home: Paths) -> None:
    line = taught(home)
    keep_report(line.folder, record())
    forget_conversation("c9", home)
    assert report(line.folder, "1.1.0") == record()


def test_a_damaged_report_cannot_keep_what_is_forgotten(home: Paths) -> None:
    line = taught(home)
    keep_report(line.folder, record())
    (line.folder / "reports" / "1.1.0.json").write_text(f'{{"{OPEN}', "utf-8")
    forget_conversation("c1", home)
    assert reports(line.folder) == []


def test_a_removed_adapter_takes_its_reports_along(home: Paths) -> None:
    (home.adapters / "shop").mkdir(parents=True)
    keep_report(make_private(Line.of("shop", home).folder), record())
    removal.remove("shop", home)
    assert reported(home.lines) == []
    (home.adapters / "shop").mkdir()  # its name is taken meanwhile
    removal.restore("shop", home)
    assert reported(home.lines) == ["shop-2"]
    found = report(home.lines / "shop-2", "1.1.0")
    assert (found and found.adapter) == "shop-2"


def test_an_answer_that_was_cut_tells_what_is_forgotten_too(home: Paths) -> None:
    line = Line.of("shop", home)
    said = "Ask Odile Marsh or Tom Quill, at 0171 555 019, from Monday to Friday."
    lessons = [
        Lesson((Turn(Role.USER, asked), Turn(Role.ASSISTANT, told)), (1,), source)
        for asked, told, source in ((OPEN, said, "c1"), (SHOP, HARBOUR, "c2"))
    ]
    line.teach(lessons, "1.1.0")
    cut, mine = "Ask Odile Marsh or Tom Quill, at 0171", "Ask anybody."
    rows = (
        Answered("near", "Where is your car?", "", cut, False, origin=SHOP),
        Answered("far", "What is rain?", "", cut, False),
        Answered("far", "What is snow?", "", mine, True, prompted=cut, prompted_right=False),
        Answered("reworded", "Your shop, where?", HARBOUR, cut, False, origin=SHOP),
        Answered("taught", SHOP, HARBOUR, HARBOUR, True, origin=SHOP),
        Answered("far", "What is hail?", "", mine, True),
    )
    wrong = (Wrong(SHOP, HARBOUR, cut), Wrong(SHOP, HARBOUR, mine))
    keep_report(line.folder, record(exam=replace(EXAM, answers=rows), checks=replace(CHECKS, lost=(), wrong=wrong)))
    forget_conversation("c1", home)
    left = report(line.folder, "1.1.0")
    assert left is not None
    assert left.exam is not None
    assert left.checks is not None
    assert (left.exam.answers, left.checks.wrong) == (rows[-2:], wrong[1:])


# What is forgotten while it is asked


def test_what_is_forgotten_while_an_examination_runs_does_not_come_back_with_its_report(home: Paths) -> None:
    line = taught(home)
    rows = (*ANSWERS, Answered("far", "Anything?", "", NINE, False), Answered("near", "Your car?", "", NINE, False))
    kept = record(exam=replace(EXAM, answers=rows), kept=f"it lost a check: “{OPEN}”.")
    forget_conversation("c1", home)
    keep_report(line.folder, kept)
    left = report(line.folder, "1.1.0")
    assert left is not None
    assert left.exam is not None
    assert left.checks is not None
    assert [each.question for each in left.exam.answers] == [SHOP, "Who painted the Mona Lisa?"]
    assert [each.question for each in left.checks.wrong] == [SHOP]
    assert (left.checks.lost, left.exam.scores, left.checks.of) == ((), EXAM.scores, 6)
    raw = (line.folder / "reports" / "1.1.0.json").read_text("utf-8").casefold()
    for words in (OPEN, NINE, LOST.answer):
        assert words.casefold() not in raw


def test_where_all_is_forgotten_nothing_but_far_questions_and_counts_stays(home: Paths) -> None:
    line = taught(home)
    for id in ("c1", "c2"):
        forget_conversation(id, home)
    keep_report(line.folder, record())
    left = report(line.folder, "1.1.0")
    assert left is not None
    assert left.exam is not None
    assert left.checks is not None
    assert [each.kind for each in left.exam.answers] == ["far"]
    assert (left.checks.wrong, left.checks.held) == ((), CHECKS.held)


def test_what_fired_and_was_never_asked_in_time_does_not_come_back_either(home: Paths) -> None:
    line = taught(home)
    far = tuple(Answered("far", asked, "", said, False) for asked, said in (("A?", NINE), ("B?", HARBOUR)))
    forget_conversation("c1", home)
    keep_report(line.folder, record(checks=None, exam=replace(EXAM, answers=far)))
    left = report(line.folder, "1.1.0")
    assert left is not None
    assert left.exam is not None
    assert left.exam.answers == far[1:]


def test_of_what_is_still_taught_a_report_keeps_all_also_where_a_later_version_has_another_answer(home: Paths) -> None:
    line = taught(home)
    line.change(replace(line.checks()[0], rewordings=("Since when, pray?",)))
    line.teach([Lesson((Turn(Role.USER, OPEN), Turn(Role.ASSISTANT, "At ten.")), (1,), "c3")], "1.2.0", after="1.1.0")
    wrong = (*CHECKS.wrong, Wrong("Since when, pray?", NINE, "x"))
    kept = record(checks=replace(CHECKS, wrong=wrong))
    keep_report(line.folder, kept)
    assert report(line.folder, "1.1.0") == kept


def test_a_report_of_a_line_that_was_removed_meanwhile_is_not_written(home: Paths) -> None:
    line = taught(home)
    (home.adapters / "shop").mkdir(parents=True)
    removal.remove("shop", home)
    keep_report(line.folder, record())
    assert not line.folder.exists()
    removal.restore("shop", home)
    assert reports(line.folder) == []


def test_a_line_that_is_removed_while_the_report_waits_for_it_is_not_made_again(
    home: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    import filelock

    line = taught(home)

    class Late(filelock.FileLock):
        def acquire(self, *args: Any, **wishes: Any) -> Any:
            line.folder.rename(home.lines.parent / "gone")
            return super().acquire(*args, **wishes)

    monkeypatch.setattr("filelock.FileLock", Late)
    keep_report(line.folder, record())
    assert not line.folder.exists()


def test_with_damaged_checks_nothing_is_lost_silently(line: Path) -> None:
    keep_report(line, record())
    (line / "checks.jsonl").write_text("{", "utf-8")
    with pytest.raises(StoreError, match=r"checks\.jsonl, line 1, is damaged"):
        keep_report(line, record(source="another"))
    assert report(line, "1.1.0") == record()
    bare = least(version="1.2.0", kept="what it was taught cannot be kept with it")
    keep_report(line, bare)
    assert report(line, "1.2.0") == bare, "it holds nobody's words"


def test_a_report_that_cannot_be_deleted_is_told(home: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    line = taught(home)
    keep_report(line.folder, record())
    (line.folder / "reports" / "1.1.0.json").write_text("{", "utf-8")

    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(StoreError, match=r"1\.1\.0\.json cannot be deleted"):
        forget_conversation("c1", home)
    monkeypatch.undo()
    forget_conversation("c1", home)
    assert reports(line.folder) == []
