"""The README and docs say what is so: each command parses, each table is the code's, each link leads somewhere."""

from __future__ import annotations

import json
import math
import re
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer.main

from lora_chat import errors
from lora_chat.cli import build_app
from lora_chat.config import Config
from lora_chat.models.prompt import FALLBACK_TEMPLATE

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("adapters/*/README.md"))]


def blocks(text: str) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


def commands() -> list[str]:
    """Every line of a shell block of any document that begins with ``lora-chat``."""
    texts = [block for path in DOCUMENTS for block in blocks(path.read_text(encoding="utf-8"))]
    return [line for text in texts for line in text.split("\n") if line.startswith("lora-chat")]


def parse(words: list[str]) -> None:
    """Let the command line's own parser read ``words``; it raises for an unknown command or option."""
    command: Any = typer.main.get_command(build_app())
    context = command.make_context("lora-chat", [], resilient_parsing=True)
    while words and hasattr(command, "commands"):
        name = words[0]
        assert name in command.commands, f"there is no `{name}` in `{command.name}`"
        command, words = command.commands[name], words[1:]
    command.make_context(command.name, list(words), parent=context)


@pytest.mark.parametrize("line", commands())
def test_each_documented_command_parses(line: str) -> None:
    parse(shlex.split(line, comments=True)[1:])


def test_a_command_that_does_not_exist_would_be_noticed() -> None:
    with pytest.raises(AssertionError):
        parse(["adapter", "polish", "x"])
    with pytest.raises(Exception, match="No such option"):
        parse(["ask", "--louder", "x"])


def test_the_settings_table_is_the_codes() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `([^`]*)` \|", README, re.MULTILINE))
    default = Config()
    expected = {field.name: getattr(default, field.name) for field in fields(Config)}
    expected = {name: list(value) if isinstance(value, tuple) else value for name, value in expected.items()}
    assert rows == {name: f'"{value}"' if isinstance(value, str) else str(value) for name, value in expected.items()}


def test_the_exit_codes_are_the_codes() -> None:
    told = re.search(r"Exit codes: (.*?)\.\n", README, re.DOTALL)
    assert told is not None
    numbers = {int(number) for number in re.findall(r"\b\d+\b", told[1])}
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type)} - {errors.LoraChatError}
    assert numbers == {0} | {kind.exit_code for kind in kinds if issubclass(kind, errors.LoraChatError)}


def test_the_fallback_template_is_documented_as_it_is() -> None:
    documented = re.search(r"```jinja\n(.*?)\n```", (ROOT / "docs" / "bases.md").read_text(encoding="utf-8"), re.DOTALL)
    assert documented is not None
    assert documented[1] == FALLBACK_TEMPLATE.replace("\n", "\\n")


BASES = (ROOT / "docs" / "bases.md").read_text(encoding="utf-8")


def test_the_catalog_is_documented_as_it_is() -> None:
    from lora_chat.models.catalog import CATALOG
    from lora_chat.models.sources.staging import size

    rows = re.findall(r"^\| `(.*)` \| (.*) \|$", BASES.split("## The catalog")[1].split("\n## ")[0], re.MULTILINE)
    assert len(rows) == len(CATALOG)
    for entry in CATALOG:
        known = [entry.lineage, f"{entry.parameters:,}", size(entry.download_bytes), entry.licence]
        known += ["yes" if entry.gated else "no", entry.spoken_languages, f"{entry.context_window:,}"]
        known += ["yes" if entry.thinking else "no", entry.template]
        assert (entry.name, " | ".join(known)) in rows


def test_the_example_of_an_own_base_is_read(tmp_path: Path) -> None:
    from lora_chat.models.own import KEYS, read_own

    example = re.search(r"```toml\n(.*?)```", BASES, re.DOTALL)
    assert example is not None
    (tmp_path / "config.toml").write_text(example[1], encoding="utf-8")
    own = read_own(tmp_path / "config.toml")
    assert own.problems == ()
    (entry,) = own.entries
    assert (entry.name, entry.lineage) == ("basque", "someone/Basque-1B-Instruct")
    assert (entry.parameters, entry.languages) == (1_100_000_000, ("Basque", "Spanish"))
    keys = re.findall(r"^(\w+) = ", example[1], re.MULTILINE)
    assert sorted(keys) == sorted(KEYS), "the example shows every key"


def test_the_page_on_bases_says_when_a_base_is_recommended() -> None:
    from lora_chat.sitting.advice import FLUENT, PATIENT_S
    from lora_chat.training.needs import EXAMPLES, TOKENS

    text = " ".join(BASES.split())
    assert f"answers with {FLUENT:g} tokens a second or more" in text
    assert PATIENT_S == 3600
    assert "in an hour or less" in text
    assert f"a training with {EXAMPLES} examples of {TOKENS} tokens each" in text


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_the_house_in_the_readme_names_real_rooms() -> None:
    tree = README.split("## The house")[1]
    for name in re.findall(r"^ *([\w.]+/|[\w]+\.py) ", tree, re.MULTILINE):
        assert (ROOT / name).exists() or (ROOT / "lora_chat" / name).exists(), name


def test_no_document_has_a_placeholder() -> None:
    for path in DOCUMENTS:
        assert "@@" not in path.read_text(encoding="utf-8"), path.name


def table(text: str, heading: str) -> list[tuple[str, str]]:
    """The rows of the table under ``heading``, code marks and escapes taken off."""
    under = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(.*?)` \| (.*?) \|$", under, re.MULTILINE)
    return [(first.replace("\\|", "|"), second) for first, second in rows]


