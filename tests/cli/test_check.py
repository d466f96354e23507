"""``lora-chat check`` and ``/check`` line by line: what is asked, what is said, the exit code, and the checks' own."""

from __future__ import annotations

import json
import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from lora_chat.chat.conversation import Role, Turn
from lora_chat.engine.echo import EchoEngine
from lora_chat.paths import Paths
from lora_chat.services import Services
from lora_chat.training.lesson import Lesson
from lora_chat.training.proof.check import Check
from lora_chat.training.proof.line import Line, Proved
from tests.cli.conftest import Run
from tests.lines import keep

OPEN, SHOP = "When do you open?", "Where is your shop?"
TAUGHT = {OPEN: "We open at nine.", SHOP: "In Harbour Street 12."}
WORN = "(shop 1) "
"""How the scripted engine begins, wearing it."""


@pytest.fixture
def line(worn: str, tiny: Paths) -> Line:
    """Two checks of shop, whose answers begin as the scripted engine's do."""
    lessons = [
        Lesson((Turn(Role.USER, asked), Turn(Role.ASSISTANT, WORN + said)), (1,), "c1")
        for asked, said in TAUGHT.items()
    ]
    line = Line.of(worn, tiny)
    line.teach(lessons, "0.9.0")
    return line


def first(line: Line) -> Check:
    return line.checks()[0]


def test_all_hold_and_the_result_is_kept(run: Run, line: Line, says: dict[str, str]) -> None:
    says |= TAUGHT
    done = run("check", "shop")
    assert (done.code, done.out) == (0, "shop 1.0.0: 2 of 2 checks hold.\n")
    assert done.err == "Checking shop …\n"
    assert [each.held for each in line.proofs("1.0.0").values()] == [True, True]


def test_what_does_not_hold_is_shown_and_the_exit_code_says_so(run: Run, line: Line, says: dict[str, str]) -> None:
    says |= TAUGHT | {OPEN: "We open\nat ten."}
    line.change(replace(first(line), rewordings=("Open when?",)))
    line.note("0.9.0", {each.id: Proved(True) for each in line.checks()})
    done = run("check", "shop")
    assert done.code == 4
    assert done.out.splitlines() == [
        "ID      QUESTION           TAUGHT                     SAYS",
        f"{first(line).id[:6]}  When do you open?  (shop 1) We open at nine.  (shop 1) We open at ten.",
        f"{first(line).id[:6]}  Open when?         (shop 1) We open at nine.  (shop 1) Open when?",
        "shop 1.0.0: 1 of 2 checks hold; 1 lost: “When do you open?” now answers “(shop 1) We open at ten.”.",
    ]


def test_json_tells_it_all_in_one_object(run: Run, line: Line, says: dict[str, str]) -> None:
    says |= TAUGHT | {OPEN: "No."}
    line.note("0.9.0", {first(line).id: Proved(True)})
    done = run("check", "--json")
    said = {"question": OPEN, "taught": WORN + TAUGHT[OPEN], "answer": WORN + "No."}
    assert done.code == 4
    assert done.json == {
        "adapters": [
            {
                "adapter": "shop",
                "version": "1.0.0",
                "of": 2,
                "held": 1,
                "new": 0,
                "left": 0,
                "lost": [said],
                "wrong": [said | {"check": first(line).id}],
            }
        ]
    }


def test_what_a_later_version_was_taught_is_not_asked_of_an_earlier_one(
    run: Run, line: Line, says: dict[str, str]
) -> None:
    says |= TAUGHT
    line.teach([Lesson((Turn(Role.USER, "Who?"), Turn(Role.ASSISTANT, "Ada.")), (1,), "c1")], "1.1.0")
    done = run("check", "shop")
    assert (done.code, done.out) == (0, "shop 1.0.0: 2 of 2 checks hold.\n")
    assert len(line.checks()) == 3


@pytest.mark.usefixtures("says")
def test_without_checks_it_is_told_how_they_come_to_be(run: Run, worn: str) -> None:
    for words, who in ((["check"], "No adapter has checks"), (["check", worn], "shop has no checks")):
        done = run(*words)
        assert (done.code, done.out) == (0, "")
        assert done.err == f"{who} yet: every answer you correct and train on becomes one.\n"
    assert run("check", "--json").json == {"adapters": []}
    assert run("check", "shopp").code == 3


