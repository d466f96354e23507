"""``lora-chat model`` as a person types it, and the one question before a first pull."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lora_chat.cli import console, model
from lora_chat.config import load_config
from lora_chat.errors import LoraChatError, NotFoundError, RefusedError, UsageError
from lora_chat.models import sources
from lora_chat.models.catalog import EMBEDDED, CatalogEntry, resolve
from lora_chat.models.installed import find_base
from lora_chat.paths import Paths
from tests.models.conftest import quiet


def run(*words: str) -> None:
    model.app(list(words), standalone_mode=False)


@pytest.fixture
def here(paths: Paths, tiny_gguf: Path) -> Paths:
    """A home with the base model "tiny"."""
    sources.pull(resolve(str(tiny_gguf)), paths, quiet)
    return paths


@pytest.fixture
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Say what the person answers."""

    def answers(line: str) -> None:
        monkeypatch.setattr(console, "is_interactive", lambda: True)
        monkeypatch.setattr(sys, "stdin", io.StringIO(line))

    return answers


@pytest.fixture
def embedded_is_tiny(tiny_wheel: CatalogEntry, monkeypatch: pytest.MonkeyPatch) -> CatalogEntry:
    """The catalog's default, its wheel replaced by the tiny one."""
    from dataclasses import replace

    from lora_chat.models import catalog

    entry = replace(tiny_wheel, name=EMBEDDED.name, lineage=EMBEDDED.lineage, description=EMBEDDED.description)
    monkeypatch.setattr(catalog, "CATALOG", (entry,))
    return entry


