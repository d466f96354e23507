"""``lora-chat adapter``: the JSON shapes of the interface, and the exit code of each refusal."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import lora_chat.models.sources  # noqa: F401  (it keeps find_base by name: not the one that is put in its place here)
from lora_chat.adapters.install import prepared
from lora_chat.adapters.manifest import Manifest
from lora_chat.adapters.versions import keep_beside
from lora_chat.adapters.weights import read_adapter
from lora_chat.cli import adapter as commands
from lora_chat.cli.adapter import checking, history, installing, looking, mixing, removing
from lora_chat.cli.adapter import places as where
from lora_chat.engine.protocol import Probe
from lora_chat.errors import LoraChatError, NotFoundError, RefusedError, UsageError
from lora_chat.paths import Paths
from lora_chat.training.proof.line import Line, Proved
from tests.adapters.archives import GOOD, a_zip
from tests.adapters.conftest import SIGNATURE, config, paths_under, tensors, write_adapter


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A home of its own, with a base on the machine and an engine that measured 1.5."""
    home = paths_under(tmp_path / "home")
    base = SimpleNamespace(name="tiny", signature=SIGNATURE)
    for module in (checking, history, installing, looking, mixing, removing, where):
        monkeypatch.setattr(module, "places", lambda: (home, "tiny"))
    monkeypatch.setattr("lora_chat.models.installed.find_base", lambda models, name, **_: base)
    monkeypatch.setattr(checking, "measured_effect", lambda base, worn: Probe(1.5, True, 4, 14))
    return home


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "bot", toml='license = "MIT"\n[chat]\ntemperature = 0.5\n')


def run(*words: object) -> str:
    result = CliRunner().invoke(commands.app, [str(word) for word in words], catch_exceptions=False)
    return result.stdout


def refused(*words: object) -> tuple[LoraChatError, str]:
    result = CliRunner().invoke(commands.app, [str(word) for word in words])
    assert isinstance(result.exception, LoraChatError), result.exception
    return result.exception, result.stdout


def test_install_list_info_and_remove(source: Path, paths: Paths) -> None:
    assert "installed in" in run("install", source, "--yes")
    assert "already installed" in run("install", source, "--yes")
    (paths.adapters / "broken").mkdir()
    found = json.loads(run("list", "--json"))
    (row,) = found["adapters"]
    assert set(row) == {
        "name", "version", "description", "base_model", "rank", "parameters", "bytes", "sha256", "origin", "path"
    }  # fmt: skip
    assert (row["name"], row["rank"], row["origin"]) == ("bot", 4, "user")
    assert row["path"] == str(paths.adapters / "bot")
    assert [set(problem) for problem in found["problems"]] == [{"path", "reason"}]
    assert json.loads(run("info", "bot", "--json"))["license"] == "MIT"
    assert "temperature: 0.5" in run("info", "bot")
    assert "bot" in run("list")
    assert "is removed" in run("remove", "bot", "--yes")
    assert json.loads(run("list", "--json"))["adapters"] == []
    assert "bot is back in" in run("restore")
    assert [each["name"] for each in json.loads(run("list", "--json"))["adapters"]] == ["bot"]


def test_what_is_known_of_its_training_is_told_figure_by_figure(paths: Paths) -> None:
    said = "[training]\nsource = 'x'\nseconds = 351.78089678799915\n[training.recipe]\nlearning_rate = 0.002\n"
    write_adapter(paths.adapters / "taught", toml=said)
    lines = run("info", "taught").splitlines()
    for line in (
        "private: no",
        "training, source: x",
        "training, seconds: 351.8",
        "training, recipe, learning rate: 0.002",
    ):
        assert line in lines


def test_a_mixture_is_saved_with_its_parts_and_is_as_private_as_they_are(
    source: Path, tmp_path: Path, paths: Paths
) -> None:
    mine = write_adapter(tmp_path / "mine", None, tensors(seed=1), 'private = true\nlicense = "CC0-1.0"\n')
    for folder in (source, mine):
        run("install", folder, "--yes")
    shown = CliRunner().invoke(commands.app, ["mix", "bot=0.25", "mine=0.75", "--name", "both", "--yes"])
    assert "both is saved in" in shown.stdout
    for part in ("0.25 of bot, 0.75 of mine", "8 on q_proj, v_proj (4 modules)", "MIT AND CC0-1.0", "private"):
        assert part in shown.stderr
    facts = json.loads(run("info", "both", "--json"))
    assert (facts["rank"], facts["private"], facts["temperature"]) == (8, True, None)
    assert [(part["name"], part["share"]) for part in facts["training"]["parts"]] == [("bot", 0.25), ("mine", 0.75)]
    assert "is already there" in run("mix", "bot=0.25", "mine=0.75", "--name", "both", "--yes")
    assert "both-2 is saved in" in run("mix", "bot=0.5", "mine=0.5", "--name", "both", "--yes")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["bot=0.5", "--name", "both"], 4),
        (["bot=0.5", "nobody=0.5", "--name", "both"], 3),
        (["bot=0.5", "mine=much", "--name", "both"], 4),
        (["bot=0.5", "mine=0.5", "--name", "../both"], 4),
    ],
)
def test_what_cannot_be_mixed_is_refused_and_nothing_is_saved(
    words: list[str], code: int, source: Path, tmp_path: Path, paths: Paths
) -> None:
    for folder in (source, write_adapter(tmp_path / "mine", None, tensors(seed=1))):
        run("install", folder, "--yes")
    error, _ = refused("mix", *words, "--yes")
    assert error.exit_code == code
    assert sorted(folder.name for folder in paths.adapters.iterdir()) == ["bot", "mine"]


