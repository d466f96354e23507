"""The list of checks: each question with its other wordings beneath. Owns how a row looks; never asks or keeps one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from textual.content import Content
from textual.widgets.option_list import Option

from lora_chat.chat.attached import words_of
from lora_chat.language import tr
from lora_chat.text import clean_line
from lora_chat.training.proof.check import Check
from lora_chat.training.proof.line import Proved
from lora_chat.tui.widgets.choices import Choices
from lora_chat.tui.widgets.columns import Cell, Column, Columns

CHECK = (Column(1), Column(), Column())
"""Mark, question, what was taught; below that what it says where that is wrong."""
_WORDING = (Column(1), Column(1), Column())
_LONGEST = 400

Mark = tuple[str, str]
"""A letter and its colour."""
HOLDS: Mark = ("✓", "$success")
WRONG: Mark = ("✗", "$warning")
LOST: Mark = ("✗", "$error")
UNASKED: Mark = ("·", "$text-muted")
ASKING: Mark = ("…", "$text-muted")
PROPOSED: Mark = ("?", "$primary")


@dataclass(frozen=True)
class Row:
    """One line of the list."""

    check: Check
    wording: str = ""
    """Empty on the check's own row."""

    @property
    def key(self) -> tuple[str, str]:
        """The same however the check is changed."""
        return self.check.id, self.wording

    @property
    def proposed(self) -> bool:
        """Whether the person has not confirmed this wording yet."""
        return bool(self.wording) and self.wording not in self.check.rewordings


@dataclass(frozen=True)
class Known:
    """What came of the checks so far."""

    found: Mapping[str, Proved]
    lost: frozenset[str] = frozenset()
    """The ids of those that the version before knew and this one does not."""
    asking: str = ""
    """The id of the one that is being asked."""

    def said(self, row: Row) -> str | None:
        """What was answered where that is wrong; None where it is right or was not asked."""
        proved = self.found.get(row.check.id)
        asked = row.wording or row.check.question
        return next((said for each, said in proved.wrong if each == asked), None) if proved else None

    def mark(self, row: Row) -> Mark:
        """One letter and its colour; a check holds with all of its wordings."""
        proved = self.found.get(row.check.id)
        if row.proposed:
            return PROPOSED
        if proved is None:
            return ASKING if row.check.id == self.asking and not row.wording else UNASKED
        wrong = self.said(row) is not None if row.wording else not proved.held
        return (LOST if row.check.id in self.lost else WRONG) if wrong else HOLDS


class CheckRows(Choices):
    """Looked at one by one."""

    def __init__(self) -> None:
        super().__init__(keeps_focus=True)
        self.rows: list[Row] = []
        self._drawn: list[tuple[str, ...]] = []

    @property
    def looked_at(self) -> Row | None:
        """The highlighted row."""
        at = self.highlighted
        return self.rows[at] if at is not None and at < len(self.rows) else None

    def show(self, rows: Sequence[Row], known: Known) -> None:
        """Draw these; the looked-at one stays so, or what takes its place."""
        before, looked_at, at = [row.key for row in self.rows], self.looked_at, self.highlighted
        self.rows = list(rows)
        drawn = [tuple(_texts(row, known)) for row in rows]
        keys = [row.key for row in rows]
        if keys == before:
            for place, texts in enumerate(drawn):
                if texts != self._drawn[place]:
                    self.replace_option_prompt_at_index(place, _line(rows[place], texts))
        else:
            self.set_options([Option(_line(row, texts)) for row, texts in zip(rows, drawn, strict=True)])
            stays = looked_at is not None and looked_at.key in keys
            self.highlighted = keys.index(looked_at.key) if looked_at and stays else min(at or 0, len(keys) - 1)
        self._drawn = drawn

    def look_at(self, key: tuple[str, str]) -> None:
        """Highlight that row."""
        self.highlighted = [row.key for row in self.rows].index(key)


def _texts(row: Row, known: Known) -> Iterator[str]:
    """All that is drawn of a row, beginning with its mark."""
    yield from known.mark(row)
    said = known.said(row)
    shown = [row.wording] if row.wording else [words_of(row.check.question), row.check.wanted]
    for text in (*shown, "" if said is None else said or tr("nothing")):
        yield clean_line(text[:_LONGEST])


def _line(row: Row, texts: Sequence[str]) -> Columns:
    letter, colour, *shown, said = texts
    mark, instead = Content.styled(letter, colour), Content.styled(f"→ {said}", colour)
    below: list[list[Cell]] = [["", "", instead]] if said else []
    if not row.wording:
        return Columns(CHECK, [[mark, *shown], *below])
    words = Content.styled(shown[0], "$text-muted" if row.proposed else "")
    return Columns(_WORDING, [["", mark, words], *below])
