"""The pace of a training on this machine: kept early, for these weights and this machine alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lora_chat.training import pace as module
from lora_chat.training.pace import Pace, read_pace


def test_it_is_known_after_three_steps_and_one_slow_step_is_no_matter(tmp_path: Path) -> None:
    kept = tmp_path / "pace.json"
    pace = Pace(kept, "sha256:1")
    pace.step(100, 0.0)  # a clock that stands still
    pace.step(100, 50.0)  # it waited for a reply
    pace.step(100, 0.5)
    assert read_pace(kept, "sha256:1") is None
    pace.step(100, 0.4)
    assert read_pace(kept, "sha256:1") == 200
    for _ in range(13):
        pace.step(100, 0.25)
    assert read_pace(kept, "sha256:1") == 400
    assert read_pace(kept, "sha256:2") is None


def test_another_machine_or_a_damaged_file_is_no_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "pace.json"
    pace = Pace(kept, "sha256:1")
    for _ in range(3):
        pace.step(100, 1.0)
    whole = json.loads(kept.read_bytes())
    for bad in (
        b"",
        b"[",
        b"[]",
        b"null",
        *(json.dumps(whole | {"tokens_per_second": x}).encode() for x in ("", None)),
    ):
        kept.write_bytes(bad)
        assert read_pace(kept, "sha256:1") is None
    for odd in ("NaN", "Infinity", "0", "-5", "1e300"):
        kept.write_text(json.dumps(whole).replace("100.0", odd), encoding="utf-8")
        assert read_pace(kept, "sha256:1") is None
    kept.write_text(json.dumps(whole), encoding="utf-8")
    assert read_pace(kept, "sha256:1") == 100
    monkeypatch.setattr(module.os, "cpu_count", lambda: 1000)  # type: ignore[attr-defined]
    assert read_pace(kept, "sha256:1") is None


def test_without_room_for_it_the_training_goes_on(tmp_path: Path) -> None:
    pace = Pace(tmp_path / "file" / "pace.json", "sha256:1")
    (tmp_path / "file").write_text("in the way")
    for _ in range(3):
        pace.step(100, 1.0)
    assert read_pace(tmp_path / "file" / "pace.json", "sha256:1") is None
