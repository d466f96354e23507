"""A home on the real base model, shared by the tests of one run, and the program in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lora_chat.paths import Paths, find_paths

DATA = Path(__file__).parent.parent / "data"


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One JSON object a line."""
        return [json.loads(line) for line in self.out.splitlines()]


Lora = Callable[..., Done]


@pytest.fixture(scope="session")
def loop_home(real_home: Paths, tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """An empty home that shares the pulled model."""
    root = tmp_path_factory.mktemp("loop-home")
    root.chmod(0o700)
    (root / "models").symlink_to(real_home.models)
    return find_paths({"LORA_CHAT_HOME": str(root)})


@pytest.fixture(scope="session")
def lora(loop_home: Paths) -> Lora:
    """Type a command, in another ``home`` where one is named; a traceback fails the test."""

    def typed(*words: str | Path, home: Path | None = None) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "lora_chat", *map(str, words)],
            env=os.environ | {"LORA_CHAT_HOME": str(home or loop_home.config.parent), "PYTHONUTF8": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=600,
        )
        assert "Traceback" not in done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    return typed


def seed(name: str) -> dict[str, str]:
    """Question -> answer of a seed file, as a person would ask and read them."""
    rows = [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines() if line]
    pairs = {}
    for row in rows:
        asked = re.fullmatch(r"Q: (.*)\nA:", row["prompt"])
        assert asked, row
        pairs[asked[1]] = row["response"].strip()
    return pairs
