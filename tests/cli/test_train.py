"""``lora-chat train``: from a file or from what a person vouched for to an adapter that can be worn."""

from __future__ import annotations

import datetime
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lora_chat.cli import console
from lora_chat.paths import Paths
from lora_chat.training.events import StepDone
from tests.cli.conftest import ASKED, WANTED, Kept, Run, command, environment

REPORT = {
    "seconds", "steps", "tokens", "tokens_per_second", "trainable_parameters", "total_parameters", "trainable_percent",
    "heldout_loss_before", "heldout_loss_after", "general_loss_before", "general_loss_after",
}  # fmt: skip
"""The contract of interface.md; more may come, none may go."""


def adapters(home: Paths) -> list[str]:
    return sorted(path.name for path in home.adapters.iterdir()) if home.adapters.exists() else []


def made_nothing(home: Paths) -> bool:
    return not adapters(home) and not home.training.exists()


def test_a_file_becomes_an_adapter_that_is_listed_and_worn(run: Run, tiny: Paths, examples: Path) -> None:
    done = run("train", examples, "--name", "shop", "--yes")
    assert done.code == 0
    assert "shop is trained and installed in " + str(tiny.adapters / "shop") in done.out
    assert "Wear it: lora-chat ask -a shop" in done.out
    assert "trainable parameters" in done.out
    for part in ("Train shop on tiny-llama", "2 answers in 2 conversations", "rank=8", "learning_rate=0.0025"):
        assert part in done.err
    (row,) = run("adapter", "list", "--json").json["adapters"]
    assert (row["name"], row["origin"], row["rank"]) == ("shop", "user", 8)
    assert run("adapter", "verify", "shop", "--json").json["effect"] > 0
    assert run("ask", "Hello", "-a", "shop", "--json").json["adapter"] == "shop"


def test_json_lines_are_exactly_the_contract(run: Run, tiny: Paths, examples: Path) -> None:
    done = run("train", examples, "--name", "shop", "--json", "--yes")
    events = done.events
    assert [each for each in events if each["event"] == "dataset"] == events[:1]
    assert set(events[0]) >= {
        "event", "conversations", "examples", "dropped", "tokens", "supervised_tokens", "redacted",
        "private", "kept",
    }  # fmt: skip
    assert (events[0]["conversations"], events[0]["examples"], events[0]["dropped"]) == (2, 2, {})
    assert 0 < events[0]["supervised_tokens"] < events[0]["tokens"]
    steps = [each for each in events if each["event"] == "step"]
    assert all(
        set(each) >= {"event", "step", "steps", "loss", "tokens_per_second", "eta_s"} and each["loss"] > 0
        for each in steps
    )
    assert [each["step"] for each in steps] == list(range(1, len(steps) + 1))
    assert {each["event"] for each in events} <= {"dataset", "preparing", "step", "evaluated", "sampled", "finished"}
    last = events[-1]
    assert set(last) == {"event", "adapter", "path", "report", "version", "checks", "kept", "exam", "unchecked"}
    assert (last["event"], last["adapter"], last["path"]) == ("finished", "shop", str(tiny.adapters / "shop"))
    report = last["report"]
    assert set(report) >= REPORT
    assert report["steps"] == len(steps)
    assert report["trainable_percent"] == pytest.approx(
        100 * report["trainable_parameters"] / report["total_parameters"]
    )
    assert report["heldout_loss_before"] is None
    assert report["seconds"] > 0
    assert set(last["exam"]["scores"]["taught"]) == {"hits", "of", "low", "high"}
    kept = run("report", "shop", "--json").json
    assert all(kept[name] == last[name] for name in ("exam", "report", "checks"))