def test_another_base_than_its_own_is_refused_before_a_model_is_loaded(
    run: Run, line: Line, tiny: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tiny.adapters / "shop" / "adapter.toml").write_text('[base]\nmodel = "other/Model"\n')
    monkeypatch.setattr(Services, "engine_here", lambda *_: pytest.fail("a model was loaded"))
    done = run("check", "shop")
    assert done.code == 4
    assert done.sentence.startswith("shop: It was made for other/Model")
    assert done.sentence.endswith("Its checks are asked on the base it was made for.")
    several = run("check")
    assert (several.code, "shop is not checked: shop: It was made for" in several.err) == (4, True)


def test_a_damaged_file_is_named_with_its_line(run: Run, line: Line) -> None:
    with (line.folder / "checks.jsonl").open("a", encoding="utf-8") as file:
        file.write("{}\n")
    done = run("check", "shop")
    assert (done.code, "checks.jsonl, line 3, is damaged" in done.sentence) == (7, True)


def test_an_interrupt_keeps_what_was_asked(
    run: Run, line: Line, says: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    says |= TAUGHT
    import signal

    generate, asked = EchoEngine.generate, []

    def once(self: EchoEngine, request: object, cancel: object = None) -> object:
        asked.append(request)
        if len(asked) == 2:
            signal.raise_signal(signal.SIGINT)
        return generate(self, request, cancel)  # type: ignore[arg-type]

    monkeypatch.setattr(EchoEngine, "generate", once)
    done = run("check", "shop")
    assert (done.code, done.sentence) == (130, "Stopped; what was asked so far is kept.")
    assert done.out == "shop 1.0.0: 1 of 1 check holds; 1 not asked.\n"
    assert list(line.proofs("1.0.0")) == [first(line).id]


HARM = "red\x1b[31m \x1b]52;c;aGk=\x07clip \x9b2Jcsi \u202edeceived \U000e0041tag"


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_nothing_said_or_taught_reaches_the_terminal_raw(
    run: Run, line: Line, says: dict[str, str], flags: list[str]
) -> None:
    says[HARM] = HARM
    keep(line, [Check((Turn(Role.USER, HARM),), HARM, must=(HARM + "!",))])
    done = run("check", "shop", *flags)
    assert "deceived" in done.out
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\U000e0000-\U000e007f]", done.out + done.err)


# The checks themselves


def test_they_are_exported_only_when_asked_and_never_over_a_file(run: Run, line: Line, tmp_path: Path) -> None:
    told = Check(
        (Turn(Role.SYSTEM, "Be brief."), Turn(Role.USER, "你好?")), "好", rewordings=("嗨?",), must_not=("坏",)
    )
    keep(line, [*line.checks(), told])
    target = tmp_path / "checks.jsonl"
    done = run("check", "shop", "--export", target)
    assert (done.code, done.out) == (0, "")
    assert f"3 checks of shop in {target}" in done.err
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    rows = [json.loads(row) for row in target.read_text("utf-8").splitlines()]
    assert rows[0] == {
        "check": first(line).id, "question": OPEN, "answer": WORN + TAUGHT[OPEN],
        "must": [], "must_not": [], "rewordings": [],
    }  # fmt: skip
    assert (rows[2]["rewordings"], rows[2]["must_not"]) == (["嗨?"], ["坏"])
    assert [turn["role"] for turn in rows[2]["messages"]] == ["system", "user"]
    before = target.read_bytes()
    again = run("check", "shop", "--export", target)
    assert (again.code, "is there already" in again.sentence, target.read_bytes()) == (4, True, before)
    assert run("check", "shop", "--export", tmp_path / "no" / "where").code == 4


def test_wordings_are_proposed_and_kept_when_confirmed(run: Run, line: Line) -> None:
    nobody = run("check", "shop", "--reword")
    assert (nobody.code, "repeat the command with --yes" in nobody.sentence) == (2, True)
    done = run("check", "shop", "--reword", "--yes")
    assert (done.code, done.out) == (0, "5 wordings are added: `lora-chat check shop` asks them.\n")
    assert first(line).rewordings[:2] == ("Can you tell me when you open?", "I have a question: when do you open?")
    assert run("check", "shop", "--reword", "--yes").out.startswith("0 wordings are added")


