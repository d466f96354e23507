"""Settings are checked one by one, and a mistake is named with what to do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from lora_chat.config import Config, load_config, save_settings
from lora_chat.errors import RefusedError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "config.toml"


def written(path: Path, text: str) -> Path:
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_everything_is_default_and_nothing_is_made(path: Path) -> None:
    assert load_config(path) == Config()
    assert not path.parent.exists()


def test_what_is_set_is_read_and_the_rest_is_default(path: Path) -> None:
    found = load_config(written(path, 'model = "tiny"\ntemperature = 1\nmax_tokens = 7\n'))
    assert found == Config(model="tiny", temperature=1.0, max_tokens=7)
    assert type(found.temperature) is float


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("temprature = 1.0", 'Unknown setting "temprature".*did you mean temperature\\?'),
        ("zzz = 1", 'Unknown setting "zzz".*remove that line'),
        ("temperature = true", "must be a number, not True"),
        ("top_k = true", "must be a whole number, not True"),
        ("top_k = 1.0", "must be a whole number, not 1.0"),
        ('max_tokens = "7"', "must be a whole number"),
        ("model = 7", "must be a text in quotes"),
        ("system = []", "must be a text in quotes"),
        ("temperature = -0.1", "between 0 and 5"),
        ("temperature = nan", "between 0 and 5"),
        ("top_p = inf", "between 0 and 1"),
        ("max_tokens = 0", "between 1 and 1,000,000"),
        ("[model]\nname = 1", "must be a text in quotes"),
        ("model = ", "not valid TOML"),
        (f"max_tokens = 0x{'F' * 6_000}", "between 1 and 1,000,000, not 0xffff"),
        (f"temperature = 0x{'F' * 6_000}", "between 0 and 5, not 0xffff"),
        (f"system = 0x{'F' * 6_000}", "must be a text in quotes, not 0xffff"),
        (f"theme = [0x{'F' * 6_000}]", "must be a text in quotes"),
        (f"seed = 1\nmax_tokens = {'9' * 6_000}", "not valid TOML"),
        ("model = 'a'\nmodel = 'b'", "not valid TOML"),
    ],
)
def test_a_mistake_is_one_sentence_with_the_file_in_it(path: Path, text: str, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason) as caught:
        load_config(written(path, text))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_text_is_not_valid(path: Path) -> None:
    written(path, "")
    path.write_bytes(b"model = '\xff'")
    with pytest.raises(RefusedError, match="not valid TOML"):
        load_config(path)


def test_a_folder_in_its_place_is_named(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(RefusedError, match="Cannot read"):
        load_config(path)


def test_a_change_keeps_what_else_was_set_and_is_private(path: Path) -> None:
    written(path, 'model = "tiny"\n')
    assert save_settings(path, temperature=0.5) == Config(model="tiny", temperature=0.5) == load_config(path)
    save_settings(path, system='Say "yes".\nBriefly.')
    assert load_config(path).system == 'Say "yes".\nBriefly.'
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("changes", [{"temperature": 9.0}, {"temprature": 1.0}, {"top_k": True}])
def test_a_change_that_is_refused_changes_nothing(path: Path, changes: dict[str, Any]) -> None:
    written(path, 'model = "tiny"\n')
    with pytest.raises(RefusedError):
        save_settings(path, **changes)
    assert path.read_text() == 'model = "tiny"\n'
    assert [each.name for each in path.parent.iterdir()] == ["config.toml"]


def test_every_default_could_be_written_down(path: Path) -> None:
    written(path, tomli_w.dumps(vars(Config())))
    assert load_config(path) == Config()