def test_the_windows_keys_and_commands_are_the_codes() -> None:
    from lora_chat.sitting.commands import COMMANDS
    from lora_chat.tui.keymap import Keymap
    from lora_chat.tui.teaching import keys

    text = (ROOT / "docs" / "window.md").read_text(encoding="utf-8")
    assert table(text, "Keys") == keys(Keymap())
    assert table(text, "Commands") == [(command.usage, command.help) for command in COMMANDS]


def test_the_examples_of_own_keys_are_read_and_those_for_zellij_reach_the_window(tmp_path: Path) -> None:
    from lora_chat.tui.remap import FOLLOWS, read_keymap
    from tests.tui.test_keys import is_taken

    text = (ROOT / "docs" / "window.md").read_text(encoding="utf-8").split("### Your own keys")[1].split("\n## ")[0]
    own, zellij = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    for example in (own, zellij):
        (tmp_path / "config.toml").write_text(example, encoding="utf-8")
        found = read_keymap(tmp_path / "config.toml")
        assert found.problems == ()
        assert len(found.changed.keys() - FOLLOWS.keys()) == example.count(" = ")
    assert all(not is_taken(keys[0]) for keys in found.changed.values())


def test_the_page_on_choosing_names_every_reason_and_every_rule() -> None:
    from lora_chat.training.choosing.reasons import REASONS
    from lora_chat.training.choosing.redact import RULES

    text = (ROOT / "docs" / "choosing.md").read_text(encoding="utf-8")
    assert table(text, "From the history") == list(REASONS.items())
    assert table(text, "Private data") == [(rule.name, f"{rule.placeholder}: {rule.proof}") for rule in RULES]
    assert f"{len(RULES)} rules look at every turn" in text


def test_pictures_load_nothing() -> None:
    for path in (ROOT / "docs").glob("*.svg"):
        foreign = set(re.findall(r"https?://[^\"'\s)]+", path.read_text(encoding="utf-8")))
        assert foreign == {"http://www.w3.org/2000/svg"}, path.name


