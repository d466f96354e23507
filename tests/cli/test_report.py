"""``lora-chat report`` line by line: which report, in which form, where it goes, and what is said without one."""

from __future__ import annotations

import json
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from lora_chat.chat.preset import read_preset
from lora_chat.cli.train import told as told_of
from lora_chat.paths import Paths, make_private
from lora_chat.training.events import Installed
from lora_chat.training.general import FAR
from lora_chat.training.proof.line import Line
from lora_chat.training.report.markdown import to_markdown
from lora_chat.training.report.picture import to_svg
from lora_chat.training.report.record import from_json
from lora_chat.training.report.shelf import keep_report, report
from tests.cli.conftest import Run
from tests.engine.conftest import lesson
from tests.training.report.examples import BETTER, CHECKS, EXAM, HARBOUR, NINE, OPEN, REPORT, SHOP, least, record


@pytest.fixture
def lines(home: Paths) -> Path:
    """Two versions of shop, and one of an adapter whose report was made last."""
    keep_report(make_private(home.lines / "shop"), least(version="1.0.0"))
    keep_report(make_private(home.lines / "shop"), record())
    keep_report(make_private(home.lines / "pirate"), least(adapter="pirate", made=record().made + 1))
    return home.lines


@pytest.mark.usefixtures("lines")
def test_it_is_shown_in_the_order_of_a_persons_questions(run: Run) -> None:
    done = run("report", "shop")
    assert (done.code, done.err) == (0, "")
    first, blank, *rest = done.out.splitlines()
    assert first.startswith("shop 1.1.0: It learnt a part of what it was taught (4 of 6 as taught, 1 not asked, 6 of ")
    assert (blank, rest[:7]) == (
        "",
        [
            "                                adapter            base with 6 examples in its prompt",
            "  right as taught               6 of 6 (61–100 %)  6 of 6 (61–100 %)",
            "  right in other words          6 of 8 (41–93 %)   7 of 8 (53–98 %)",
            "  false fires on near misses    1 of 10 (2–40 %)   0 of 10 (0–28 %)",
            "  false fires on far questions  0 of 12 (0–24 %)   0 of 12 (0–24 %)",
            "  4 questions were not asked: there was no time.",
            "  KL from the base              0.021 (0.012–0.034), 32 answers, bound 0.25",
        ],
    )
    assert '  ✗ "When do you open?" is answered "We are never open.", not "We open at nine, matey."' in rest
    assert f"{BETTER} The report offers it as a preset: `lora-chat report shop --preset PRESETNAME`." in rest


@pytest.mark.usefixtures("lines")
def test_without_a_name_it_is_the_newest_and_without_a_version_the_last(run: Run) -> None:
    assert run("report").out.startswith("pirate 1.1.0: Nothing was asked of it")
    assert run("report", "shop").out.startswith("shop 1.1.0: ")
    assert run("report", "shop", "--version", "1.0.0").out.startswith("shop 1.0.0: ")


def wear(home: Paths, name: str, version: str) -> None:
    """What is worn says so in its ``adapter.toml``."""
    (home.adapters / name).mkdir(parents=True, exist_ok=True)
    (home.adapters / name / "adapter.toml").write_text(f'schema = 1\nname = "{name}"\nversion = "{version}"\n', "utf-8")


def test_after_a_rollback_it_is_the_report_of_the_version_that_is_worn(run: Run, home: Paths, lines: Path) -> None:
    keep_report(lines / "shop", record(version="1.0.0"))
    keep_report(lines / "shop", record(kept="it lost a check."))
    wear(home, "shop", "1.0.0")
    done = run("report", "shop").out
    assert done.startswith("shop 1.0.0: ")
    assert "\nThere are reports of 1.1.0 too: --version names one.\n" in done
    assert "`lora-chat report shop --preset PRESETNAME`" in done
    other = run("report", "shop", "--version", "1.1.0").out
    assert "\nIt is kept, not worn: it lost a check.\n" in other
    assert "`lora-chat report shop --version 1.1.0 --preset PRESETNAME`" in other
    wear(home, "shop", "1.1.0")
    worn = run("report", "shop").out
    assert worn.startswith("shop 1.1.0: ")
    assert "not worn" not in worn
    assert "\nIt was kept at first, and is worn now: it lost a check.\n" in worn
    assert "`lora-chat report shop --version 1.0.0 --preset" in run("report", "shop", "--version", "1.0.0").out
    wear(home, "shop", "1.2.0")  # which has no report
    assert run("report", "shop").out.startswith("shop 1.1.0: ")
    (home.adapters / "shop" / "adapter.toml").write_text("=", "utf-8")
    assert run("report", "shop").out.startswith("shop 1.1.0: ")


