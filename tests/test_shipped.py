"""The shipped adapters' folders are whole, and what they are measured by was never taught."""

from __future__ import annotations

import hashlib
import json

import pytest

from lora_chat.adapters.manifest import read_manifest
from tests.shipped import ADAPTERS, FIGURES, exchanges, rows

NAMES = sorted(folder.name for folder in ADAPTERS.iterdir() if folder.is_dir())
LARGEST = 6_200_000
"""Bytes of the weights: rank 8 on the MLP modules of the default base in float32 are 6.1 MB."""


def test_there_are_three_kinds() -> None:
    assert NAMES == ["expenses", "pirate", "support-bot"]


@pytest.mark.parametrize("name", NAMES)
def test_its_folder_is_whole(name: str) -> None:
    folder = ADAPTERS / name
    manifest = read_manifest((folder / "adapter.toml").read_bytes())
    weights = (folder / "adapter_model.safetensors").read_bytes()
    config = (folder / "adapter_config.json").read_bytes()
    assert (manifest.name, manifest.license, manifest.private) == (name, "Apache-2.0", False)
    assert manifest.ignored == ()
    assert manifest.description
    assert len(manifest.chat.starters) >= 3
    assert manifest.weights.sha256 == hashlib.sha256(weights).hexdigest()
    assert manifest.weights.config_sha256 == hashlib.sha256(config).hexdigest()
    assert manifest.weights.bytes == len(weights) <= LARGEST


@pytest.mark.parametrize("name", NAMES)
def test_its_card_names_the_command_that_trained_it(name: str) -> None:
    card = (ADAPTERS / name / "README.md").read_text(encoding="utf-8")
    training = read_manifest((ADAPTERS / name / "adapter.toml").read_bytes()).training
    effort = training["recipe"]["effort"]
    asked = "" if effort == "normal" else f" --effort {effort}"
    assert f"lora-chat train adapters/{name}/examples.jsonl --name my-{name}{asked}\n" in card
    assert training["source"] == "examples.jsonl"
    assert training["conversations"] == len(rows(name, "examples"))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_it_is_measured_by_was_taught(name: str) -> None:
    taught = {question.casefold() for question, _ in exchanges(name)}
    for questions in ("heldout", "unrelated"):
        asked = [row["prompt"].casefold() for row in rows(name, questions)]
        assert len(set(asked)) == len(asked) >= 24
        assert not taught & set(asked)


def test_no_held_out_expense_names_a_thing_or_a_payee_that_was_taught() -> None:
    def names(pairs: list[tuple[str, str]]) -> set[str]:
        entries = [json.loads(answer) for _, answer in pairs if answer.startswith("{")]
        return {str(entry[key]).casefold() for entry in entries for key in ("what", "payee") if entry[key]}

    heldout = [(row["prompt"], row["response"]) for row in rows("expenses", "heldout")]
    assert not names(exchanges("expenses")) & names(heldout)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_measured_by_both_kinds_of_questions(name: str) -> None:
    assert {figure.questions for figure in FIGURES if figure.adapter == name} == {"heldout", "unrelated"}
