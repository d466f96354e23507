"""Finding what was said. Owns how a person's words become a query; never changes anything.

Results are newest first: over 100,000 messages that takes about 1 ms where ranked ones take 150–250 ms, and a person
looking for "what was that again" means the recent one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from lora_chat.chat.attached import parted
from lora_chat.chat.conversation import Conversation, Message
from lora_chat.chat.rows import messages_of
from lora_chat.chat.store import Store
from lora_chat.chat.words import is_indexed, spans
from lora_chat.text import clean, clean_line

_LONGEST_QUERY = 500
"""Characters that are looked at: SQLite limits the parts of an expression, and nobody types more."""

_CONTEXT = 40
"""Characters of a snippet on each side of the word found."""


@dataclass(frozen=True)
class Hit:
    """One message that holds all the words, or a conversation whose title does."""

    conversation: Conversation
    message: Message | None
    """None where it is the title."""
    snippet: str
    """The words in one line of context, cleaned."""

    @property
    def at(self) -> float:
        """When it was said, in Unix seconds; of a title when its conversation was last gone on with."""
        return self.conversation.updated_at if self.message is None else self.message.created_at


def words_of(text: str) -> list[str]:
    """What is looked for where a person writes ``text``."""
    return clean(text)[:_LONGEST_QUERY].split()


def search(store: Store, text: str, limit: int = 20) -> list[Hit]:
    """Return where every word of ``text`` stands; the last may be a beginning.

    First come conversations by their titles, as far as these were given, then messages of any branch; each newest
    first. FTS5 syntax in the words means nothing: ``"``, ``*``, ``AND``, ``NEAR(`` are looked for, never obeyed.
    """
    words = words_of(text)
    if not words:
        return []
    found = messages_of(store.database.rows(*_query(words, limit)))
    conversations = {id: store.conversation(id) for id in {message.conversation for message in found}}
    said = [Hit(conversations[m.conversation], m, _snippet(m.content, words)) for m in found]
    titled = list(islice(_titled(store, words), max(1, limit // 4, limit - len(said))))
    return [*titled, *said][:limit]


def _titled(store: Store, words: list[str]) -> Iterator[Hit]:
    """Those whose title holds the words; one that was made of a message is found by that."""
    for id, title in store.titles.with_words(words):
        yield Hit(store.conversation(id), None, clean_line(title))


def _query(words: list[str], limit: int) -> tuple[str, dict[str, object]]:
    """Words the index knows go through it; those it cannot cut out of a text are compared with the text itself."""
    scanned = [word for word in words if not is_indexed(word)]
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
    """One line around the first word found; where that is in a file of the message, behind the file's name."""
    written = parted(content)
    texts = [("", written.words), *((f"{clean_line(file.name, 60)}: ", file.text) for file in written.files)]
    name, text, places = next(
        ((name, text, places) for name, text in texts if (places := spans(text, words))), ("", written.words, [])
    )
    place = places[0][0] if places else 0
    begin, end = max(0, place - _CONTEXT), place + 2 * _CONTEXT
    cut = clean_line(text[begin:end])
    return name + ("…" if begin else "") + cut + ("…" if end < len(text) else "")
