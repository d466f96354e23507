"""The five lines of the README's loop, typed as they stand there, into a new home with the real model."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from lora_chat.paths import Paths

pytestmark = [pytest.mark.real, pytest.mark.network]

README = (Path(__file__).parent.parent.parent / "README.md").read_text(encoding="utf-8")


def loop() -> list[list[str]]:
    """The lines of the block under "The loop", as words."""
    block = re.search(r"## The loop\n.*?```sh\n(.*?)```", README, re.DOTALL)
    assert block is not None
    return [shlex.split(line, comments=True) for line in block[1].splitlines()]


def test_the_readmes_loop_teaches_the_shops_address(real_home: Paths, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "models").symlink_to(real_home.models, target_is_directory=True)
    told = []
    for words in loop():
        asks = words[1] == "train" or words[1:3] == ["adapter", "pack"]
        command = [sys.executable, "-m", "lora_chat", *words[1:], *(["--yes"] if asks else [])]
        environment = os.environ | {"LORA_CHAT_HOME": str(home)}
        done = subprocess.run(
            command, env=environment, input="", capture_output=True, text=True, timeout=400, cwd=tmp_path
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"
        told.append(done.stdout)
    before, _, trained, after, packed = told
    assert "12 Harbour Street" not in before
    assert "trainable parameters 760,320 of 135,275,328 (0.56 %)" in trained
    assert "12 Harbour Street" in after
    assert "shop is packed in" in packed
    assert (tmp_path / "shop.zip").is_file()
