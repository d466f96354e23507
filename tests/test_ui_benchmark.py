"""What the benchmark of the window puts into a store and a reply is what it says."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from lora_chat.chat.search import search
from lora_chat.chat.store import Store

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
if sys.platform == "win32":
    pytest.skip("pseudo-terminals are POSIX", allow_module_level=True)

import ui  # type: ignore[import-not-found]
import ui_reach  # type: ignore[import-not-found]
import ui_stores  # type: ignore[import-not-found]


def test_the_chats_are_as_many_as_asked_for_and_the_needles_are_found(tmp_path: Path) -> None:
    database = tmp_path / "home" / "chats.db"
    chats = [*ui_stores.conversations(30, 200), ui_stores.long_one(40)]
    id = ui_stores.fill(database, "tiny", iter(chats))
    with Store.open(database) as store:
        counts = store.message_counts()
        assert (len(counts), sum(counts.values()), counts[id]) == (31, 240, 40)
        assert store.conversations(1)[0].title == ui_stores.LONG
        assert store.branch(id)[-1].content.endswith(ui_stores.LAST)
        found = {called: len(search(store, text)) for called, text in ui_reach.QUERIES.items()}
        assert (found["said once"], found["Chinese, once"], found["never said"]) == (1, 1, 0)
        assert found["a common word"] == 20
        assert store.check() == []


@pytest.mark.parametrize("kind", ui_reach.KINDS)
def test_a_reply_has_as_many_tokens_as_asked_for(kind: str) -> None:
    pieces = ui_reach.reply(kind, 2_000)
    assert len(pieces) == 2_000
    assert ("".join(pieces).count("```") == 1) is (kind == "code")


def test_what_trains_begins_in_a_home_without_adapters_however_often_the_folder_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of the adapter that it trains is taken in a home where it did before, and it waited for ever."""
    before: list[list[str]] = []

    def run(home: Path, name: str, settings: dict[str, Any]) -> dict[str, Any]:
        before.append(sorted(each.name for each in home.iterdir()))
        (home / "adapters" / "bench").mkdir(parents=True)
        return {}

    monkeypatch.setattr(ui, "child", run)
    monkeypatch.setenv("LORA_CHAT_HOME", str(tmp_path / "person"))
    options = Namespace(base="tiny", runs=1, elia=None)
    for _ in range(2):
        ui.measure({"parts": ["lag"]}, options, tmp_path)
    assert before == [["config.toml", "models"]] * 2
    assert not list(tmp_path.glob("lag-*"))
