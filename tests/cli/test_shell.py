"""The program as a shell sees it: exit codes, streams, encodings, what is loaded, and never a traceback."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lora_chat import __version__
from lora_chat.paths import Paths
from tests.cli.conftest import Done, Run, command, environment

CLOSED = ("<&-", ">&-", "2>&-", "<&- >&- 2>&-")
HEAVY = {"torch", "transformers", "peft", "datasets", "accelerate"}
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX descriptors and signals")


def spawn(home: Paths, *words: str, stdin: str = "", **more: str) -> Done:
    done = subprocess.run(
        command(*words), env=environment(home, **more), input=stdin.encode(), capture_output=True, timeout=120
    )
    out, err = done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
    assert "Traceback" not in err
    return Done(done.returncode, out, err)


# What every command costs


@pytest.mark.parametrize(
    "words",
    [
        ["--version"],
        ["--help"],
        ["paths"],
        ["paths", "--json"],
        ["adapter", "list"],
        ["preset", "list"],
        ["history", "list"],
        ["model", "list"],
        ["history", "show", "zzzz"],
        ["ask"],
        ["train", "none.jsonl", "--name", "shop", "--yes"],
        ["ask", "Hello", "-a", "nobody"],
    ],
    ids=" ".join,
)
def test_what_needs_no_model_loads_no_torch(tiny: Paths, words: list[str]) -> None:
    code = (
        "import sys\n"
        "from lora_chat.cli import main\n"
        f"sys.argv = ['lora-chat', *{words!r}]\n"
        "try:\n    main()\n"
        "except SystemExit:\n    pass\n"
        f"loaded = sorted(set(sys.modules) & {HEAVY!r})\n"
        "sys.exit(f'loaded {loaded}' if loaded else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(tiny), stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_looking_makes_nothing(home: Paths) -> None:
    looks: tuple[tuple[str, ...], ...] = (
        ("--version",),
        ("paths",),
        ("adapter", "list"),
        ("history", "list"),
        ("preset", "list"),
    )
    for words in (*looks, ("model", "list"), ("ask", "Hello"), ("doctor",)):
        spawn(home, *words)
        assert not home.config.parent.exists(), words


def test_the_version_is_the_packages(run: Run) -> None:
    assert run("--version").out == f"lora-chat {__version__}\n"


def test_help_names_every_command_and_each_has_help_of_its_own(run: Run) -> None:
    done = run("--help")
    assert done.code == 0
    for words in (
        ["ask"], ["train"], ["demo"], ["doctor"], ["paths"], ["adapter"], ["model"], ["history"], ["preset"],
        ["adapter", "install"], ["model", "pull"], ["history", "edit"],
    ):  # fmt: skip
        assert words[0] in done.out
        own = run(*words, "--help")
        assert (own.code, own.err) == (0, "")
        assert own.out.startswith(f"Usage: lora-chat {' '.join(words)}")
    assert "-h" in done.out


def test_a_group_without_a_command_shows_its_help(run: Run) -> None:
    done = run("adapter")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Usage: lora-chat adapter")


def test_words_it_does_not_know_are_usage_errors(run: Run, tiny: Paths) -> None:
    assert "Did you mean 'train'?" in run("trian").sentence
    for words in (["trian"], ["--colour"], ["ask", "--colour"], ["ask", "a", "b"], ["paths", "x"], ["ask", "-a"]):
        done = run(*words)
        assert (done.code, done.out) == (2, "")
        assert "--help" in done.sentence


def test_options_before_a_command_are_not_swallowed(run: Run, tiny: Paths) -> None:
    done = run("-a", "shop", "ask", "Hello")
    assert done.code == 2
    assert "behind the command" in done.sentence


def test_paths_are_all_under_the_home_and_json_has_the_same(run: Run, home: Paths) -> None:
    places = run("paths", "--json").json
    assert places == home.as_dict()
    own = [place for name, place in places.items() if not name.startswith("bundled")]
    assert all(place.startswith(str(home.config.parent)) for place in own)
    shown = run("paths").out.splitlines()
    assert [line.split()[-1] for line in shown] == list(places.values())


# Doctor


def test_doctor_finds_nothing_wrong_in_a_good_home(run: Run, worn: str) -> None:
    done = run("doctor")
    assert done.code == 0
    assert "problem" not in done.out
    for part in ("torch", "tiny-llama", "shop", "threads"):
        assert part in done.out
    facts = run("doctor", "--json").json
    assert facts["ok"] is True
    assert all(set(check) == {"name", "verdict", "says"} for check in facts["checks"])


def test_doctor_names_every_problem_and_exits_4(run: Run, worn: str, tiny: Paths) -> None:
    (tiny.adapters / "broken").mkdir()
    tiny.config.write_text('temprature = 1\nmodel = "tiny-llama"\n', encoding="utf-8")
    tiny.database.write_bytes(b"no database" * 1000)
    done = run("doctor", "--json")
    assert done.code == 4
    facts = json.loads(done.out)
    wrong = {check["name"]: check["says"] for check in facts["checks"] if check["verdict"] == "problem"}
    assert set(wrong) == {"settings", "chats", "adapter broken"}
    assert "did you mean temperature?" in wrong["settings"]
    assert facts["ok"] is False
    assert "3 of" in done.sentence


def test_doctor_names_a_wrong_base_of_the_person_s_own(run: Run, worn: str, tiny: Paths) -> None:
    tiny.config.write_text('model = "tiny-llama"\n[bases.mine]\nsource = 1\n', encoding="utf-8")
    facts = json.loads(run("doctor", "--json").out)
    (wrong,) = [check["says"] for check in facts["checks"] if check["verdict"] == "problem"]
    assert f'The "source" of the base model "mine" in {tiny.config} must be a text in quotes' in wrong


# Settings, models, homes


@pytest.mark.parametrize("words", [["ask", "Hello"], [], ["train", "x.jsonl", "--name", "x"], ["model", "list"]])
def test_an_unknown_setting_is_refused_and_the_nearest_is_named(run: Run, tiny: Paths, words: list[str]) -> None:
    tiny.config.write_text("temprature = 1\n", encoding="utf-8")
    done = run(*words)
    assert done.code == 4
    assert 'Unknown setting "temprature"' in done.sentence
    assert "did you mean temperature?" in done.sentence


@pytest.mark.parametrize(
    "text", ["temperature = [", "temperature = true", "max_tokens = 0", "model = 7", "a = 1\na = 2", "\udcff"]
)
def test_settings_that_cannot_be_used_are_refused(run: Run, tiny: Paths, text: str) -> None:
    tiny.config.write_bytes(text.encode("utf-8", "surrogateescape"))
    done = run("ask", "Hello")
    assert done.code == 4
    assert str(tiny.config) in done.sentence


@pytest.mark.parametrize("words", [["ask", "Hello"], [], ["train", "from-history", "--name", "x"]], ids=str)
def test_without_a_model_a_pipe_names_the_command(run: Run, home: Paths, words: list[str], examples: Path) -> None:
    words = [str(examples) if word == "from-history" else word for word in words]
    done = run(*words)
    assert done.code == 3
    assert "lora-chat model pull smollm2-135m" in done.sentence
    assert not home.models.exists()


def test_a_model_that_nobody_knows(run: Run, tiny: Paths) -> None:
    for words in (["ask", "Hello", "-m", "nothing-like-it"], ["-m", "nothing-like-it"]):
        done = run(*words)
        assert done.code == 3
        assert "nothing-like-it" in done.sentence


@pytest.mark.parametrize("words", [["ask", "Hello"], ["--plain"], ["doctor"], ["history", "list"]], ids=str)
def test_a_home_that_cannot_be_one_is_a_sentence(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    monkeypatch.setenv("LORA_CHAT_HOME", str(tmp_path / "file"))
    done = run(*words, stdin="Hello\n")
    assert done.code in (0, 1, 3, 4, 7)
    assert (tmp_path / "file").read_text(encoding="utf-8") == "not a folder"


def test_a_home_that_may_not_be_written_is_a_sentence_that_names_it(
    run: Run, tiny: Paths, says: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    def read_only(*words: object, **more: object) -> None:  # root, who runs CI, may write anywhere
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(sqlite3, "connect", read_only)
    monkeypatch.setattr(os, "open", read_only)
    done = run("ask", "Hello")
    assert done.code in (1, 7)
    assert str(tiny.config.parent) in done.sentence


def test_a_database_that_cannot_be_used_is_exit_7(run: Run, tiny: Paths) -> None:
    tiny.database.mkdir()
    for words in (["ask", "Hello"], ["history", "list"], ["train", "from-history", "--name", "x", "--yes"]):
        done = run(*words)
        assert done.code == 7
        assert "chats.db" in done.sentence


def test_a_base_that_is_damaged_is_exit_4_or_5_and_named(run: Run, home: Paths, tiny_home: Path) -> None:
    import shutil

    shutil.copytree(tiny_home, home.models)
    record = json.loads((home.models / "tiny-llama" / "base.json").read_text(encoding="utf-8"))
    (home.models / "tiny-llama" / "base.json").write_text(json.dumps(record | {"schema": "?"}), encoding="utf-8")
    done = run("ask", "Hello", "-m", "tiny-llama")
    assert done.code in (4, 5)
    assert "tiny-llama" in done.sentence


# Streams


@posix
@pytest.mark.parametrize("words", [["paths"], ["history", "list", "--json"], ["--help"], ["ask", "Hello"]])
def test_a_reader_that_went_away_is_no_failure(run: Run, tiny: Paths, words: list[str]) -> None:
    assert run("ask", "Hello").code == 0
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as out:
        done = subprocess.run(
            command(*words), env=environment(tiny), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE
        )
    assert (done.returncode, done.stderr) == (0, b"")


@posix
@pytest.mark.parametrize(
    ("words", "closed"),
    [
        *(
            (words, closed)
            for closed in CLOSED
            for words in (["paths"], ["--plain"], ["model", "remove", "tiny-llama"])
        ),
        (["ask", "Hello"], "<&- >&- 2>&-"),
    ],
    ids=str,
)
def test_a_closed_stream_is_no_defect(tiny: Paths, closed: str, words: list[str]) -> None:
    script = f'exec "$@" {closed}'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *command(*words)],
        env=environment(tiny),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == (2 if words[0] == "model" else 0)
    assert "Traceback" not in done.stderr
    assert "defect" not in done.stderr
    assert not tiny.logs.joinpath("defects.log").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full is Linux's")
def test_output_onto_a_full_disk_is_refused_in_one_sentence(tiny: Paths) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("paths"),
            env=environment(tiny),
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    assert "make room" in done.stderr
    assert not tiny.logs.joinpath("defects.log").exists()


@pytest.mark.parametrize(
    "locale", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}]
)
def test_a_terminal_without_utf8_shows_what_it_can(run: Run, tiny: Paths, locale: dict[str, str]) -> None:
    reply = run("ask", "Where is the café? 你好", "--json").json
    run("history", "edit", str(reply["message"]), "在这里 ✓")
    shown = subprocess.run(
        command("history", "show", reply["conversation"]), env=environment(tiny, **locale), capture_output=True
    )
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert b"caf" in shown.stdout
    told = subprocess.run(
        command("history", "show", reply["conversation"], "--json"),
        env=environment(tiny, **locale),
        capture_output=True,
    )
    assert json.loads(told.stdout.decode())["messages"][-1]["content"] == "在这里 ✓"
    chat = subprocess.run(
        command("--plain"), env=environment(tiny, **locale), input="/help\n/open\n/adapter use ✓\n".encode(),
        capture_output=True,
    )  # fmt: skip
    assert chat.returncode == 3
    assert b"Traceback" not in chat.stderr


def test_json_that_could_harm_a_terminal_is_escaped_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    from lora_chat.cli.console import answer_json

    value = {"text": "a\x1b[2Jb\x9bc\u202ed\U000e0041e", "wide": "你好"}
    answer_json(value)
    out = capsys.readouterr().out
    assert out.isascii()
    assert out.isprintable() or out.removesuffix("\n").isprintable()
    assert json.loads(out) == value
    answer_json({"wide": "你好"})
    assert "你好" in capsys.readouterr().out


# Signals


@posix
def test_ctrl_c_stops_an_answer_keeps_what_there_is_and_exits_130(tiny: Paths, run: Run, kept_long: list[str]) -> None:
    process = subprocess.Popen(
        command(*kept_long), env=environment(tiny), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.read(5)
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "lora-chat: Stopped; what was written so far is kept.\n"
    reply = run("history", "show", run("history", "list", "--json").json["conversations"][0]["id"], "--json").json
    assert reply["messages"][-1]["status"] == "stopped"
    assert len(reply["messages"][-1]["content"]) > 4
    assert rest.endswith("\n")


@posix
def test_sigterm_keeps_the_partial_answer_and_ends_the_program(tiny: Paths, run: Run, kept_long: list[str]) -> None:
    process = subprocess.Popen(
        command(*kept_long), env=environment(tiny), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.read(5)
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM
    assert "Traceback" not in err
    reply = run("history", "show", run("history", "list", "--json").json["conversations"][0]["id"], "--json").json
    assert reply["messages"][-1]["status"] == "stopped"


@pytest.fixture
def kept_long() -> list[str]:
    """An answer of a few hundred tokens, as long as the tiny Llama's context lets it be."""
    return ["ask", "Hello", "-t", "1.5", "--seed", "3", "--max-tokens", "480", "--stop", "@@never@@"]