def test_continue_makes_the_next_version_of_an_adapter(run: Run, tiny: Paths, examples: Path, tmp_path: Path) -> None:
    assert run("train", examples, "--name", "shop", "--yes").code == 0
    more = tmp_path / "more.jsonl"
    more.write_text(json.dumps({"prompt": "Who owns it?", "response": "Odile does."}) + "\n", encoding="utf-8")
    plan = run("train", more, "--continue", "shop", "--dry-run")
    for part in (
        "Train shop 1.1.0, its next version, on tiny-llama",
        "3 answers",
        "replays",
        "2 conversations that it",
    ):
        assert part in plan.err
    events = run("train", more, "--continue", "shop", "--json", "--yes").events
    assert (events[0]["conversations"], events[0]["version"], events[0]["replayed"]) == (3, "1.1.0", 2)
    last = events[-1]
    assert (last["adapter"], last["version"], last["checks"]["of"]) == ("shop", "1.1.0", 3)
    versions = run("adapter", "history", "shop", "--json").json["versions"]
    assert [each["version"] for each in versions] == ["1.0.0", "1.1.0"]
    assert [each["current"] for each in versions] == [bool(last["kept"]), not last["kept"]]


def test_what_cannot_be_continued_is_one_sentence_each(run: Run, worn: str, examples: Path) -> None:
    refused = {
        ("--continue", "nobody"): (3, "nobody"),
        ("--continue", worn, "--name", "other"): (2, "leave --name out"),
        ("--continue", worn, "--set", "rank=4"): (4, "keeps the rank"),
    }
    for words, (code, said) in refused.items():
        done = run("train", examples, *words, "--yes")
        assert (done.code, said in done.err) == (code, True), done.err


def test_rebase_trains_another_base_from_what_was_kept(run: Run, tiny: Paths, examples: Path) -> None:
    assert run("train", examples, "--name", "shop", "--yes").code == 0
    plan = run("adapter", "rebase", "shop", "--base", "tiny-llama", "--dry-run")
    assert "Train shop-tiny-llama on tiny-llama" in plan.err
    assert run("adapter", "rebase", "shop", "--base", "tiny-llama", "--name", "anew", "--yes").code == 0
    one, two = (run("adapter", "info", name, "--json").json["training"] for name in ("shop", "anew"))
    assert one["dataset_sha256"] == two["dataset_sha256"]
    assert two["source"] == "rebase of shop"


def test_an_adapter_of_which_nothing_is_kept_cannot_be_rebased(run: Run, worn: str) -> None:
    done = run("adapter", "rebase", worn, "--base", "tiny-llama")
    assert (done.code, f"Nothing is kept of what {worn} was taught" in done.err) == (4, True)


