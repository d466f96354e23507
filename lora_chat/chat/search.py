"""Finding what was said. Owns how a person's words become a query; never changes anything.

Results are newest first: over 100,000 messages that takes about 1 ms where ranked ones take 150–250 ms, and a person
looking for "what was that again" means the recent one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lora_chat.chat.conversation import Conversation, Message
from lora_chat.chat.rows import message_of
from lora_chat.chat.store import Store
from lora_chat.text import clean, clean_line

_LONGEST_QUERY = 500
"""Characters that are looked at: SQLite limits the parts of an expression, and nobody types more."""

_CONTEXT = 40
"""Characters of a snippet on each side of the word found."""

# Thai, Lao, Myanmar, Khmer, kana, CJK ideographs: written without spaces, so the tokenizer sees a sentence as one word.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


@dataclass(frozen=True)
class Hit:
    """One message that holds all the words."""

    conversation: Conversation
    message: Message
    snippet: str
    """The words in one line of context, cleaned."""


def search(store: Store, text: str, limit: int = 20) -> list[Hit]:
    """Return the newest messages, of any branch, that hold every word of ``text``; the last may be a beginning.

    FTS5 syntax in the words means nothing: ``"``, ``*``, ``AND``, ``NEAR(`` are looked for, never obeyed.
    """
    words = clean(text)[:_LONGEST_QUERY].split()
    if not words:
        return []
    found = [message_of(row) for row in store.database.rows(*_query(words, limit))]
    conversations = {id: store.conversation(id) for id in {message.conversation for message in found}}
    return [Hit(conversations[m.conversation], m, _snippet(m.content, words)) for m in found]


def _query(words: list[str], limit: int) -> tuple[str, dict[str, object]]:
    """Words the index knows go through it; those it cannot cut out of a text are compared with the text itself."""
    scanned = [word for word in words if _UNSPACED.search(word) or not any(letter.isalnum() for letter in word)]
    indexed = [word for word in words if word not in scanned]
    tables, newest, conditions, values = "messages", "messages.id", [], dict[str, object](limit=limit)
    if indexed:
        # The index walked backwards stops after `limit` rows; an IN (SELECT …) would collect every match first.
        tables, newest = "messages_fts CROSS JOIN messages ON messages.id = messages_fts.rowid", "messages_fts.rowid"
        conditions.append("messages_fts MATCH :match")
        beginning = "*" if words[-1] is indexed[-1] else ""
        values["match"] = " ".join('"' + word.replace('"', '""') + '"' for word in indexed) + beginning
    for number, word in enumerate(scanned):
        conditions.append(f"messages.content LIKE :word{number} ESCAPE '\\'")
        values[f"word{number}"] = "%" + re.sub(r"([%_\\])", r"\\\1", word) + "%"
    where = " AND ".join(conditions)
    return f"SELECT messages.* FROM {tables} WHERE {where} ORDER BY {newest} DESC LIMIT :limit", values


def _snippet(content: str, words: list[str]) -> str:
    """One line around the first word found; the beginning where folding (é, ß) hides it."""
    places = [content.casefold().find(word.casefold()) for word in words]
    place = min((place for place in places if place >= 0), default=0)
    begin, end = max(0, place - _CONTEXT), place + 2 * _CONTEXT
    cut = clean_line(content[begin:end])
    return ("…" if begin else "") + cut + ("…" if end < len(content) else "")
