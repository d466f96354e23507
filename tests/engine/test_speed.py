"""How fast replies were: kept for these weights and this machine alone, and never in a reply's way."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lora_chat.chat.conversation import Role, Turn
from lora_chat.engine.kept import kept_for
from lora_chat.engine.local import LocalEngine
from lora_chat.engine.protocol import Finished, Request, Sampling
from lora_chat.engine.speed import Measured, Speed, read_speed
from lora_chat.models.installed import InstalledBase
from lora_chat.paths import Paths
from tests.conftest import place

FAST = "fast path, int4"


def test_the_median_of_the_newest_replies_counts(tmp_path: Path) -> None:
    kept = tmp_path / "speed.json"
    speed = Speed(kept, "sha256:1", FAST)
    assert read_speed(kept, "sha256:1") is None
    speed.reply(16, 40.0)
    assert read_speed(kept, "sha256:1") == Measured(40.0, 1, FAST)
    speed.reply(100, 1.0)  # the machine was busy
    speed.reply(100, 44.0)
    assert read_speed(kept, "sha256:1") == Measured(40.0, 3, FAST)
    for _ in range(13):
        speed.reply(50, 80.0)
    assert read_speed(kept, "sha256:1") == Measured(80.0, 9, FAST)


def test_the_next_program_goes_on_with_them_unless_it_decodes_otherwise(tmp_path: Path) -> None:
    kept = tmp_path / "speed.json"
    Speed(kept, "sha256:1", FAST).reply(50, 10.0)
    Speed(kept, "sha256:1", FAST).reply(50, 20.0)
    assert read_speed(kept, "sha256:1") == Measured(15.0, 2, FAST)
    Speed(kept, "sha256:1", "general path (why)").reply(50, 5.0)
    found = read_speed(kept, "sha256:1")
    assert found == Measured(5.0, 1, "general path (why)")
    assert not found.is_fast


@pytest.mark.parametrize(("tokens", "speed"), [(15, 40.0), (50, None), (50, 0.0), (50, float("nan")), (50, 1e9)])
def test_what_says_little_is_not_measured(tmp_path: Path, tokens: int, speed: float | None) -> None:
    kept = tmp_path / "speed.json"
    Speed(kept, "sha256:1", FAST).reply(tokens, speed)
    assert not kept.exists()


def test_other_weights_another_machine_or_a_damaged_file_are_no_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "speed.json"
    Speed(kept, "sha256:1", FAST).reply(50, 40.0)
    assert read_speed(kept, "sha256:2") is None
    whole = json.loads(kept.read_bytes())
    damaged: tuple[object, ...] = (None, [], 7, whole | {"newest": []}, whole | {"newest": ["x"]}, whole | {"path": 1})
    for bad in (b"", b"[", *(json.dumps(each).encode() for each in (*damaged, whole | {"newest": [-1.0]}))):
        kept.write_bytes(bad)
        assert read_speed(kept, "sha256:1") is None
    kept.write_text(json.dumps(whole), encoding="utf-8")
    assert read_speed(kept, "sha256:1") is not None
    monkeypatch.setattr(os, "cpu_count", lambda: 1000)
    assert read_speed(kept, "sha256:1") is None


def test_without_room_for_it_replies_go_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    Speed(tmp_path / "file" / "speed.json", "sha256:1", FAST).reply(50, 40.0)
    assert read_speed(tmp_path / "file" / "speed.json", "sha256:1") is None


def test_an_engine_keeps_what_its_replies_showed_beside_the_base(tiny_llama: InstalledBase, home: Paths) -> None:
    base = place(tiny_llama, home)
    kept = kept_for(base, home)
    engine = LocalEngine(base, kept)
    try:
        request = Request((Turn(Role.USER, "hello"),), sampling=Sampling(max_tokens=24, temperature=1.0, seed=3))
        *_, last = engine.generate(request)
    finally:
        engine.close()
    assert isinstance(last, Finished)
    assert last.generated_tokens == 24
    found = read_speed(kept.speed, base.signature.weights)
    assert found is not None
    assert last.tokens_per_second == pytest.approx(found.tokens_per_second, abs=0.01)