def test_a_collection_holds_some_out_and_says_how_they_went(run: Run, tiny: Paths, tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    rows = [{"prompt": f"What is number {n}?", "response": f"Number {n} is Paris."} for n in range(32)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    events = run("train", path, "--name", "many", "--json", "--yes").events
    evaluated = [each for each in events if each["event"] == "evaluated"]
    assert evaluated
    assert all(set(each) == {"event", "step", "heldout_loss"} for each in evaluated)
    report = events[-1]["report"]
    assert report["heldout_loss_after"] < report["heldout_loss_before"]


def test_the_same_seed_trains_the_same_adapter_and_another_seed_another(run: Run, tiny: Paths, examples: Path) -> None:
    def hashed(name: str, seed: str) -> str:
        assert run("train", examples, "--name", name, "--seed", seed, "--effort", "light", "--yes").code == 0
        return str(run("adapter", "info", name, "--json").json["sha256"])

    assert hashed("one", "1") == hashed("again", "1")
    assert hashed("other", "2") != hashed("one-more", "1")


def test_effort_bounds_the_steps(run: Run, tiny: Paths, examples: Path) -> None:
    def steps(effort: str) -> int:
        events = run("train", examples, "--name", effort, "--effort", effort, "--json", "--yes").events
        return int(events[-1]["report"]["steps"])

    assert steps("light") < steps("normal") < steps("deep")


def test_dry_run_shows_the_plan_and_makes_nothing(run: Run, tiny: Paths, examples: Path) -> None:
    done = run("train", examples, "--name", "shop", "--dry-run")
    assert (done.code, done.out) == (0, "")
    assert "2 answers in 2 conversations" in done.err
    assert made_nothing(tiny)


def test_dry_run_counts_as_the_training_does(run: Run, tiny: Paths, examples: Path) -> None:
    planned = run("train", examples, "--name", "shop", "--dry-run", "--json").json
    assert made_nothing(tiny)
    assert run("train", examples, "--name", "shop", "--json", "--yes").events[0] == planned


def test_every_value_of_the_recipe_can_be_set_is_printed_and_kept(run: Run, tiny: Paths, examples: Path) -> None:
    sets = ("--set", "rank=4", "--set", "learning_rate=1e-3", "--set", "max_steps=3")
    shown = run("train", examples, "--name", "shop", "--dry-run", *sets).err
    for part in ("rank=4", "learning_rate=0.001", "weight_decay=0 ", "rank 4, not 8", "under 30 conversations"):
        assert part in shown
    planned = run("train", examples, "--name", "shop", "--dry-run", "--json", *sets).json
    assert planned["recipe"]["rank"] == 4
    assert planned["recipe_changed"]["learning_rate"] == {"set": 0.001, "chosen": 0.0025}
    assert "handful" in planned["recipe_because"]
    done = run("train", examples, "--name", "shop", "--json", "--yes", *sets)
    assert done.events[-1]["report"]["steps"] == 3
    (job,) = tiny.training.iterdir()
    assert "rank = 4" in (job / "job.toml").read_text(encoding="utf-8")
    kept = run("adapter", "info", "shop", "--json").json
    assert (kept["rank"], kept["training"]["recipe"]["learning_rate"]) == (4, 0.001)


@pytest.mark.parametrize("bad", ["learning_rate=0", "learning_rate=nan", "learning_rate=1e9", "rank=-4", "rank=4.5"])
def test_a_value_that_is_nonsense_is_refused_before_the_start(run: Run, tiny: Paths, examples: Path, bad: str) -> None:
    done = run("train", examples, "--name", "shop", "--yes", "--set", bad)
    assert done.code == 4
    assert bad.partition("=")[0] + " must" in done.sentence
    assert run("train", examples, "--name", "shop", "--yes", "--set", "rnak=3").code == 2
    assert made_nothing(tiny)


def test_time_and_memory_are_told_before_the_start_and_measured_from_then_on(
    run: Run, tiny: Paths, examples: Path
) -> None:
    for measured in tiny.models.rglob("pace.json"):  # by another test, on the same base
        measured.unlink()
    first = run("train", examples, "--name", "shop", "--dry-run").err
    assert "a guess: this base was never trained on here yet" in first
    assert "of memory, " in first
    run("train", examples, "--name", "shop", "--effort", "light", "--yes")
    run("adapter", "remove", "shop", "--yes")
    assert "(measured on this machine)" in run("train", examples, "--name", "shop", "--dry-run").err
    estimate = run("train", examples, "--name", "shop", "--dry-run", "--json").json["estimate"]
    assert estimate["basis"] == "measured on this machine"
    assert estimate["seconds"] > 0
    assert estimate["bytes"] > 400_000_000


def test_what_has_no_room_in_memory_is_refused_with_numbers_before_the_start(
    run: Run, tiny: Paths, examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lora_chat.memory.free", lambda: 100_000_000)
    done = run("train", examples, "--name", "shop", "--yes")
    assert done.code == 4
    assert "and 100 MB can be had" in done.sentence
    assert made_nothing(tiny)
    assert "100 MB can be had" in run("train", examples, "--name", "shop", "--dry-run").err


def test_on_a_pipe_without_yes_nothing_is_trained(run: Run, tiny: Paths, examples: Path) -> None:
    done = run("train", examples, "--name", "shop")
    assert done.code == 2
    assert "--yes" in done.sentence
    assert made_nothing(tiny)


@pytest.mark.parametrize("said", ["n\n", "No\n", "what?\n", ""])
def test_a_person_who_declines_gets_nothing(
    run: Run, tiny: Paths, examples: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setattr(console, "is_interactive", lambda: True)
    done = run("train", examples, "--name", "shop", stdin=said)
    assert done.code == 0
    assert "Nothing was trained." in done.err
    assert made_nothing(tiny)


@pytest.mark.parametrize("said", ["\n", "y\n", "YES\n"])
def test_a_person_who_agrees_gets_an_adapter(
    run: Run, tiny: Paths, examples: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setattr(console, "is_interactive", lambda: True)
    assert run("train", examples, "--name", "shop", "--effort", "light", stdin=said).code == 0
    assert adapters(tiny) == ["shop"]


# Refusals


def test_a_name_that_is_taken_is_refused_before_anything_is_spent(run: Run, worn: str, examples: Path) -> None:
    done = run("train", examples, "--name", "shop", "--yes")
    assert done.code == 4
    assert "lora-chat adapter remove shop" in done.sentence


@pytest.mark.parametrize("name", ["", "../shop", "Shop", "a b", ".hidden", "x" * 65, "con", "\x1b[31mred", "名"])
def test_a_name_that_cannot_be_one_is_refused(run: Run, tiny: Paths, examples: Path, name: str) -> None:
    done = run("train", examples, "--name", name, "--yes")
    assert done.code == 4
    assert "\x1b" not in done.err
    assert made_nothing(tiny)


def test_a_missing_file_is_not_found(run: Run, tiny: Paths, tmp_path: Path) -> None:
    done = run("train", tmp_path / "none.jsonl", "--name", "shop", "--yes")
    assert done.code == 3
    assert str(tmp_path / "none.jsonl") in done.sentence
    assert "from-history" in done.sentence


@pytest.mark.parametrize(
    "bad",
    [
        "{not json",
        "[" * 100_000,
        '"text"',
        '{"asked": "x", "said": "y"}',
        '{"prompt": "x", "response": ""}',
        '{"prompt": "x", "response": 7}',
        '{"messages": [{"role": "assistant", "content": "alone"}]}',
        '{"messages": [{"role": "user", "content": "alone"}]}',
        '{"messages": [{"role": "wizard", "content": "x"}, {"role": "assistant", "content": "y"}]}',
        '{"messages": [[["nested"]]]}',
    ],
)
def test_a_bad_line_is_named_by_its_number_and_nothing_is_trained(
    run: Run, tiny: Paths, examples: Path, bad: str
) -> None:
    examples.write_text(examples.read_text(encoding="utf-8") + bad + "\n", encoding="utf-8")
    done = run("train", examples, "--name", "shop", "--yes")
    assert done.code == 4
    assert done.sentence.startswith("Line 3 of ")
    assert made_nothing(tiny)


def test_a_refusal_is_an_event_as_well_when_events_are_read(run: Run, tiny: Paths, examples: Path) -> None:
    examples.write_text("{}\n", encoding="utf-8")
    done = run("train", examples, "--name", "shop", "--json", "--yes")
    assert done.code == 4
    assert done.json == {"event": "failed", "reason": done.sentence}


def test_files_that_are_none(run: Run, tiny: Paths, examples: Path, tmp_path: Path) -> None:
    examples.write_text("\n\n", encoding="utf-8")
    assert "no examples" in run("train", examples, "--name", "shop", "--yes").sentence
    examples.write_bytes(b'{"prompt": "caf\xe9", "response": "x"}\n')
    assert "UTF-8" in run("train", examples, "--name", "shop", "--yes").sentence
    assert run("train", tmp_path, "--name", "shop", "--yes").code == 4
    assert made_nothing(tiny)


def test_the_other_forms_of_a_line_are_learnt_too(run: Run, tiny: Paths, examples: Path) -> None:
    examples.write_text(
        '\ufeff{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
        '{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "c"}]}\n'
        '{"instruction": "a", "input": "", "output": "d"}\n'
        '{"prompt": "Q: a\\nA:", "response": " e"}\n',
        encoding="utf-8",
    )
    counted = run("train", examples, "--name", "shop", "--dry-run", "--json").json
    assert (counted["conversations"], counted["examples"]) == (4, 4)


def test_words_that_do_not_fit_together(run: Run, tiny: Paths, examples: Path) -> None:
    assert run("train", "--name", "shop").code == 2
    assert "--name" in run("train", examples).sentence
    for flags in (
        ["--since", "2026-01-01"], ["--until", "2026-01-01"], ["--search", "x"], ["--adapter", "a"],
        ["--include", "unrated"], ["--rating", "good"],
    ):  # fmt: skip
        done = run("train", examples, "--name", "shop", *flags)
        assert done.code == 2
        assert "history only" in done.sentence
    for day in ("yesterday", "2026-13-01", "0000-01-01"):
        assert "--since 2026-11-24" in run("train", "from-history", "--name", "shop", "--since", day).sentence
    assert "--until 2026-11-24" in run("train", "from-history", "--name", "shop", "--until", "x").sentence
    assert run("train", "from-history", "--name", "shop", "--rating", "bad").code == 2
    assert "did you mean e-mail" in run("train", examples, "--name", "shop", "--keep", "email").sentence
    assert "--mask" in run("train", examples, "--name", "shop", "--keep", "e-mail").sentence
    assert run("train", examples, "--name", "shop", "--effort", "heroic").code == 2
    assert run("train", examples, "--name", "shop", "--base", "nowhere").code == 3


# From history


def test_an_empty_history_is_refused_with_the_way_out(run: Run, tiny: Paths) -> None:
    done = run("train", "from-history", "--name", "mine", "--yes")
    assert done.code == 4
    assert "nothing to learn in the history (no answers at all)" in done.sentence
    assert "lora-chat history rate" in done.sentence
    run("ask", "Hello")
    assert "1 unrated" in run("train", "from-history", "--name", "mine", "--yes").sentence


def test_the_whole_loop_ask_correct_train_wear(run: Run, tiny: Paths, kept: Kept) -> None:
    """The product, in five commands."""
    first = run("ask", ASKED, "--json").json
    assert run("history", "edit", str(first["message"]), WANTED).code == 0
    finished = run("train", "from-history", "--name", "mine", "--effort", "deep", "--json", "--yes").events[-1]
    assert finished["report"]["train_loss_after"] < 5
    before = run("ask", ASKED, "-t", "0", "--json").json
    after = run("ask", ASKED, "-t", "0", "--json", "-a", "mine=4").json
    assert (after["adapter"], after["text"] != before["text"]) == ("mine", True)
    (job,) = tiny.training.iterdir()
    (taught,) = [json.loads(line) for line in (job / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [turn["content"] for turn in taught["messages"]] == [ASKED, WANTED]
    assert run("adapter", "info", "mine", "--json").json["private"] is True


def test_what_was_rated_bad_or_not_at_all_is_left_out_and_counted(run: Run, tiny: Paths) -> None:
    ratings = ("good", "bad", "")
    for question, rating in zip(("Who are you?", "What's the weather?", ASKED), ratings, strict=True):
        reply = run("ask", question, "-t", "1.5", "--seed", "3", "--json").json
        if rating:
            run("history", "rate", str(reply["message"]), rating)
    counted = run("train", "from-history", "--name", "mine", "--dry-run", "--json").json
    assert (counted["examples"], counted["dropped"]) == (1, {"rated bad": 1, "unrated": 1})
    more = run("train", "from-history", "--name", "mine", "--include", "unrated", "--dry-run", "--json").json
    assert (more["examples"], more["dropped"]) == (2, {"rated bad": 1})


def test_the_filters_choose(run: Run, worn: str) -> None:
    ids = []
    for question, flags in ((ASKED, ["-a", "shop"]), ("Who are you?", [])):
        reply = run("ask", question, "-t", "1.5", "--seed", "3", "--json", *flags).json
        run("history", "rate", str(reply["message"]), "good")
        ids.append(reply["conversation"])

    def examples(*flags: str) -> int:
        done = run("train", "from-history", "--name", "mine", "--dry-run", "--json", *flags)
        return int(done.json["examples"]) if done.code == 0 else -done.code

    assert examples() == 2
    assert examples("--adapter", "shop") == 1
    assert examples("--search", "YOUR SHOP") == 1
    assert examples("--search", "nothing of it") == -4
    assert examples("--conversation", ids[0], "--conversation", ids[1]) == 2
    assert examples("--conversation", ids[1]) == 1
    assert examples("--conversation", "zzzz") == -3
    assert examples("--since", "2000-01-01") == 2
    assert examples("--since", "2999-01-01") == -4
    assert examples("--until", "2000-01-01") == -4
    assert examples("--since", today := datetime.datetime.now().date().isoformat(), "--until", today) == 2
    assert examples("--rating", "good") == 2
    assert examples("--rating", "edited") == -4
    run("history", "never-train", ids[0])
    assert examples() == 1


def test_a_dry_run_says_why_each_answer_is_left_out_and_what_is_private(run: Run, tiny: Paths) -> None:
    answer = run("ask", "Where do I write to?", "--json").json["message"]
    run("history", "edit", str(answer), "To anna.smith@example.com, or call +44 20 7946 0958.")
    run("ask", "Hello")
    said = run("train", "from-history", "--name", "mine", "--dry-run", "--keep", "phone").err
    for part in (
        "left out  1 unrated: nobody said if they are good; rate or edit them, or take them in (--include",
        "private   1 e-mail replaced by placeholders; --keep RULE leaves a rule off",
        "          1 phone learnt as they are",
        "enough?   1 answer: enough to learn by heart",
        "masked  e-mail  a…@e….com  in ",
        "kept  phone  +4…8  in ",
    ):
        assert part in said
    assert "anna" not in said
    counted = run("train", "from-history", "--name", "mine", "--dry-run", "--json").json
    assert (counted["redacted"], counted["private"], counted["kept"]) == (2, {"e-mail": 1, "phone": 1}, {})


def test_a_table_is_learnt_from_with_what_is_private_in_it_said_or_masked(
    run: Run, tiny: Paths, tmp_path: Path
) -> None:
    path = tmp_path / "faq.csv"
    path.write_text("question,answer\nWhere?,Write to help@example.org.\n", encoding="utf-8")
    given = run("train", path, "--name", "faq", "--dry-run")
    assert "private   1 e-mail learnt as they are" in given.err
    assert "kept  e-mail  h…@e….org  in row 1, message 2" in given.err
    masked = run("train", path, "--name", "faq", "--mask", "--effort", "light", "--json", "--yes").events[0]
    assert (masked["examples"], masked["private"], masked["kept"]) == (1, {"e-mail": 1}, {})
    (job,) = tiny.training.iterdir()
    assert "[E-MAIL]" in (job / "train.jsonl").read_text(encoding="utf-8")


def test_private_data_is_masked_and_counted(run: Run, tiny: Paths) -> None:
    reply = run("ask", "Where do I write to?", "--json").json
    run("history", "edit", str(reply["message"]), "Write to anna.smith@example.com.")
    done = run("train", "from-history", "--name", "mine", "--effort", "light", "--json", "--yes")
    assert done.events[0]["redacted"] == 1
    (job,) = tiny.training.iterdir()
    assert "anna.smith" not in (job / "train.jsonl").read_text(encoding="utf-8")


# Stopping and going on


def started(tiny: Paths, examples: Path, *words: str) -> subprocess.Popen[str]:
    """A training in a process of its own, after its first step."""
    typed = ("train", str(examples), "--name", "shop", "--json", "--yes", *words)
    process = subprocess.Popen(
        command(*typed), env=environment(tiny), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "step":
            return process
    raise AssertionError(process.communicate()[1])


def jobs(run: Run) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run("train", "--jobs", "--json").json["jobs"]
    return found


def weights(tiny: Paths, name: str) -> bytes:
    return (tiny.adapters / name / "adapter_model.safetensors").read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_stops_the_training_keeps_it_and_says_how_to_go_on(
    run: Run, tiny: Paths, examples: Path, number: str
) -> None:
    process = started(tiny, examples, "--effort", "deep")
    process.send_signal(getattr(signal, number))
    rest, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in complaint
    last = json.loads(rest.splitlines()[-1])
    assert last["event"] == "stopped"
    [job] = jobs(run)
    assert (job["state"], job["job"], job["step"]) == ("stopped", last["job"], last["step"])
    assert f"stopped after {last['step']} steps and is kept: `lora-chat train --resume {job['job']}`" in complaint
    assert not adapters(tiny)
    if number != "SIGINT":
        return
    resumed = run("train", "--resume", "last", "--json")
    assert [each["step"] for each in resumed.events if each["event"] == "resumed"] == [last["step"]]
    assert run("train", examples, "--name", "unbroken", "--effort", "deep", "--yes").code == 0
    assert weights(tiny, "shop") == weights(tiny, "unbroken")


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_killed_training_is_stopped_and_begins_anew_where_it_has_no_checkpoint_yet(
    run: Run, tiny: Paths, examples: Path
) -> None:
    process = started(tiny, examples, "--effort", "deep")
    process.send_signal(signal.SIGSTOP)  # on a busy machine it would end before all that follows has been asked
    [job] = jobs(run)
    assert job["state"] == "running"
    elsewhere = run("train", "--resume", job["job"])
    assert elsewhere.code == 4
    assert "runs in another program" in elsewhere.sentence
    assert run("train", "--discard", job["job"]).code == 4
    process.kill()
    process.communicate()
    [job] = jobs(run)
    assert job["state"] == "stopped"
    assert run("train", "--resume", "shop").code == 0
    assert adapters(tiny) == ["shop"]
    [job] = jobs(run)
    assert (job["state"], job["adapter"]) == ("finished", "shop")


@pytest.fixture
def stopped(run: Run, tiny: Paths, examples: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a job that was stopped after three steps."""
    from lora_chat.cli import jobs as begun

    with monkeypatch.context() as patched:
        stop = threading.Event()

        @contextmanager
        def signals() -> Iterator[threading.Event]:
            yield stop

        def count(event: Any, progress: Any) -> None:
            if isinstance(event, StepDone) and event.step == 3:
                stop.set()

        patched.setattr(begun, "stopped_by_signals", signals)
        patched.setattr("lora_chat.cli.train.show_progress", count)
        assert run("train", examples, "--name", "shop", "--effort", "deep", "--yes").code == 130
    [job] = tiny.training.iterdir()
    return job


def test_what_cannot_be_resumed_is_one_sentence_each(run: Run, tiny: Paths, examples: Path, stopped: Path) -> None:
    unknown = run("train", "--resume", "shpo")
    assert (unknown.code, "did you mean shop?" in unknown.sentence) == (3, True)
    assert run("train", "--resume", stopped.name[:-1] + "q").code == 3
    taught = (stopped / "train.jsonl").read_text(encoding="utf-8")
    (stopped / "train.jsonl").write_text(taught.replace("Harbour", "Station"), encoding="utf-8")
    changed = run("train", "--resume", stopped.name)
    assert changed.code == 4
    assert "was changed since it began" in changed.sentence
    (stopped / "train.jsonl").write_text(taught, encoding="utf-8")
    for words in (["x", "--resume", "last"], ["--name", "y", "--resume", "last"], ["--jobs", "--discard", "last"]):
        assert run("train", *words).code == 2
    assert run("train", "--resume", "last").code == 0
    finished = run("train", "--resume", stopped.name)
    assert finished.code == 4
    assert "finished" in finished.sentence
    assert "the adapter shop stays" in run("train", "--discard", stopped.name).err
    assert (tiny.adapters / "shop").is_dir()


def test_jobs_are_listed_in_words_and_one_can_be_discarded(run: Run, tiny: Paths, stopped: Path) -> None:
    listed = run("train", "--jobs")
    assert stopped.name in listed.out
    assert "stopped at step" in listed.out
    assert "--resume JOB" in listed.err
    assert run("train", "--discard", "last").code == 0
    assert not list(tiny.training.iterdir())
    assert run("train", "--resume", "last").code == 3


def test_a_finished_job_keeps_what_it_taught_and_nothing_else(run: Run, tiny: Paths, stopped: Path) -> None:
    assert [each.name for each in stopped.glob("checkpoint-*")]
    run("train", "--resume", "last")
    assert sorted(each.name for each in stopped.iterdir() if each.name != "lock") == [
        "heldout.jsonl", "job.toml", "state.json", "train.jsonl",
    ]  # fmt: skip


def test_without_room_for_checkpoints_it_is_refused_with_numbers(
    run: Run, tiny: Paths, examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=300_000))
    done = run("train", examples, "--name", "shop", "--yes")
    assert done.code == 4
    assert re.search(r"take \d\.\d MB and 0\.3 MB are free", done.sentence)
    assert made_nothing(tiny)


def test_a_training_whose_loss_is_lost_is_one_sentence_and_exit_6(
    run: Run, tiny: Paths, examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_chat.training import trainer
    from lora_chat.training.step import Learnt

    monkeypatch.setattr(trainer, "add_gradients", lambda *given: Learnt(float("nan"), learnt=False, tokens=1))
    done = run("train", examples, "--name", "shop", "--json", "--yes")
    assert done.code == 6
    assert "no longer a number" in done.sentence
    assert done.events[-1] == {"event": "failed", "reason": done.sentence}
    assert not adapters(tiny)