@pytest.mark.usefixtures("lines")
def test_each_form_is_printed_as_it_is(run: Run) -> None:
    assert run("report", "shop", "--markdown").out == to_markdown(record())
    assert run("report", "shop", "--svg").out == to_svg(record())
    assert from_json(json.dumps(run("report", "shop", "--json").json)) == record()
    assert run("report", "shop", "--json", "--svg").code == 2


def test_losses_that_are_no_numbers_are_null(run: Run, home: Paths) -> None:
    keep_report(make_private(home.lines / "shop"), least(losses=(float("nan"), float("inf"), 2.0)))
    assert run("report", "--json").json["losses"] == [None, None, 2.0]


@pytest.mark.usefixtures("lines")
@pytest.mark.parametrize(("words", "name"), [([], "r.md"), (["--json"], "r"), ([], "r.SVG"), (["--markdown"], "r.txt")])
def test_it_is_written_for_one_person_and_never_over_another_file(
    run: Run, tmp_path: Path, words: list[str], name: str
) -> None:
    path = tmp_path / name
    done = run("report", "shop", *words, "-o", path)
    assert (done.code, done.out) == (0, "")
    assert done.err == f"The report of shop 1.1.0 is in {path}: your own words, readable by you alone.\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    assert len(before) > 100
    again = run("report", "shop", *words, "-o", path)
    assert (again.code, again.sentence) == (4, f"{path} is there already: name a file that is not.")
    assert path.read_bytes() == before


@pytest.mark.usefixtures("lines")
def test_what_cannot_be_written_is_refused_with_what_to_do(run: Run, tmp_path: Path) -> None:
    done = run("report", "-o", tmp_path / "r.doc")
    assert (done.code, "--markdown, --json or --svg" in done.sentence) == (2, True)
    done = run("report", "-o", tmp_path / "none" / "r.md")
    assert (done.code, done.sentence.endswith("(No such file or directory): choose another place.")) == (4, True)


def test_what_there_is_is_said_where_something_else_was_asked_for(run: Run, home: Paths) -> None:
    done = run("report")
    assert (done.code, done.sentence.startswith("There is no report yet: each training leaves one")) == (3, True)
    keep_report(make_private(home.lines / "shop"), record())
    keep_report(make_private(home.lines / "other"), record(adapter="other"))
    done = run("report", "shp")
    assert done.code == 3
    assert done.sentence == 'There is no report of "shp"; did you mean shop?: there are some of other, shop.'
    done = run("report", "shop", "--version", "9.9.9")
    assert (done.code, done.sentence) == (3, 'There is no report of version "9.9.9" of shop: there are 1.1.0.')
    assert run("report", "../shop", "--version", "../x").code == 3


def test_a_damaged_report_is_named(run: Run, home: Paths) -> None:
    keep_report(make_private(home.lines / "shop"), record())
    path = home.lines / "shop" / "reports" / "1.1.0.json"
    path.write_text("{}", "utf-8")
    for words in (["report"], ["report", "shop"]):
        done = run(*words)
        assert (done.code, str(path) in done.sentence) == (7, True)


def test_a_training_ends_with_what_it_learnt_and_where_the_rest_is() -> None:
    told = list(told_of(Installed("shop", "/x/shop", REPORT, "1.1.0", CHECKS, "", EXAM)))
    assert "  right in other words          6 of 8 (41–93 %)   7 of 8 (53–98 %)" in told
    assert "  KL from the base              0.021 (0.012–0.034), 32 answers, bound 0.25" in told
    assert any(line.startswith(BETTER) for line in told)
    assert told[-3].startswith("It says what was taught where something else was asked: ask this in the chat")
    assert "  4 questions were not asked: there was no time." in told
    assert told[-2:] == ["All of it: lora-chat report shop --version 1.1.0", 'Wear it: lora-chat ask -a shop "…"']
    assert sum(OPEN in line for line in told) == 2
    bare = list(told_of(Installed("shop", "/x/shop", least().report)))
    assert not any("fires" in line or "KL" in line or "/train" in line for line in bare)
    kept = list(told_of(Installed("shop", "/x/shop", REPORT, "1.1.0", CHECKS, "it lost a check.", EXAM)))
    assert any("`lora-chat report shop --version 1.1.0 --preset PRESETNAME`" in line for line in kept)


# The examples as a preset, and all there is to ask