@posix
@pytest.mark.parametrize("after", [0.05, 0.2, 0.5, 1.0, 2.0])
def test_ctrl_c_at_any_moment_is_130_and_never_a_traceback(tiny: Paths, after: float) -> None:
    process = subprocess.Popen(
        command("ask", "Hello", "-t", "1.5", "--max-tokens", "480"),
        env=environment(tiny), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    if "Traceback" in err and "lora_chat" not in err:
        return  # it came before the program's first line: that is Python's own end, however late on a busy machine
    assert process.returncode in (0, 130, -signal.SIGINT)
    if process.returncode == 130:
        assert err.startswith("lora-chat: ")
    if after >= 0.2:  # the interpreter itself is up
        assert "Traceback" not in err


def test_typers_own_130_is_said(run: Run, tiny: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    from lora_chat.cli import doctor

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "_checks", interrupt)
    done = run("doctor")
    assert (done.code, done.err) == (130, "lora-chat: Interrupted.\n")


# Defects


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    from lora_chat.cli import doctor

    def fail() -> None:
        raise ZeroDivisionError("by \x1b[31mnothing")

    monkeypatch.setattr(doctor, "_checks", fail)


def test_a_defect_is_one_sentence_and_its_traceback_is_kept_for_the_report(
    broken: None, tiny: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lora_chat.cli import main

    monkeypatch.setattr(sys, "argv", ["lora-chat", "doctor"])
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(SystemExit) as left:
        main()
    err = capsys.readouterr().err
    assert left.value.code == 1
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert "\x1b" not in err
    log = tiny.logs / "defects.log"
    assert str(log) in err
    assert "ZeroDivisionError" in log.read_text(encoding="utf-8")
    if os.name == "posix":
        assert log.stat().st_mode & 0o777 == 0o600


def test_who_debugs_sees_the_traceback(broken: None, tiny: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    from lora_chat.cli import main

    monkeypatch.setenv("LORA_CHAT_DEBUG", "1")
    monkeypatch.setattr(sys, "argv", ["lora-chat", "doctor"])
    with pytest.raises(ZeroDivisionError):
        main()


def test_a_refusal_stays_one_sentence_for_who_debugs(tiny: Paths) -> None:
    done = spawn(tiny, "ask", "Hello", "-a", "nobody", LORA_CHAT_DEBUG="1")
    assert done.code == 3
    assert done.err.count("\n") == 1
