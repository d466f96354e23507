"""The titles that people gave, ready to be looked through. Owns when they are read again; never changes one."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from lora_chat.chat.database import Database
from lora_chat.chat.words import folded, holds_all, longest_part
from lora_chat.text import clean_line

TITLE_LENGTH = 60
"""Characters of the first user message that become the title of an untitled conversation."""

# Of most conversations the title is the beginning of the first question, to the letter: SQLite sorts those out.
_GIVEN = f"""
    SELECT id, title FROM conversations WHERE title <> '' AND NOT EXISTS (
        SELECT 1 FROM messages WHERE conversation = conversations.id AND parent IS NULL AND role = 'user' AND (
            content = title
            OR length(title) = {TITLE_LENGTH} AND substr(title, {TITLE_LENGTH}) = '…'
            AND substr(content, 1, {TITLE_LENGTH - 1}) = substr(title, 1, {TITLE_LENGTH - 1})
        )
    ) ORDER BY updated_at DESC, rowid DESC
"""


class Titles:
    """All given titles as one text, which is searched in a thousandth of the time that reading them takes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._titles: list[tuple[str, str]] = []
        self._text = ""
        self._starts: list[int] = []

    def with_words(self, words: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Conversations by id and title whose given title holds all ``words``, newest first.

        Raises:
            StoreError: the disk, the file or another program stands in the way.
        """
        titles, text, starts = self._read()
        part, at = longest_part(words), 0
        while titles and (at := text.find(part, at)) >= 0:
            place = bisect_right(starts, at) - 1
            id, title = titles[place]
            if holds_all(title, words) and not self._is_made_of_a_message(id, title):
                yield id, title
            if place + 1 == len(titles):
                return
            at = starts[place + 1]

    def _read(self) -> tuple[list[tuple[str, str]], str, list[int]]:
        """What there is now; read again only where something was written since, here or by another program."""
        with self._lock, self._database.reading():
            stamp = self._database.stamp()
            if stamp != self._stamp:
                self._titles = [(row["id"], row["title"]) for row in self._database.rows(_GIVEN)]
                lines = [f"{folded(title)}\n" for _, title in self._titles]
                self._text, self._starts, at = "".join(lines), [], 0
                for line in lines:
                    self._starts.append(at)
                    at += len(line)
                self._stamp = stamp
            return self._titles, self._text, self._starts

    def _is_made_of_a_message(self, id: str, title: str) -> bool:
        """Also where cleaning changed the message's beginning, which SQLite cannot tell."""
        sql = "SELECT content FROM messages WHERE conversation = ? AND parent IS NULL AND role = 'user'"
        return any(clean_line(row["content"], TITLE_LENGTH) == title for row in self._database.rows(sql, (id,)))