def test_the_preview_shows_what_would_be_installed(source: Path, paths: Paths) -> None:
    (source / "tokenizer.json").write_text("{}")
    shown = CliRunner().invoke(commands.app, ["install", str(source), "--yes"]).stderr
    facts = ("tiny/Llama-Random", "fits tiny, 4 of 14 modules", "q_proj, v_proj", "sha256", "MIT", "up to 1.5")
    for part in (*facts, "tokenizer.json"):
        assert part in shown


def test_without_a_terminal_and_yes_nothing_is_installed(source: Path, paths: Paths) -> None:
    error, _ = refused("install", source)
    assert isinstance(error, UsageError)
    assert not paths.adapters.exists()


def test_another_lineage_needs_a_word_and_yes_is_one(tmp_path: Path, paths: Paths) -> None:
    other = write_adapter(tmp_path / "other", config(base_model_name_or_path="other/Model"))
    error, _ = refused("install", other)
    assert isinstance(error, UsageError)
    assert "It was made for other/Model; its shapes fit tiny/Llama-Random" in str(error)
    assert not paths.adapters.exists()
    assert "installed in" in run("install", other, "--yes")


def test_the_same_bytes_again_need_no_yes(source: Path, paths: Paths) -> None:
    run("install", source, "--yes")
    assert "already installed" in run("install", source)


def test_verify_reports_as_the_interface_says(source: Path, paths: Paths) -> None:
    report = json.loads(run("verify", source, "--json"))
    assert {"ok", "reason", "warnings", "name", "modules_matched", "modules_total", "effect"} <= set(report)
    assert (report["ok"], report["reason"], report["effect"]) == (True, "", 1.5)
    assert (report["name"], report["modules_matched"], report["modules_total"]) == ("bot", 4, 14)
    assert "4 of 14 modules" in run("verify", source)


def test_an_archive_is_verified_as_its_folder_is_and_nothing_of_it_stays(source: Path, paths: Paths) -> None:
    archive = source.parent / "Bot (1).zip"
    archive.write_bytes(a_zip(GOOD))
    report = json.loads(run("verify", archive, "--json"))
    assert (report["ok"], report["name"], report["modules_matched"]) == (True, "bot-1", 4)
    assert list(paths.adapters.iterdir()) == []


def test_verify_refuses_what_does_not_fit_with_exit_4(tmp_path: Path, paths: Paths) -> None:
    write_adapter(paths.adapters / "half", config(target_modules=["q_proj", "v_proj", "o_proj"]), tensors())
    error, out = refused("verify", "half", "--json")
    assert isinstance(error, RefusedError)
    report = json.loads(out)
    assert (report["ok"], report["effect"]) == (False, None)
    assert report["reason"] == str(error)


def test_a_static_failure_comes_before_a_missing_base(
    tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_base(models: Path, name: str, **_: object) -> Any:
        raise NotFoundError(f"The base model {name} is not on this machine.")

    monkeypatch.setattr("lora_chat.models.installed.find_base", no_base)
    bad = write_adapter(tmp_path / "bad", config(r=0))
    assert refused("verify", bad)[0].exit_code == 4
    good = write_adapter(tmp_path / "good")
    error, _ = refused("verify", good)
    assert error.exit_code == 3
    assert "tiny" in str(error)
    assert "installed in" in run("install", good, "--yes")


def test_what_is_not_finite_on_the_probe_is_refused(
    source: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "measured_effect", lambda base, worn: Probe(float("nan"), False, 4, 14))
    assert refused("verify", source, "--json")[0].exit_code == 4


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["info", "nobody"], 3), (["remove", "nobody", "--yes"], 3), (["verify", "nobody"], 3),
        (["verify", "./nobody"], 3), (["verify", "~nobody/x"], 3), (["verify", "a" * 5000], 3),
        (["install", "./nobody", "--yes"], 3), (["remove", "../home", "--yes"], 3),
    ],
)  # fmt: skip
def test_what_is_not_there_is_exit_3(words: list[str], code: int, paths: Paths) -> None:
    assert refused(*words)[0].exit_code == code


