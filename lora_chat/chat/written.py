"""What the person wrote, as the prompt wants it again. Owns what was sent and what is not yet; never draws."""

from __future__ import annotations

import time

from lora_chat.chat.attached import words_of
from lora_chat.chat.store import Store
from lora_chat.text import clean

NEW = ""
"""In the place of an id: the conversation that is not begun yet."""

MOST = 200
"""Messages that come back."""

MOST_CHARACTERS = 2_000_000
"""Of all of them together: they are held in memory as long as the window stands."""

_AT_ONCE = 100
"""Rows that are read together."""

_FARTHEST = 20
"""Such readings: whoever sent one and the same message a thousand times waits no longer for it."""


def sent_before(store: Store) -> list[str]:
    """Return what was sent, in any conversation, as it is typed: files by name; newest first, and each once."""
    found: dict[str, None] = {}
    characters, before = 0, 2**62
    for _ in range(_FARTHEST):
        sql = "SELECT id, content FROM messages WHERE role = 'user' AND id < ? ORDER BY id DESC LIMIT ?"
        rows = store.database.rows(sql, (before, _AT_ONCE))
        for row in rows:
            words = words_of(row["content"])
            typed = f"/{words}" if words.startswith("/") else words  # else it is a command
            if typed in found or not typed.strip():
                continue
            characters += len(typed)
            if len(found) == MOST or characters > MOST_CHARACTERS:
                return list(found)
            found[typed] = None
        if len(rows) < _AT_ONCE:
            break
        before = rows[-1]["id"]
    return list(found)


def keep_draft(store: Store, conversation: str, text: str) -> None:
    """Keep what stands unsent in the conversation of that id; a blank text, or one of a deleted one, is not kept.

    Raises:
        StoreError: the disk, the file or another program stands in the way.
    """
    with store.database.writing() as connection:
        connection.execute("DELETE FROM drafts WHERE conversation = ?", (conversation,))
        if text.strip():
            connection.execute(
                "INSERT INTO drafts SELECT :id, :text, :now"
                " WHERE :id = '' OR EXISTS (SELECT 1 FROM conversations WHERE id = :id)",
                {"id": conversation, "text": clean(text), "now": time.time()},
            )


def draft_of(store: Store, conversation: str) -> str:
    """Return what stands unsent there; empty where nothing does."""
    found = store.database.rows("SELECT text FROM drafts WHERE conversation = ?", (conversation,))
    return str(found[0]["text"]) if found else ""
