"""``docs/remote.md`` says what is so: its tables are the code's."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from tests.remote.loading import part

TEXT = (Path(__file__).parents[2] / "docs" / "remote.md").read_text(encoding="utf-8")


def spelt(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value) if isinstance(value, int | float) else "{}"


def test_the_settings_table_is_the_codes() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (?:`([^`]*)`)? ?\|", TEXT, re.MULTILINE))
    kinds = fields(part("settings").Settings)
    expected = {each.name: spelt(each.default) if each.default is not MISSING else "{}" for each in kinds}
    dialects = {"openai", "vllm"}
    assert {name: row for name, row in rows.items() if name not in dialects} == expected | {"url": ""}


def test_the_dialects_table_is_the_codes() -> None:
    table = TEXT.split("| dialect |")[1].split("\n\n")[0]
    assert {"auto", *re.findall(r"^\| `([\w-]+)`", table, re.MULTILINE)} == set(part("settings").DIALECTS)


def test_the_keys_variables_are_the_codes() -> None:
    told = re.findall(r"`([A-Z]+_API_KEY)` for `([\w-]+)`", TEXT)
    assert {dialect: (name,) for name, dialect in told} == {
        name: names for name, names in part("key").VARIABLES.items() if name != "auto"
    }


def test_the_numbers_it_tells_are_the_codes() -> None:
    client, events = part("client"), part("server_sent")
    assert f"An answer's event may have {events.LONGEST >> 20} MiB" in TEXT
    assert f"a list of models {client._LONGEST >> 20} MiB" in TEXT
    assert f"{client._LONGEST_WAIT_S:.0f} s at most" in TEXT
    assert f"reach to {part('dialects.llama_server')._LARGEST_SEED:,}" in TEXT
    assert f"{len(part('proof').PROMPTS)}" == "3"
    assert part("proof")._NOISE == 2.0