ELSEWHERE = {"curve", "faq", "grow", "kinds", "ranks", "shelf", "swap", "switch", "teach", "train", "ui"}
"""What other pages show."""
RESULTS = sorted(path for path in (ROOT / "benchmarks" / "results").glob("*.json") if path.stem not in ELSEWHERE)


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_the_figures_on_decoding_are_the_benchmarks(path: Path) -> None:
    text = (ROOT / "docs" / "decoding.md").read_text(encoding="utf-8")
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["machine"] in text
    if path.stem == "quality":
        for precision, row in result["rows"].items():
            assert f"| {precision} | {row['text_loss']:.4f} | {row['heldout_loss']:.4f} |" in text
        return
    for row in result["rows"]:
        name = f"| {row['peer']} {row['precision']} |"
        if path.stem == "first_token":
            cold, turn = row["events"]["cold"]["first_ms"], row["events"]["turn N"]["first_ms"]
            assert f"{name} {row['context']:,} | {cold:,.0f} | {turn:,.0f} |" in text
        else:
            adapter = "on" if row["adapter"] else "off"
            assert f"{name} {adapter} | {row['ms_per_token']:.2f} |" in text


def test_the_figures_on_training_are_the_benchmarks() -> None:
    result = json.loads((ROOT / "benchmarks" / "results" / "train.json").read_text(encoding="utf-8"))
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    assert result["machine"] in text
    for name, row in result["seed"]["rows"].items():
        assert f"| {name} | {row['wall_s']:.1f} s | {row['steps']} | {row['exact']} of {row['of']} |" in text
    for name, row in result["faq"]["rows"].items():
        assert f"| {name} | {row['tokens_per_second']:.1f} | {row['train_s']:.1f} s | {row['wall_s']:.1f} s |" in text


def test_the_figures_on_growth_are_the_benchmarks() -> None:
    result = json.loads((ROOT / "benchmarks" / "results" / "grow.json").read_text(encoding="utf-8"))
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    assert result["machine"] in text
    for row in result["grow"]["rows"]:
        worn, (first, of) = row["worn"], row["worn"]["rounds"][0]
        figures = f"{first} of {of} | {worn['held']} of {worn['of']} | {row['replayed']} | {row['steps']}"
        assert f"| {row['round']} | {figures} | {row['wall_s']:,.0f} s |" in text


def test_the_figures_of_the_window_are_the_benchmarks() -> None:
    result = json.loads((ROOT / "benchmarks" / "results" / "ui.json").read_text(encoding="utf-8"))
    text = (ROOT / "docs" / "window.md").read_text(encoding="utf-8").split("## How fast, and how far")[1]
    assert result["machine"] in text
    rows: dict[str, str] = dict(re.findall(r"^\| (.+?) \| (.+?) \|$", text, re.MULTILINE))

    def shown(begins: str) -> str:
        (found,) = [row for name, row in rows.items() if name.startswith(begins)]
        return found

    paint, store, start, elia = (result[name] for name in ("first_paint", "store", "start", "elia"))
    assert shown("the first paint") == f"{paint['ours_s']:.3f} s; {paint['bare_textual_s']:.3f} s"
    for phase, lag in result["lag"].items():
        assert shown(f"the event loop's lag, {phase}:") == f"{lag['p50_ms']:.2f} ms, {lag['p99_ms']:.2f} ms"
    for row in result["stream"]:
        how = "each token painted by itself" if row["alone"] else "painted as it comes"
        name = f"a reply of {row['tokens']:,} tokens, {row['kind']}, {how}:"
        assert shown(name) == f"{row['first_s']:.2f} s, {row['last_s']:.2f} s"
        assert row["ratio"] <= 1.5
    name = f"the start with {store['conversations']:,} conversations"
    assert shown(name) == f"{start['paint_s']:.3f} s, {start['list_s']:.3f} s"
    assert shown(f"opening a conversation of {store['long']:,} messages") == f"{result['open']['ms']} ms"
    assert shown(f"elia {elia['version']} with the same chats") == f"{elia['list_s']:.2f} s, {elia['open_s']:.2f} s"
    for words, row in result["search"].items():
        name = f"a key to its hits among {store['messages']:,} messages, {words}:"
        assert shown(name) == f"{sorted(row['ms'])[len(row['ms']) // 2]:.0f} ms, {max(row['ms']):.0f} ms"


