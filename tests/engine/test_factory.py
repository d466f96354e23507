"""Which engine is opened, and what it does to the process that opens it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lora_chat.engine.factory import general_answers, open_local, open_local_for, open_process
from lora_chat.engine.local import LocalEngine
from lora_chat.models.installed import InstalledBase
from lora_chat.paths import Paths


def test_an_engine_in_this_process_takes_it_offline(
    tiny_llama: InstalledBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = {"PATH": os.environ["PATH"], "LD_PRELOAD": "/lib/mine.so"}
    monkeypatch.setattr(os, "environ", mine)
    assert isinstance(open_local(tiny_llama, tmp_path / "general"), LocalEngine)
    assert mine["HF_HUB_OFFLINE"] == mine["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert mine["LD_PRELOAD"] == "/lib/mine.so"  # it would only reach programs started from here


def test_general_answers_are_a_cache_beside_the_base(
    tiny_llama: InstalledBase, home: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    place = home.models / "tiny-llama" / "general-answers.safetensors"
    assert general_answers(tiny_llama, home) == place
    assert open_local_for(tiny_llama, home)._general_answers == place
    assert open_process(tiny_llama, home)._setup.general_answers == place
    assert not home.models.exists()