@pytest.fixture
def three(source: Path, tmp_path: Path, paths: Paths) -> Paths:
    """bot 1.0.0 is worn; 1.1.0, of which two of three checks hold, and 1.2.0 are kept."""
    run("install", source, "--yes")
    for seed, number in ((1, "1.1.0"), (2, "1.2.0")):
        made = write_adapter(tmp_path / number, None, tensors(seed=seed))
        taught = Manifest(training={"conversations": 1, "steps": 1200})
        keep_beside(prepared(read_adapter(made), taught, "made"), "bot", number, paths)
    Line.of("bot", paths).note("1.1.0", {"a": Proved(True), "b": Proved(True), "c": Proved(False, (("q", "w"),))})
    return paths


def test_history_shows_each_version_and_which_is_worn(three: Paths) -> None:
    head, *rows = run("history", "bot").splitlines()
    assert head.split() == ["NUMBER", "WORN", "TRAINED", "CHECKS", "SIZE", "SHA256"]
    assert [row.split()[0] for row in rows] == ["1.0.0", "1.1.0", "1.2.0"]
    assert ["*" in row for row in rows] == [True, False, False]
    assert "1 conversation, 1,200 steps" in rows[1]
    assert ["2 of 3 hold" in row for row in rows] == [False, True, False]
    told = json.loads(run("history", "bot", "--json"))
    assert told["name"] == "bot"
    assert [(row["version"], row["current"], row["checks"], row["training"]) for row in told["versions"]] == [
        ("1.0.0", True, None, {}),
        ("1.1.0", False, {"hold": 2, "of": 3}, {"conversations": 1, "steps": 1200}),
        ("1.2.0", False, None, {"conversations": 1, "steps": 1200}),
    ]
    assert {*told["versions"][0]} == {"version", "current", "path", "sha256", "bytes", "rank", "checks", "training"}
    assert [row["sha256"][:12] in line for row, line in zip(told["versions"], rows, strict=True)] == [True] * 3
    assert (told["versions"][1]["rank"], told["versions"][0]["path"]) == (4, str(three.adapters / "bot"))


def test_rollback_says_what_is_worn_and_how_to_go_forward_again(three: Paths) -> None:
    def rollback(*words: str) -> tuple[str, str]:
        done = CliRunner().invoke(commands.app, ["rollback", "bot", *words, "--yes"], catch_exceptions=False)
        return done.stdout.strip(), done.stderr.strip()

    kept = "1.0.0 is kept: `lora-chat adapter rollback bot --to 1.0.0` wears it again."
    assert rollback("--to", "1.2.0") == ("bot 1.2.0 is worn now.", kept)
    assert rollback("--to", "1.2.0") == ("bot 1.2.0 is worn already.", "")
    assert rollback()[0] == "bot 1.1.0 is worn now."
    assert rollback()[0] == "bot 1.0.0 is worn now."
    error, _ = refused("rollback", "bot", "--yes")
    assert "has no version before it; 1.1.0, 1.2.0 came later" in str(error)
    assert json.loads(run("list", "--json"))["adapters"][0]["version"] == "1.0.0"


def test_rollback_asks_first_and_no_changes_nothing(three: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    error, _ = refused("rollback", "bot", "--to", "1.1.0")
    assert isinstance(error, UsageError)
    assert "Wear bot 1.1.0 in place of 1.0.0?" in str(error)
    monkeypatch.setattr("lora_chat.cli.console.confirm", lambda question, yes, loses=False: False)
    assert "Nothing was changed." in CliRunner().invoke(commands.app, ["rollback", "bot", "--to", "1.1.0"]).stderr
    assert [row["current"] for row in json.loads(run("history", "bot", "--json"))["versions"]] == [True, False, False]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["history", "nobody"], 3), (["rollback", "nobody", "--yes"], 3), (["history", "../home"], 4),
        (["rollback", "bot", "--to", "3.0.0"], 3), (["rollback", "bot", "--to", "../bot", "--yes"], 3),
        (["rollback", "bot", "--yes"], 4),
    ],
)  # fmt: skip
def test_what_is_no_version_is_refused(words: list[str], code: int, three: Paths) -> None:
    assert refused(*words)[0].exit_code == code


def test_importing_the_commands_loads_nothing_heavy() -> None:
    import subprocess
    import sys

    script = (
        "import sys, lora_chat.cli.adapter, lora_chat.adapters.install, lora_chat.adapters.verify;"
        "heavy = {'torch', 'transformers', 'peft', 'numpy', 'textual', 'pydantic'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
