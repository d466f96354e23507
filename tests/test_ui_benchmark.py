"""What the benchmark of the window puts into a store and a reply is what it says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lora_chat.chat.search import search
from lora_chat.chat.store import Store

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
if sys.platform == "win32":
    pytest.skip("pseudo-terminals are POSIX", allow_module_level=True)

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
