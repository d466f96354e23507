"""The adapters, one row each. Owns their order, filter and look; what choosing one means is the screens' own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from rich.cells import cell_len
from textual.content import Content
from textual.theme import Theme
from textual.widgets.option_list import Option

from lora_chat.adapters.mixture import names_in
from lora_chat.adapters.registry import Adapter, Catalog, Problem
from lora_chat.language import tr
from lora_chat.sitting.standing import Standing
from lora_chat.text import clean_line
from lora_chat.tui.theme import accent_in
from lora_chat.tui.widgets.choices import Choices
from lora_chat.tui.widgets.columns import Cell, Column, Columns, Unseen, widest

Row = Adapter | Problem | None
"""None is the base alone."""

_WAITING = "…"
_NAME = 16
"""Cells of a name that stay where an effect needs room: half of "not measured" says nothing."""
_ROOM = 20
"""Cells that what an adapter says of itself takes at least; where there are fewer it is left out."""


class ShelfList(Choices):
    """Those that can be worn, then those that do not fit, then those that are broken; all say why."""

    def __init__(self, worn: str, base: str, *, with_base: bool = False, keeps_focus: bool = False) -> None:
        """``worn`` names the one worn or a mixture, or is empty; ``with_base`` has a row for wearing nothing."""
        super().__init__(keeps_focus=keeps_focus)
        self.worn = worn
        self._base, self._with_base = base, with_base
        self._catalog, self._standings, self._typed = Catalog(()), dict[str, Standing](), ""
        self._rows: list[Row] = []

    def on_mount(self) -> None:
        """Names have colours of their own, which depend on the theme."""
        self.app.theme_changed_signal.subscribe(self, self._recolour)

    def _recolour(self, _theme: Theme) -> None:
        self._draw()

    def show(self, catalog: Catalog, standings: Mapping[str, Standing]) -> None:
        """What is installed now; the same one stays looked at."""
        self._catalog, self._standings = catalog, dict(standings)
        self._draw()

    def filter(self, typed: str) -> None:
        """Only what ``typed`` can mean, the likeliest looked at."""
        self._typed = typed
        self._draw()
        self.highlighted = 0 if self._rows else None

    def look_at(self, name: str) -> None:
        """Look at the one called ``name``, where it is there."""
        names = [name_of(row) for row in self._rows]
        if name in names:
            self.highlighted = names.index(name)

    def look_at_worn(self) -> None:
        """Look at the one worn, of a mixture at its first part."""
        if self.worn:
            self.look_at(names_in(self.worn)[0])

    @property
    def looked_at(self) -> Row:
        """The one looked at."""
        at = self.highlighted
        return self._rows[at] if at is not None and at < len(self._rows) else None

    @property
    def standing(self) -> Standing | None:
        """How that one stands; None where it was not looked into yet."""
        return self._standings.get(name_of(self.looked_at))

    @property
    def is_empty(self) -> bool:
        """Whether it has no rows."""
        return not self._rows

    @property
    def can_wear(self) -> bool:
        """Whether what is looked at can be chosen."""
        row = self.looked_at
        if isinstance(row, Problem) or self.is_empty:
            return False
        return row is None or not (self.standing and self.standing.refusal)

    @property
    def matching(self) -> int:
        """How many adapters are listed."""
        return sum(isinstance(row, Adapter) for row in self._rows)

    def on_resize(self) -> None:
        """Another width has other columns."""
        self._draw()

    def _draw(self) -> None:
        at, before = self.highlighted, name_of(self.looked_at)
        found = matches(self._catalog.adapters, self._typed)
        found.sort(key=self._place)
        broken = [each for each in self._catalog.problems if is_meant(each.path.name, self._typed)]
        base: list[Row] = [None] if self._with_base and not self._typed.strip() else []
        self._rows = [*base, *found, *broken]
        columns = self._columns(found)
        self.set_options([Option(Unseen(partial(self._row, row, columns))) for row in self._rows])
        names = [name_of(row) for row in self._rows]
        if self._rows:
            self.highlighted = names.index(before) if before in names else min(at or 0, len(names) - 1)

    def _columns(self, found: Sequence[Adapter]) -> tuple[Column, ...]:
        name = max(widest([each.name for each in found], 26) + 1, cell_len(_nothing()))
        fits = widest([self._fit(each) for each in found] or [""], 22)
        measured = (tr(each.measured) for each in self._standings.values())
        effect = widest([tr("changes nothing"), *measured], 16)
        rest = (Column(cell_len(tr("worn"))), Column(max(fits, 6)), Column(effect))
        room = self.scrollable_content_region.width - sum(column.width + 2 for column in rest) - 2
        first = (Column(min(name, max(room, _NAME))), *rest)
        taken = sum(column.width + 2 for column in first)
        return (*first, Column()) if self.size.width - taken > _ROOM else (*first[:3], Column())

    def _refusal(self, adapter: Adapter) -> str:
        standing = self._standings.get(adapter.name)
        return standing.refusal if standing else ""

    def _place(self, adapter: Adapter) -> int:
        """What fits comes before what may, and that before what does not; a filter's order stays within each."""
        standing = self._standings.get(adapter.name)
        return 0 if standing is None else 2 if standing.refusal else 1 if standing.doubt else 0

    def _fit(self, adapter: Adapter) -> str:
        standing = self._standings.get(adapter.name)
        return tr(standing.fit(adapter.base_model)) if standing else _WAITING

    def _row(self, row: Row, columns: tuple[Column, ...]) -> Columns:
        """Name, whether it is worn, whether it fits, what it changes, and what it says of itself."""
        worn = _muted(tr("worn")) if name_of(row) in names_in(self.worn) else ""
        if isinstance(row, Problem):
            return self._refused(
                f"  {clean_line(row.path.name, 60)}", "", tr("broken"), tr(_without_place(row.reason)), columns
            )
        if row is None:
            answers = _muted(f"{clean_line(self._base, 40)} {tr('answers')}")
            return Columns((*columns[:2], Column()), [[_nothing(), worn, answers]])
        if refusal := self._refusal(row):
            return self._refused(f"▎{row.name}", worn, self._fit(row), tr(_without_name(refusal, row)), columns)
        standing = self._standings.get(row.name)
        style = "$text-warning" if standing and standing.doubt else "$text-muted"
        name = Content.styled(f"▎{row.name}", accent_in(row.name, self.app.current_theme))
        measured = _muted(tr(standing.measured) if standing else "")
        cells = (name, worn, Content.styled(self._fit(row), style), measured, clean_line(row.description))
        return Columns(columns, [cells[: len(columns)]])

    def _refused(self, name: str, worn: Cell, word: str, why: str, columns: tuple[Column, ...]) -> Columns:
        """One that cannot be worn: dimmed, and its reason takes all the room there is."""
        cells = (_muted(name), worn, _muted(word), _muted(clean_line(why, 300)))
        return Columns((*columns[:2], Column(cell_len(tr("cannot be used"))), Column()), [cells])


