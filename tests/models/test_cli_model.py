"""``lora-chat model`` as a person types it, and the one question before a first pull."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lora_chat import memory
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


@pytest.fixture
def memory_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Say what memory this machine has, in GB: free and in all."""

    def has(free: float, total: float) -> None:
        monkeypatch.setattr(memory, "free", lambda: int(free * 1e9))
        monkeypatch.setattr(memory, "total", lambda: int(total * 1e9))

    return has


def test_list_as_json_has_the_promised_shape(here: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    run("list", "--json")
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    models = {each["name"]: each for each in json.loads(out)["models"]}
    tiny, embedded = models["tiny"], models["smollm2-135m"]
    promised = {"name", "source", "path", "bytes", "installed", "default"}
    assert tiny.keys() == embedded.keys() > promised
    assert (tiny["installed"], tiny["default"], tiny["source"]) == (True, False, "gguf")
    assert (embedded["installed"], embedded["default"], embedded["path"]) == (False, True, None)
    from transformers import AutoModelForCausalLM

    assert AutoModelForCausalLM.from_pretrained(tiny["path"]).config.vocab_size > 0


def test_list_shows_a_table_and_names_what_is_broken(here: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    (here.models / "broken").mkdir()
    run("list")
    shown = capsys.readouterr()
    assert [line.split()[0] for line in shown.out.splitlines()[:2]] == ["NAME", "tiny"]
    assert "broken has no base.json" in shown.err
    run("list", "--json")
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["path"] == str(here.models / "broken")


def test_info_of_a_model_here_and_of_one_in_the_catalog(here: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    run("info", "tiny")
    assert "LlamaForCausalLM" in capsys.readouterr().out
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


# What does not fit is said before the download


def test_a_base_that_can_never_be_held_is_refused_with_the_figures_and_how_to_insist(
    paths: Paths, memory_of: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    memory_of(3.0, 4.0)
    asked: list[str] = []

    def pull(entry: CatalogEntry, *_: object) -> Any:
        asked.append(entry.name)
        return SimpleNamespace(name=entry.name, folder=paths.models / entry.name, bytes=1)

    monkeypatch.setattr(sources, "pull", pull)
    for words in (("pull", "qwen3-8b", "--yes"), ("pull", "qwen3-8b", "--json"), ("pull", "qwen3-8b")):
        with pytest.raises(
            RefusedError, match=r"needs about 5\.6 GB .* has 4\.0 GB, swap included.*--anyway"
        ) as refused:
            run(*words)
        assert refused.value.exit_code == 4
    with pytest.raises(RefusedError, match="--anyway"):
        model.ensure_base(paths, "qwen3-8b", yes=True)
    assert not asked
    run("pull", "qwen3-8b", "--yes", "--anyway")
    assert asked == ["qwen3-8b"]


def test_what_cannot_be_trained_or_fits_only_just_is_part_of_the_question(
    paths: Paths, memory_of: Any, at_a_terminal: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    memory_of(0.5, 1.5)
    at_a_terminal("n\n")
    run("pull", "qwen3-0.6b")
    asked = capsys.readouterr().err
    assert (
        "To chat it needs about 1.0 GB of memory: fits once other programs are closed, 500 MB can be had now." in asked
    )
    assert "To train on it needs about 1.6 GB of memory: does not fit, this machine has 1.5 GB, swap included." in asked


def test_who_agreed_beforehand_is_warned_all_the_same(
    paths: Paths, memory_of: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    memory_of(0.5, 2.0)

    def pull(entry: CatalogEntry, *_: object) -> Any:
        return SimpleNamespace(name=entry.name, folder=paths.models / entry.name, bytes=1)

    monkeypatch.setattr(sources, "pull", pull)
    run("pull", "qwen3-0.6b", "--yes")
    assert "To train on it needs about 1.6 GB" in capsys.readouterr().err
    run("pull", "qwen3-0.6b", "--json")
    *warned, last = events(capsys.readouterr().out)
    assert [each["event"] for each in warned] == ["warning", "warning"]
    assert "To train on it needs about 1.6 GB" in warned[1]["text"]
    assert last["event"] == "pulled"


def test_a_gated_base_says_what_to_accept_where_before_the_download(
    paths: Paths, memory_of: Any, at_a_terminal: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    memory_of(64, 64)
    at_a_terminal("n\n")
    run("pull", "llama-3.2-1b")
    asked = capsys.readouterr().err
    assert "It is gated: accept its licence at " in asked
    assert "/meta-llama/Llama-3.2-1B-Instruct, then give a token of that account in HF_TOKEN" in asked
    assert "memory" not in asked


def test_a_base_with_pickles_alone_is_refused_with_what_to_do(paths: Paths) -> None:
    with pytest.raises(RefusedError, match=r"pickles are never loaded: save it once as safetensors.*--anyway"):
        run("pull", "opt-125m", "--yes")


def test_an_own_base_is_listed_told_and_pulled_by_its_name(
    paths: Paths, tiny_gguf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths.config.parent.mkdir(parents=True)
    paths.config.write_text(
        f'[bases.mine]\nsource = "{tiny_gguf}"\nlanguages = ["Basque"]\n[bases.wrong]\nsource = 1\n', encoding="utf-8"
    )
    run("list", "--json")
    told = json.loads(capsys.readouterr().out)
    (mine,) = [each for each in told["models"] if each["own"]]
    assert (mine["name"], mine["languages"], mine["installed"], mine["source"]) == ("mine", ["Basque"], False, "gguf")
    (problem,) = told["problems"]
    assert problem["path"] == str(paths.config)
    assert '"wrong"' in problem["reason"]
    run("info", "mine")
    shown = " ".join(capsys.readouterr().out.split())
    assert "an entry of your config.toml, a .gguf file of this machine: `lora-chat model pull mine`" in shown
    run("list")
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("mine ")]
    assert line.split() == ["mine", "local", "?", "?", "?", "?", "Basque"]
    run("pull", "mine", "--yes")
    assert find_base(paths.models, "mine").source == "gguf"
    capsys.readouterr()
    run("list", "--json")
    models = json.loads(capsys.readouterr().out)["models"]
    assert [each["installed"] for each in models if each["name"] == "mine"] == [True]
    with pytest.raises(RefusedError, match=r'"source".*must be a text in quotes'):
        run("pull", "wrong", "--yes")


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_and_a_page_keep_to_the_terminal(
    here: Paths, memory_of: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    memory_of(8, 16)
    monkeypatch.setenv("COLUMNS", str(columns))
    run("list")
    run("info", "gemma-3-4b")
    run("info", "opt-125m")
    run("info", "tiny")
    lines = [line for line in capsys.readouterr().out.splitlines() if str(here.models) not in line]
    assert max(map(len, lines)) <= columns, max(lines, key=len)
    assert ("LICENCE" in lines[0]) is (columns == 120)
    (gemma,) = [line for line in lines if line.startswith("gemma-3-4b ") and "8.6 GB" in line]
    assert "!! 17.9 GB  !! 18.8 GB" in gemma
    rows, end = lines[1 : lines.index("")], lines[0].index("TRAIN") + len("TRAIN")
    assert all(line[:end].endswith("B") for line in rows), "memory stands below memory"


def test_without_a_measurement_no_figure_is_made_up(
    here: Paths, memory_of: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    memory_of(8, 16)
    run("list", "--json")
    told = json.loads(capsys.readouterr().out)
    assert {each["tokens_per_second"] for each in told["models"]} == {None}
    assert {each["train_100_seconds"] for each in told["models"]} == {None}
    assert "no answer was timed" in told["recommended"]["why"]
    run("list")
    shown = capsys.readouterr().out
    assert "No speed was measured on this machine yet" in shown
    assert "~" not in shown
    run("info", "qwen3-0.6b")
    shown = capsys.readouterr().out
    assert "speed         not measured: chat with any base" in shown
    assert "tokens/s" not in shown


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
