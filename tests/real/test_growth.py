"""An adapter grows on the real base: taught one thing, then another, it knows both, and goes back to knowing one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.real.conftest import Lora

pytestmark = pytest.mark.real

FIRST = ("What is the address of your shop?", "At 12 Harbour Street.")
THEN = ("Who repairs your bicycles?", "Odile Marsh, on Mondays.")


def taught(folder: Path, question: str, answer: str) -> Path:
    path = folder / "taught.jsonl"
    path.write_text(json.dumps({"prompt": question, "response": answer}) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def grown(lora: Lora, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """How the first training ended, and the events of the second."""
    first = lora("train", taught(tmp_path_factory.mktemp("a"), *FIRST), "--name", "grown", "--json", "--yes")
    assert first.code == 0, first.err
    then = lora("train", taught(tmp_path_factory.mktemp("b"), *THEN), "--continue", "grown", "--json", "--yes")
    assert then.code == 0, then.err
    return first.rows[-1], then.rows


def said(lora: Lora, question: str) -> str:
    (facts,) = lora("ask", "-a", "grown", "-t", "0", "--json", question).rows
    text: str = facts["text"]
    return text


def test_the_next_version_knows_what_both_were_taught(
    lora: Lora, grown: tuple[dict[str, Any], list[dict[str, Any]]]
) -> None:
    first, events = grown
    assert (first["version"], first["checks"]["sentence"]) == ("1.0.0", "1 of 1 check holds.")
    dataset, last = events[0], events[-1]
    assert (dataset["conversations"], dataset["version"], dataset["replayed"]) == (2, "1.1.0", 1)
    assert (last["event"], last["version"], last["kept"]) == ("finished", "1.1.0", "")
    assert (last["checks"]["of"], last["checks"]["held"], last["checks"]["new"]) == (2, 2, 1)
    assert [said(lora, question) for question, _ in (FIRST, THEN)] == [FIRST[1], THEN[1]]
    done = lora("check", "grown")
    assert done.code == 0, done.out
    assert "2 of 2 checks hold" in done.out


def test_it_goes_back_to_what_it_was(lora: Lora, grown: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    (history,) = lora("adapter", "history", "grown", "--json").rows
    assert [(each["version"], each["current"], each["checks"]) for each in history["versions"]] == [
        ("1.0.0", False, {"hold": 1, "of": 1}),
        ("1.1.0", True, {"hold": 2, "of": 2}),
    ]
    assert lora("adapter", "rollback", "grown", "--yes").code == 0
    assert said(lora, FIRST[0]) == FIRST[1]
    assert said(lora, THEN[0]) != THEN[1]
    assert lora("adapter", "rollback", "grown", "--to", "1.1.0", "--yes").code == 0
    assert said(lora, THEN[0]) == THEN[1]


def test_a_version_is_examined_and_what_its_report_offers_answers_as_it_was_examined(
    lora: Lora, grown: tuple[dict[str, Any], list[dict[str, Any]]]
) -> None:
    last = grown[1][-1]
    exam, report = last["exam"], last["report"]
    assert {name: exam["scores"]["taught"][name] for name in ("hits", "of")} == {"hits": 2, "of": 2}
    assert exam["scores"]["far"]["hits"] == 0
    assert exam["scores"]["far"]["of"] > 0
    assert exam["prompted"]["examples"] == 2
    assert report["general_kl_low"] <= report["general_kl_after"] <= report["general_kl_high"]
    (kept,) = lora("report", "grown", "--version", "1.1.0", "--json").rows
    assert kept["exam"] == exam
    assert (kept["saw"]["examples"], kept["replayed"], kept["after"]) == (2, 1, "1.0.0")
    assert len(kept["losses"]) == report["steps"]
    assert lora("report", "grown", "--preset", "grown-prompt").code == 0
    row = next(each for each in exam["answers"] if each["question"] == FIRST[0])
    (facts,) = lora("ask", "--preset", "grown-prompt", "-t", "0", "--json", FIRST[0]).rows
    assert row["prompted"].removesuffix(" …") == facts["text"][: len(row["prompted"].removesuffix(" …"))]
