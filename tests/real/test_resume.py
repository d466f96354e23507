"""A training on the real base that is killed goes on, and makes the very bytes of one that never was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lora_chat.paths import Paths
from tests.real.conftest import Lora

pytestmark = pytest.mark.real


def killed(home: Paths, at: int, *words: str | Path) -> None:
    """``lora-chat train`` until its step ``at``, then SIGKILL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lora_chat", "train", *map(str, words), "--json"],
        env=os.environ | {"LORA_CHAT_HOME": str(home.config.parent), "PYTHONUTF8": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line).get("step", 0) >= at and json.loads(line)["event"] == "step":
            process.kill()
            break
    process.communicate()
    assert process.returncode == -9


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_killed_twice_it_makes_the_bytes_of_the_unbroken_training(lora: Lora, loop_home: Paths, tmp_path: Path) -> None:
    taught = tmp_path / "taught.jsonl"
    taught.write_text(json.dumps({"prompt": "Where is your shop?", "response": "At 12 Harbour Street."}) + "\n")
    words = (taught, "--effort", "light", "--yes", "--checkpoint-every", "0")
    assert lora("train", *words, "--name", "unbroken").code == 0
    killed(loop_home, 2, *words, "--name", "broken")
    killed(loop_home, 5, "--resume", "last")
    done = lora("train", "--resume", "last", "--json")
    assert done.code == 0, done.err
    [resumed] = [row for row in done.rows if row["event"] == "resumed"]
    assert resumed["step"] >= 4
    files = (loop_home.adapters / name / "adapter_model.safetensors" for name in ("unbroken", "broken"))
    assert len({file.read_bytes() for file in files}) == 1
