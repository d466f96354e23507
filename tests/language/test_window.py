"""Whatever the window, the line chat and the commands say has its Chinese; a sentence without one is named here."""

from __future__ import annotations

import ast

import pytest

from lora_chat.language import catalogue
from lora_chat.sitting.commands import COMMANDS
from tests.language import spoken

CHINESE = catalogue.load("zh")
SENTENCES = catalogue.sentences("zh")


def test_every_sentence_of_the_window_has_its_chinese() -> None:
    said = {text: place for place, text in spoken.sentences()}
    assert len(said) > 300
    assert {place: text for text, place in said.items() if not {text, text.strip()} & SENTENCES.keys()} == {}


def test_every_command_has_its_chinese() -> None:
    english = {text for command in COMMANDS for text in (command.help, command.group)}
    assert sorted(english - SENTENCES.keys()) == []


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each.words)
def test_what_a_command_is_for_stands_in_one_line_of_the_help(command: object) -> None:
    from rich.cells import cell_len

    assert cell_len(CHINESE.say(command.help)) <= 54  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("code", "english"),
    [
        ('self.notify("Nobody foresaw this.")', ["Nobody foresaw this."]),
        ('tr("alone")', ["alone"]),
        ('tr("one" if it else f"{two} or more")', ["one", "{} or more"]),
        ('Binding("x", "do", "does", id="some.does")', ["does"]),
        ('f"{count:,} things are {state}"', ["{} things are {}"]),
        ('NAME = "nothing-to-say"', []),
        ('DEFAULT_CSS = "Some Widget { color: red; }"', []),
        ('def made():\n    """What it does."""', []),
    ],
)
def test_a_new_sentence_is_found_where_it_is_written(code: str, english: list[str]) -> None:
    assert [text for _, text in spoken.found(ast.parse(code))] == english


def test_every_proof_of_private_data_has_its_chinese() -> None:
    from lora_chat.training.choosing.redact import RULES

    assert [rule.name for rule in RULES if rule.proof not in SENTENCES] == []