def learnt_table(name: str) -> dict[str, Any]:
    """A result of learn.py, whose machine the page on training names."""
    result: dict[str, Any] = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))
    assert result["machine"] in (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    return result


def percent(found: dict[str, Any]) -> str:
    """``112 (79 %; 72-85)``."""
    hits, of = found["hits"], found["of"]
    return f"{hits} ({hits / of:.0%}; {100 * found['low']:.0f}-{100 * found['high']:.0f})".replace("%;", " %;")


def test_the_figures_on_teaching_are_the_benchmarks() -> None:
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    for name in ("teach", "curve"):
        for row in learnt_table(name)[name]["rows"]:
            shares = " | ".join(percent(row[key]) for key in ("paraphrases", "near", "far"))
            kl = "" if row["kl"] is None else f"{row['kl']:.4f}"
            steps = row.get("steps", "")
            assert f"| {row['way']} | {shares} | {kl} | {steps} |" in text, row["way"]


def test_the_figures_on_a_collection_are_the_benchmarks() -> None:
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    part = learnt_table("faq")["faq"]
    for row in part["rows"]:
        if row["way"].startswith("TRL") and row["loss"] not in part["trl_best"]:
            continue
        wall = f"{row['wall_s']:,.0f} s" if "wall_s" in row else ""
        assert f"| {row['way']} | {row['loss']:.3f} | {wall} | {row.get('steps', '')} |" in text, row["way"]


def test_the_figures_on_limits_are_the_benchmarks() -> None:
    text = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
    result = json.loads((ROOT / "benchmarks" / "results" / "kinds.json").read_text(encoding="utf-8"))
    assert result["machine"] in text
    for kind, part in result.items():
        for row in part["rows"] if isinstance(part, dict) and "rows" in part else ():
            shares = " | ".join(percent(row[key]) for key in ("taught", "asked"))
            assert f"| {kind} | {row['way']} | {shares} |" in text, (kind, row["way"])


def of_adapters(name: str) -> tuple[dict[str, Any], str]:
    """A benchmark's result and the page that shows it."""
    result: dict[str, Any] = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))
    text = (ROOT / "docs" / "adapters.md").read_text(encoding="utf-8")
    assert result["machine"] in text
    return result, text


def test_the_figures_on_listing_are_the_benchmarks() -> None:
    result, text = of_adapters("shelf")
    for row in result["rows"]:
        figures = f"{row['cold_ms']:,.0f} | {row['warm_ms']:,.0f} | {row['again_ms']:.1f}"
        command = f"{row['command_ms']:,.0f} | {row['version_ms']:,.0f}"
        assert f"| {row['installed']:,} | {figures} | {command} |" in text


def test_the_figures_on_switching_are_the_benchmarks() -> None:
    result, text = of_adapters("switch")
    for row in result["rows"]:
        figures = " | ".join(f"{row[name]:,.1f}" for name in ("warm_ms", "cold_ms", "off_ms"))
        assert f"| {row['peer']} | {row['resident']} | {figures} | {row['peak_mb']:,.0f} MB |" in text
    assert f"{result['lookup_ms']:.1f} ms" in text


def test_the_page_on_scale_says_what_was_measured_and_reckons_with_it() -> None:
    text = " ".join((ROOT / "docs" / "scale.md").read_text(encoding="utf-8").split())
    result, shelf, switch = (
        json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("ranks", "shelf", "switch")
    )
    assert f"{result['machine']}: {result['lessons']} lessons, {result['effort']} effort" in text
    for row in result["rows"]:
        figures = f"{row['wall_s']:,.1f} s | {row['steps']} | {row['tokens_per_second']:.1f} | {row['loss_apart']:.1e}"
        assert f"| {row['processes']} | {figures} |" in text
        assert row["loss_apart"] < 1e-4
    first = result["rows"][0]
    shipped = (ROOT / "adapters" / "support-bot" / "adapter_model.safetensors").stat().st_size
    for size in (first["adapter_bytes"], shipped):
        million, held = f"{size / 1e6:.2f} TB, computed", f"{10**9 // size:,}, computed"
        assert f"{size:,} bytes, measured | {million} | {held} |" in text
    half = first["adapter_bytes"] / 2
    assert f"{half / 1e6:.2f} MB, computed | {half / 1e6:.2f} TB, computed | {10**9 // half:,.0f}, computed |" in text
    assert f"{first['job_bytes']:,} bytes, measured | {first['job_bytes'] / 1e6:.2f} TB, computed |" in text
    listed = {row["installed"]: row for row in shelf["rows"]}
    for count in (100, 1000):
        assert f"{listed[count]['cold_ms']:,.0f} ms and {listed[count]['warm_ms']:,.0f} ms" in text
    assert f"| {1000 * listed[1000]['cold_ms'] / 3.6e6:.1f} hours | computed" in text
    cold = next(row["cold_ms"] for row in switch["rows"] if (row["peer"], row["resident"]) == ("lora-chat auto", 1))
    assert f"| {cold:.1f} ms | measured" in text
    assert f"| {round(3.6e6 / cold, -3):,.0f} | computed" in text
    hours = 10_000 * first["wall_s"] / 3600
    assert f"| {hours:,.0f} machine hours, {math.ceil(hours / 24)} machines | computed" in text
    assert f"256 adapters as trained now are {256 * first['adapter_bytes'] / 1e6:,.0f} MB" in text