def _nothing() -> str:
    """How the row of the base alone is called."""
    return f"  {tr('nothing')}"


def _without_place(reason: str) -> str:
    """A row has no room for the path that most reasons begin with; the details have it."""
    return reason.partition(": ")[2] if reason.startswith("Cannot use ") else reason


def _without_name(refusal: str, adapter: Adapter) -> str:
    """Nor for what others begin with: the name, the bases, the place."""
    why = refusal.split("does not fit: ")[-1]
    return why.partition(f" in {adapter.path} ")[2] or why


def name_of(row: Row) -> str:
    """What it is called; the base alone has no name."""
    return "" if row is None else row.name if isinstance(row, Adapter) else row.path.name


def _muted(text: str) -> Content:
    return Content.styled(text, "$text-muted")


def matches(adapters: Sequence[Adapter], typed: str) -> list[Adapter]:
    """Those that ``typed`` can mean, the likeliest first.

    Linear in the text: Textual's fuzzy search tries every combination of places, and a stranger's name of 64 characters
    holds millions.
    """
    wanted = typed.strip().casefold()
    scored = [(_score(wanted, adapter.name, adapter.description), adapter) for adapter in adapters]
    return [adapter for score, adapter in sorted(scored, key=lambda pair: pair[0]) if score < _NO_MATCH]


def is_meant(name: str, typed: str) -> bool:
    """Whether ``typed`` can mean something of that name."""
    return _score(typed.strip().casefold(), name, "") < _NO_MATCH


_NO_MATCH = 4


def _score(wanted: str, called: str, says: str) -> int:
    """0 is best: it begins so, holds it, holds its letters in order, or says it of itself."""
    name = called.casefold()
    if name.startswith(wanted):
        return 0
    if wanted in name:
        return 1
    letters = iter(name)
    if all(letter in letters for letter in wanted):
        return 2
    said = says.casefold()
    return 3 if all(word in said for word in wanted.split()) else _NO_MATCH
