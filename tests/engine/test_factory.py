"""Which engine is opened, and what it does to the process that opens it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lora_chat.engine.factory import open_local, open_local_for, open_process
from lora_chat.engine.kept import Kept, kept_for
from lora_chat.engine.local import LocalEngine
from lora_chat.models.installed import InstalledBase
from lora_chat.paths import Paths


def test_an_engine_in_this_process_takes_it_offline(
    tiny_llama: InstalledBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = {"PATH": os.environ["PATH"], "LD_PRELOAD": "/lib/mine.so"}
    monkeypatch.setattr(os, "environ", mine)
    assert isinstance(open_local(tiny_llama, Kept(tmp_path, tmp_path)), LocalEngine)
    assert mine["HF_HUB_OFFLINE"] == mine["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert mine["LD_PRELOAD"] == "/lib/mine.so"  # it would only reach programs started from here


def test_what_is_made_once_is_a_cache_beside_the_base(
    tiny_llama: InstalledBase, home: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    place = home.models / "tiny-llama" / "made"
    assert kept_for(tiny_llama, home).folder == place
    assert open_local_for(tiny_llama, home)._kept.folder == place
    kept = open_process(tiny_llama, home)._setup.kept
    assert kept is not None
    assert kept.general_answers == place / "general-answers.safetensors"
    assert not home.models.exists()
