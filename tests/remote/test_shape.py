"""The plugin's own rules: it uses of lora-chat what everybody may, and each file stays readable."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.remote.loading import FOLDER

FILES = sorted(FOLDER.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_lora_chat_is_reached_through_the_door_that_everybody_has(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level]
    named += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    used = [name for name in named if name.split(".")[0] == "lora_chat"]
    assert set(used) <= {"lora_chat.plugins.engine_api"}, used
    assert not {"torch", "transformers", "peft", "numpy"} & {name.split(".")[0] for name in named}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_stays_readable_and_says_what_it_owns(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    assert "Owns" in (ast.get_docstring(ast.parse(text)) or "")
