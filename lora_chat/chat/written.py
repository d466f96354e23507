"""What the person wrote, as the prompt wants it again. Owns which of it that is; never draws and never sends."""

from __future__ import annotations

from lora_chat.chat.store import Store

MOST = 200
"""Messages that come back."""

MOST_CHARACTERS = 2_000_000
"""Of all of them together: they are held in memory as long as the window stands."""

_AT_ONCE = 100
"""Rows that are read together."""

_FARTHEST = 20
"""Such readings: whoever sent one and the same message a thousand times waits no longer for it."""


def sent_before(store: Store) -> list[str]:
    """Return what was sent, in any conversation, as it is typed; newest first, and each text once."""
    found: dict[str, None] = {}
    characters, before = 0, 2**62
    for _ in range(_FARTHEST):
        sql = "SELECT id, content FROM messages WHERE role = 'user' AND id < ? ORDER BY id DESC LIMIT ?"
        rows = store.database.rows(sql, (before, _AT_ONCE))
        for row in rows:
            typed = f"/{row['content']}" if row["content"].startswith("/") else row["content"]  # else it is a command
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
