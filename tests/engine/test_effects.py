"""What was measured is known again, for the very adapter on the very base alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import lora_chat
from lora_chat.engine.effects import Effects, told, told_briefly


def test_an_effect_is_known_again_for_the_same_files_on_the_same_base(tmp_path: Path) -> None:
    file = tmp_path / "effects.json"
    Effects(file, "sha256:a").put("w", "c", 1.5)
    Effects(file, "sha256:a").put("w2", "c", 0.0)
    assert Effects(file, "sha256:a").get("w", "c") == 1.5
    assert Effects(file, "sha256:a").get("w2", "c") == 0.0
    assert Effects(file, "sha256:a").get("w", "c2") is None
    assert Effects(file, "sha256:b").get("w", "c") is None


def test_what_is_not_finite_is_not_kept(tmp_path: Path) -> None:
    Effects(tmp_path / "effects.json", "a").put("w", "c", float("nan"))
    assert not (tmp_path / "effects.json").exists()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"weights": "a"}', '{"weights": "a", "effects": {"w:c": "x"}}'])
def test_a_damaged_file_knows_nothing_and_is_written_anew(text: str, tmp_path: Path) -> None:
    file = tmp_path / "effects.json"
    file.write_text(text, encoding="utf-8")
    assert Effects(file, "a").get("w", "c") is None
    Effects(file, "a").put("w", "c", 2.0)
    assert Effects(file, "a").get("w", "c") == 2.0


def test_the_oldest_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lora_chat.engine.effects._MOST", 2)
    effects = Effects(tmp_path / "effects.json", "a")
    for number in range(3):
        effects.put(f"w{number}", "c", number)
    assert [effects.get(f"w{number}", "c") for number in range(3)] == [None, 1, 2]


def test_an_effect_is_told_in_one_way_everywhere() -> None:
    assert told(4.2634) == "changes the next token's scores by up to 4.26"
    assert told(0.0) == "changes nothing on the probe"
    assert (told_briefly(4.2634), told_briefly(0.0)) == ("changes 4.26", "changes nothing")
    sources = [path for path in Path(lora_chat.__file__).parent.rglob("*.py") if path.name != "effects.py"]
    assert len(sources) > 100
    for path in sources:
        assert not re.search("by up to|nothing on the probe", path.read_text(encoding="utf-8")), path