def test_list_as_json_has_the_promised_shape(here: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    run("list", "--json")
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    models = {each["name"]: each for each in json.loads(out)["models"]}
    tiny, embedded = models["tiny"], models["smollm2-135m"]
    assert tiny.keys() == embedded.keys() == {"name", "source", "path", "bytes", "installed", "default"}
    assert (tiny["installed"], tiny["default"], tiny["source"]) == (True, False, "gguf")
    assert (embedded["installed"], embedded["default"], embedded["path"]) == (False, True, None)
    from transformers import AutoModelForCausalLM

    assert AutoModelForCausalLM.from_pretrained(tiny["path"]).config.vocab_size > 0


def test_list_shows_a_table_and_names_what_is_broken(here: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    (here.models / "broken").mkdir()
    run("list")
    shown = capsys.readouterr()
    assert [line.split()[0] for line in shown.out.splitlines()][:2] == ["NAME", "tiny"]
    assert "broken has no base.json" in shown.err
    run("list", "--json")
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["path"] == str(here.models / "broken")


def test_info_of_a_model_here_and_of_one_in_the_catalog(here: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    run("info", "tiny")
    assert "architecture: LlamaForCausalLM" in capsys.readouterr().out
    run("info", "smollm2-135m", "--json")
    facts = json.loads(capsys.readouterr().out)
    assert (facts["installed"], facts["licence"]) == (False, "Apache-2.0")
    with pytest.raises(NotFoundError, match="model list"):
        run("info", "nothing-like-it")


def test_use_writes_the_setting(here: Paths) -> None:
    run("use", "tiny")
    assert load_config(here.config).model == "tiny"
    with pytest.raises(NotFoundError, match="model pull smollm2-135m"):
        run("use", "smollm2-135m")
    assert load_config(here.config).model == "tiny"


def test_pull_asks_once_and_says_what_how_big_and_the_licence(
    paths: Paths, embedded_is_tiny: CatalogEntry, at_a_terminal: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    at_a_terminal("n\n")
    run("pull", "smollm2-135m")
    asked = capsys.readouterr()
    for part in ("smollm2-135m", "to download", "licence", "small model for trying the loop", "Nothing was pulled"):
        assert part in asked.err
    assert asked.err.count("[Y/n]") == 1
    assert asked.out == ""
    assert not paths.models.exists()


def test_pull_with_yes_pulls_and_a_second_time_only_says_so(
    paths: Paths, embedded_is_tiny: CatalogEntry, capsys: pytest.CaptureFixture[str]
) -> None:
    run("pull", "smollm2-135m", "--yes")
    first = capsys.readouterr()
    assert first.out.startswith("smollm2-135m is on this machine: ")
    assert "Converting the weights …" in first.err
    run("pull", "smollm2-135m")
    again = capsys.readouterr()
    assert (again.out, again.err) == (first.out, "")


def test_pull_on_a_pipe_without_yes_is_a_usage_error(paths: Paths, embedded_is_tiny: CatalogEntry) -> None:
    with pytest.raises(UsageError, match="--yes"):
        run("pull", "smollm2-135m")


def events(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_pull_as_json_asks_nothing_and_tells_its_progress_and_its_end(
    paths: Paths, embedded_is_tiny: CatalogEntry, capsys: pytest.CaptureFixture[str]
) -> None:
    run("pull", "smollm2-135m", "--json")
    told = capsys.readouterr()
    *progress, last = events(told.out)
    base = find_base(paths.models, "smollm2-135m")
    assert last == {"event": "pulled", "name": base.name, "path": str(base.folder), "bytes": base.bytes}
    assert {tuple(each) for each in progress} == {("event", "what", "done", "total")}
    assert {each["event"] for each in progress} == {"progress"}
    ends = {each["what"]: each for each in progress}
    assert {"Downloading smollm2-135m", "Unpacking", "Converting the weights", "Checking"} <= ends.keys()
    assert ends["Unpacking"]["done"] == ends["Unpacking"]["total"] > 0
    assert ends["Saving"]["done"] == 1
    assert told.err == ""


def test_pull_as_json_of_what_is_here_only_says_where(
    here: Paths, tiny_gguf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("pull", str(tiny_gguf), "--json")
    [told] = events(capsys.readouterr().out)
    assert (told["event"], told["name"], told["path"]) == ("pulled", "tiny", str(here.models / "tiny"))


def test_a_refused_pull_is_told_as_json_and_by_its_exit_code(
    paths: Paths, tiny_gguf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, reason in (
        (("no-such-model",), "no-such-model"),
        ((str(tiny_gguf), "--name", "../mine"), "cannot be a base model's name"),
    ):
        with pytest.raises(LoraChatError) as refused:
            run("pull", *words, "--json")
        [told] = events(capsys.readouterr().out)
        assert told == {"event": "failed", "reason": str(refused.value)}
        assert reason in told["reason"]


def test_a_pull_that_fails_half_way_tells_how_far_it_came_and_why(
    paths: Paths, embedded_is_tiny: CatalogEntry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(entry: CatalogEntry, paths: Paths, progress: console.Progress) -> None:
        for done in range(50):
            progress("Downloading", done, 100)
        raise RefusedError("The network is gone: pull it again.")

    monkeypatch.setattr(sources, "pull", fail)
    with pytest.raises(RefusedError):
        run("pull", "smollm2-135m", "--json")
    first, *_, last, failed = events(capsys.readouterr().out)
    assert (first["done"], last["done"], failed["reason"]) == (0, 49, "The network is gone: pull it again.")


def test_progress_as_json_is_throttled_but_for_the_first_and_the_last_of_each_thing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(model.time, "monotonic", lambda: now)  # type: ignore[attr-defined]
    with model._json_progress() as progress:
        for what in ("one", "two"):
            for done in range(1001):
                progress(what, done, 1000)
                now += 0.001
        progress("three", 0, 0)
    told = events(capsys.readouterr().out)
    assert [each["what"] for each in told] == sorted((each["what"] for each in told), key=["one", "two", "three"].index)
    for what in ("one", "two"):
        steps = [each["done"] for each in told if each["what"] == what]
        assert (steps[0], steps[-1], steps) == (0, 1000, sorted(set(steps)))
        assert 10 <= len(steps) <= 12
    assert told[-1] == {"event": "progress", "what": "three", "done": 0, "total": 0}


def test_pull_under_another_name_and_remove(
    paths: Paths, tiny_gguf: Path, at_a_terminal: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run("pull", str(tiny_gguf), "--name", "mine", "--yes")
    assert find_base(paths.models, "mine").source == "gguf"
    with pytest.raises(RefusedError, match="cannot be a base model's name"):
        run("pull", str(tiny_gguf), "--name", "../mine", "--yes")
    with pytest.raises(UsageError):
        run("remove", "mine")
    at_a_terminal("no\n")
    run("remove", "mine")
    assert find_base(paths.models, "mine")
    run("remove", "mine", "--yes")
    assert "mine is removed" in capsys.readouterr().out
    with pytest.raises(NotFoundError):
        run("remove", "mine", "--yes")


def test_a_broken_model_can_be_removed_by_its_name(here: Paths) -> None:
    (here.models / "tiny" / "base.json").write_text("{", encoding="utf-8")
    run("remove", "tiny", "--yes")
    assert not (here.models / "tiny").exists()


# Before ask, train and chat


def test_a_base_that_is_here_is_returned_without_a_word(here: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    assert model.ensure_base(here, "tiny", yes=False).name == "tiny"
    assert capsys.readouterr() == ("", "")


def test_a_pipe_without_a_model_names_the_command(paths: Paths) -> None:
    with pytest.raises(NotFoundError, match="lora-chat model pull smollm2-135m") as refused:
        model.ensure_base(paths, "smollm2-135m", yes=False)
    assert refused.value.exit_code == 3
    assert not paths.models.exists()


def test_a_person_who_declines_gets_the_same_sentence(
    paths: Paths, at_a_terminal: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    at_a_terminal("n\n")
    with pytest.raises(NotFoundError, match="lora-chat model pull smollm2-135m"):
        model.ensure_base(paths, "smollm2-135m", yes=False)
    asked = capsys.readouterr().err
    assert "93 MB to download" in asked
    assert "small model for trying the loop" in asked


@pytest.mark.parametrize("yes", [True, False])
def test_a_person_who_agrees_gets_the_model(
    paths: Paths, embedded_is_tiny: CatalogEntry, at_a_terminal: Any, capsys: pytest.CaptureFixture[str], yes: bool
) -> None:
    if not yes:
        at_a_terminal("\n")
    assert model.ensure_base(paths, "smollm2-135m", yes=yes) == find_base(paths.models, "smollm2-135m")
    assert ("[Y/n]" in capsys.readouterr().err) is not yes


def test_a_damaged_base_is_never_pulled_over(here: Paths) -> None:
    (here.models / "tiny" / "base.json").write_text("{", encoding="utf-8")
    with pytest.raises(RefusedError, match="is damaged"):
        model.ensure_base(here, "tiny", yes=True)


def test_a_path_finds_the_base_it_became(here: Paths, tiny_gguf: Path) -> None:
    assert model.ensure_base(here, str(tiny_gguf), yes=False).name == "tiny"


def test_an_unknown_model_is_not_found_rather_than_asked_for(paths: Paths) -> None:
    with pytest.raises(LoraChatError) as refused:
        model.ensure_base(paths, "no-such-model", yes=True)
    assert refused.value.exit_code == 3


def test_the_commands_and_the_sources_leave_torch_out() -> None:
    script = (
        "import sys, lora_chat.cli.model, lora_chat.models.sources, lora_chat.models.installed;"
        "heavy = ('torch', 'transformers', 'peft', 'datasets', 'huggingface_hub');"
        "print([name for name in heavy if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