def test_the_programs_that_train_elsewhere_are_documented_as_they_are() -> None:
    from lora_chat.training.__main__ import parsed

    text = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    lines = [line for block in blocks(text) for line in block.splitlines() if "lora_chat.training" in line]
    assert {line.split()[0] for line in lines} == {"python", "torchrun", "accelerate"}
    for line in lines:
        words = shlex.split(line, comments=True)
        assert parsed(words[words.index("lora_chat.training") + 1 :]).jobs == [Path("shop-job")]


def test_the_figures_on_changing_bases_are_the_benchmarks() -> None:
    result = json.loads((ROOT / "benchmarks" / "results" / "swap.json").read_text(encoding="utf-8"))
    text, swap = (ROOT / "docs" / "bases.md").read_text(encoding="utf-8"), result["swap"]
    assert result["machine"] in text
    for name, peak in result["alone_peak_mb"].items():
        assert f"| `{name.removesuffix(' alone')}` alone, at its peak | {peak:,.0f} MB |" in text
    assert f"{result['ratio']} times the larger alone | {swap['peak_mb']:,.0f} MB |" in text
    four = "; ".join(f"{swap[key]:,.0f}" for key in ("bare_mb", "first_mb", "second_mb", "back_mb"))
    assert f"| {four} MB |" in text
    assert f"after {swap['to_second_s']:.1f} s and {swap['to_first_s']:.1f} s" in text
    assert f"gone after {swap['gone_s']:.1f} s" in text
    assert f"| {swap['peak_mb']:,.0f} MB; {result['ratio']:.2f} x |" in README
    assert result["ratio"] <= 1.05
    assert (swap["engines_at_once"], swap["gone"]) == (1, True)


def test_the_page_on_adapters_says_of_the_shipped_ones_what_their_cards_say() -> None:
    text = (ROOT / "docs" / "adapters.md").read_text(encoding="utf-8").split("## Shipped")[1]
    for line in re.findall(r"^\| \[`.*$", text, re.MULTILINE):
        name = line.split("`")[1]
        card = (ROOT / "adapters" / name / "README.md").read_text(encoding="utf-8")
        for figure in re.findall(r"\d+ of \d+", line):
            assert f"| {figure} |" in card, (name, figure)
    assert text.count("README.md") == len(list((ROOT / "adapters").iterdir()))


def test_the_readmes_figures_on_decoding_are_the_benchmarks() -> None:
    result = json.loads((ROOT / "benchmarks" / "results" / "decode.json").read_text(encoding="utf-8"))
    figures = {(row["peer"], row["precision"], row["adapter"]): row["ms_per_token"] for row in result["rows"]}

    def both(peer: str, precision: str, digits: int) -> str:
        off, on = (figures[peer, precision, adapter] for adapter in (False, True))
        return f"{off:.{digits}f} and {on:.{digits}f} ms a token |"

    for words in (both("lora-chat", "auto", 1), both("llama.cpp", "q4_1", 1), both("transformers", "fp32", 0)):
        assert words in README