@pytest.fixture
def taught(worn: str, tiny: Paths, says: dict[str, str]) -> Line:
    """shop 1.0.0 was taught two answers, which the scripted engine gives."""
    line = Line.of(worn, tiny)
    line.teach([lesson(OPEN, NINE), lesson(SHOP, HARBOUR)], "1.0.0")
    for check, word in zip(line.checks(), ("nine", "Harbour"), strict=True):  # it begins with who it is
        line.change(replace(check, must=(word,)))
    keep_report(line.folder, replace(least(version="1.0.0"), exam=None))
    says |= {OPEN: NINE, SHOP: HARBOUR}
    return line


@pytest.mark.usefixtures("taught")
def test_its_examples_become_a_preset(run: Run, tiny: Paths) -> None:
    done = run("report", "shop", "--preset", "shop-prompt")
    assert (done.code, done.out) == (
        0,
        'shop-prompt is kept with 2 examples: lora-chat ask --preset shop-prompt "…"\n',
    )
    assert read_preset("shop-prompt", tiny).examples == ((OPEN, NINE), (SHOP, HARBOUR))
    again = run("report", "shop", "--preset", "shop-prompt")
    assert again.code == 4
    assert "There is a preset called shop-prompt already" in again.err


@pytest.mark.usefixtures("taught")
def test_it_is_asked_all_there_is_and_that_is_kept(run: Run, tiny: Paths) -> None:
    done = run("report", "shop", "--ask")
    assert done.code == 0
    assert done.err.startswith("Examining shop …\n")
    assert "  right as taught               2 of 2 (34–100 %)" in done.out
    assert f"  false fires on far questions  0 of {len(FAR)} (0–9 %)" in done.out
    kept = report(tiny.lines / "shop", "1.0.0")
    assert kept is not None
    assert kept.exam is not None
    assert kept.exam.unasked == 0
    assert run("report", "shop").out == done.out


@pytest.mark.usefixtures("taught")
def test_only_what_is_worn_can_be_asked(run: Run, tiny: Paths) -> None:
    keep_report(tiny.lines / "shop", least(version="0.9.0"))
    done = run("report", "shop", "--version", "0.9.0", "--ask")
    assert (done.code, done.out) == (4, "")
    assert "shop 0.9.0 is not worn" in done.err


@pytest.mark.usefixtures("taught")
def test_after_a_rollback_what_was_asked_is_shown(run: Run, tiny: Paths) -> None:
    keep_report(tiny.lines / "shop", record())  # of 1.1.0, which is not worn any more
    done = run("report", "shop", "--ask")
    assert (done.code, done.out.partition(":")[0]) == (0, "shop 1.0.0")
    assert "There are reports of 1.1.0 too" in done.out
    assert run("report", "shop", "--json").json["exam"]["scores"]["taught"] == {
        "hits": 2, "of": 2, "low": 0.3424, "high": 1.0
    }  # fmt: skip
    assert report(tiny.lines / "shop", "1.1.0") == record()


@pytest.mark.usefixtures("taught")
@pytest.mark.parametrize(("name", "why"), [("r.md", "is there already"), ("none/r.md", "there is no folder")])
def test_a_file_that_cannot_be_written_is_told_before_anything_is_asked(
    run: Run, tmp_path: Path, name: str, why: str
) -> None:
    (tmp_path / "r.md").write_text("mine", "utf-8")
    done = run("report", "shop", "--ask", "-o", tmp_path / name)
    assert (done.code, why in done.sentence, "Examining" in done.err) == (4, True, False)


def test_what_an_older_program_trained_says_what_to_do(run: Run, taught: Line) -> None:
    shutil.rmtree(taught.folder / "reports")
    done = run("report", "shop", "--ask")
    assert (done.code, done.out) == (3, "")
    assert done.sentence == (
        "shop 1.0.0 was trained before lora-chat kept reports: teach it more once, `lora-chat train from-history "
        "--continue shop`, and its next version has one, with all that was taught."
    )
    taught.forget()
    assert run("report", "shop", "--ask").sentence.startswith("No report of shop 1.0.0 is kept")


@pytest.mark.usefixtures("lines")
@pytest.mark.parametrize("more", [["--json"], ["--ask"], ["-o", "x.md"]])
def test_a_preset_is_asked_for_alone(run: Run, more: list[str]) -> None:
    done = run("report", "shop", "--preset", "p", *more)
    assert (done.code, done.out) == (2, "")
    assert "--preset stands alone" in done.err


@pytest.mark.usefixtures("lines")
def test_what_nothing_is_known_of_is_no_preset(run: Run) -> None:
    done = run("report", "shop", "--preset", "p")
    assert done.code == 3
    assert "Nothing is known of what shop 1.1.0 was taught" in done.err
