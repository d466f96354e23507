"""What the shell completes names to, asked as a shell asks: by the environment, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lora_chat.chat.preset import Preset, keep_preset
from lora_chat.chat.store import Store
from lora_chat.paths import Paths
from tests.cli.conftest import tiny, tiny_home, trained, worn  # noqa: F401

_RUN = "import sys; sys.argv[0] = 'lora-chat'; from lora_chat.cli import main; main()"


def completed(home: Paths, line: str) -> list[str]:
    """What bash is told for ``lora-chat LINE`` with the cursor at its end."""
    words = f"lora-chat {line}"
    asked = {
        "_LORA_CHAT_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
        "LORA_CHAT_HOME": str(home.models.parent),
    }
    done = subprocess.run(
        [sys.executable, "-c", _RUN], env=os.environ | asked, capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.fixture
def furnished(tiny: Paths, worn: str) -> Paths:  # noqa: F811
    keep_preset(Preset("polite", "Be polite.", ()), tiny)
    return tiny


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("adapter verify sh", ["shop"]),
        ("ask -a sh", ["shop"]),
        ("ask -m ti", ["tiny-llama"]),
        ("model info t", ["tiny-llama"]),
        ("model use q", []),
        ("model pull qwen3-0", ["qwen3-0.6b"]),
        ("preset show po", ["polite"]),
        ("train from-history --continue sh", ["shop"]),
    ],
)
def test_a_name_is_completed(furnished: Paths, line: str, names: list[str]) -> None:
    assert completed(furnished, line) == names


def test_a_conversation_is_completed_by_its_id(furnished: Paths) -> None:
    with Store.open(furnished.database) as store:
        id = store.create_conversation(title="Orders").id
    assert completed(furnished, f"history show {id[:3]}") == [id]
    assert completed(furnished, f"ask -c {id[:3]}") == [id]


def test_looking_makes_nothing_and_what_cannot_be_read_has_no_names(home: Paths, tmp_path: Path) -> None:
    assert completed(home, "history show a") == []
    assert not home.database.exists()
    home.database.parent.mkdir(parents=True, exist_ok=True)
    home.database.write_bytes(b"no database" * 100)
    assert completed(home, "history show a") == []