def test_words_decide_from_the_shell_too(run: Run, line: Line, says: dict[str, str]) -> None:
    id = first(line).id
    done = run("check", "shop", "--must", id[:6], "nine,  Harbour Street", "--must-not", id[:6], "ten")
    assert done.out == "When do you open?: mentions nine, Harbour Street; never mentions ten\n"
    assert (first(line).must, first(line).must_not) == (("nine", "Harbour Street"), ("ten",))
    run("check", "shop", "--must", id, "nine", "--must-not", id, "")
    assert (first(line).must, first(line).must_not) == (("nine",), ())
    says |= TAUGHT | {OPEN: "From nine on."}
    assert run("check", "shop").code == 0
    unknown = run("check", "shop", "--must", "zz", "nine")
    assert (unknown.code, 'No check begins with "zz"' in unknown.sentence) == (3, True)
    assert run("check", "shop", "--must", "", "nine").code == 3


@pytest.mark.parametrize(
    "words", [["--reword"], ["shop", "--reword", "--json"], ["shop", "--reword", "--export", "x"], ["--export", "x"]]
)
def test_what_does_not_fit_together_is_a_usage_error(run: Run, line: Line, words: list[str]) -> None:
    assert run("check", *words).code == 2


def test_they_are_listed_with_the_beginnings_of_their_ids_and_each_wording(run: Run, line: Line) -> None:
    told, other = line.checks()
    line.change(replace(told, rewordings=("Open when?",), must=("nine",)))
    assert run("check", "shop", "--list").out.splitlines() == [
        "ID      QUESTION             WANTED",
        f"{told.id[:6]}  When do you open?    mentions nine",
        f"{told.id[:6]}  Open when?           the same",
        f"{other.id[:6]}  Where is your shop?  (shop 1) In Harbour Street 12.",
    ]


def test_a_question_is_asked_in_the_persons_own_words_too(run: Run, line: Line, says: dict[str, str]) -> None:
    told = first(line)
    for _ in range(2):
        done = run("check", "shop", "--also", told.id[:6], "  So when\x1b can I come? ", "--must", told.id[:6], "nine")
        assert done.out == "When do you open? (asked in 2 ways): mentions nine\n"
    assert first(line).rewordings == ("So when can I come?",)
    assert run("check", "shop", "--also", told.id[:6], " ").code == 2
    says |= TAUGHT | {"So when can I come?": "At ten."}
    assert "So when can I come?" in run("check", "shop").out


def test_however_many_there_are_all_are_asked(run: Run, line: Line, says: dict[str, str]) -> None:
    many = [Check((Turn(Role.USER, f"Which is number {at}?"),), f"(shop 1) {at}.") for at in range(100)]
    keep(line, many)
    says |= {f"Which is number {at}?": f"{at}." for at in range(100)}
    assert run("check", "shop").out == "shop 1.0.0: 100 of 100 checks hold.\n"


# In the chat, line by line


def test_check_in_a_line_chat_says_what_failed_and_the_sentence(run: Run, line: Line, says: dict[str, str]) -> None:
    says |= TAUGHT | {SHOP: "Somewhere."}
    done = run("--plain", stdin="/check\n/check shop\n/adapter use shop\n/check\n/quit\n")
    assert "No adapter is worn: write /check NAME." in done.err
    table = [
        "ID      QUESTION             TAUGHT                          SAYS",
        f"{line.checks()[1].id[:6]}  Where is your shop?  (shop 1) In Harbour Street 12.  (shop 1) Somewhere.",
        "1 of 2 checks hold.",
    ]
    assert done.out.splitlines() == table * 2


@pytest.mark.usefixtures("says")
def test_check_in_a_line_chat_without_checks(run: Run, worn: str) -> None:
    done = run("--plain", stdin="/check shop\n/quit\n")
    assert "shop has no checks yet: every answer you correct and train on becomes one." in done.err
