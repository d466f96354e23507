"""How commands speak. Owns stdout for answers and stderr for progress; never decides what is said.

Every text is made harmless for the terminal here, so nothing a model, a transcript or an adapter says can steer it.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from lora_chat.cli.folding import fold
from lora_chat.errors import Interrupted, LoraChatError, UsageError
from lora_chat.language import tr
from lora_chat.text import clean, clean_line

_LEAST_CUT = 10
"""Cells that a column keeps which gives way."""


def answer(text: str = "") -> None:
    """Print one line of the answer."""
    print(clean(text), flush=True)  # noqa: T201


def stream(text: str) -> None:
    """Print a piece of the answer as it comes."""
    print(clean(text), end="", flush=True)  # noqa: T201


def note(text: str) -> None:
    """Print one line of progress or advice."""
    print(clean(text), file=sys.stderr, flush=True)  # noqa: T201


def answer_json(value: Any) -> None:
    """Print one JSON object on one line, in ASCII where its text could harm a terminal or stdout is not UTF-8."""
    line = json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    if not utf8 or clean(line) != line:
        line = json.dumps(value, ensure_ascii=True, allow_nan=False, default=str)
    print(line, flush=True)  # noqa: T201


@contextmanager
def told_as_json(json: bool) -> Iterator[None]:
    """A program that reads the events reads of a refusal there too; it is raised all the same."""
    try:
        yield
    except Interrupted:
        raise
    except LoraChatError as error:
        if json:
            answer_json({"event": "failed", "reason": str(error)})
        raise


def answer_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = (), cut: Sequence[int] = ()
) -> None:
    """Print aligned columns, those of ``right`` at their right end; foreign text is cleaned.

    Wide characters count as the two cells they take. At a terminal that is too narrow the columns of ``cut`` give way,
    one after the other, and end in ``…``; what goes to a pipe or a file is whole.
    """
    from rich.cells import cell_len

    cells = [[clean_line(cell) for cell in row] for row in rows]
    widths = [max(cell_len(row[i]) for row in [list(head), *cells]) for i in range(len(head))]
    if cut and sys.stdout.isatty():
        over = sum(widths) + 2 * (len(widths) - 1) - shutil.get_terminal_size().columns
        for i in cut:
            least = max(cell_len(head[i]), min(widths[i], _LEAST_CUT))
            widths[i], over = max(widths[i] - max(over, 0), least), over - (widths[i] - least)
        cells = [[_cut(cell, width) for cell, width in zip(row, widths, strict=True)] for row in cells]
    for row in [list(head), *cells]:
        room = [" " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
        padded = (room[i] + cell if i in right else cell + room[i] for i, cell in enumerate(row))
        answer("  ".join(padded).rstrip())


def _cut(text: str, width: int) -> str:
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def folded(line: str, indent: int) -> str:
    """``line``, broken between words where the person's terminal ends; what follows stands below column ``indent``."""
    if not sys.stderr.isatty():
        return line
    width = max(shutil.get_terminal_size().columns, 20)
    indent = indent if width - indent >= 24 else 4
    return fold(line, width, indent)


def is_interactive() -> bool:
    """Whether a person sits at both ends: stdin and stderr are terminals."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str, *, yes: bool, loses: bool = False) -> bool:
    """Ask on stderr, in the person's language; ``yes`` answers for them. Without a terminal nobody can answer.

    Enter alone agrees, but not where something would be lost (``loses``). 是 is yes too, whatever language is spoken.

    Raises:
        UsageError: no terminal and no ``--yes``.
    """
    if yes:
        return True
    if not is_interactive():
        raise UsageError(f"{question} Nobody is at a terminal to answer: repeat the command with --yes.")
    choices = "[y/N]" if loses else "[Y/n]"
    print(f"{clean_line(tr(question))} {choices} ", end="", file=sys.stderr, flush=True)  # noqa: T201
    line = sys.stdin.readline()
    if not line:  # Ctrl-D is no consent
        note("")
    agreeing = {"y", "yes", "是"} if loses else {"", "y", "yes", "是"}
    return line.endswith("\n") and line.strip().lower() in agreeing


def choose(question: str, answers: Sequence[str]) -> str:
    """Ask on stderr for one of ``answers``, or its beginning; anything else, and Enter alone, is the last one."""
    print(f"{clean_line(question)} [{'/'.join(answers)}] ", end="", file=sys.stderr, flush=True)  # noqa: T201
    line = sys.stdin.readline()
    if not line:  # Ctrl-D chooses nothing
        note("")
    said = line.strip().lower()
    return next((each for each in answers if said and each.startswith(said)), answers[-1])


class Progress(Protocol):
    """Tells how far something is: ``what`` in words, ``done`` of ``total`` in any unit; total 0 means unknown."""

    def __call__(self, what: str, done: float, total: float, figures: str = "") -> None:
        """Say it; cheap enough to be called for every block."""


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A progress bar on stderr; on a pipe one line for each new thing instead."""
    if not sys.stderr.isatty():
        seen: set[str] = set()

        def say(what: str, done: float, total: float, figures: str = "") -> None:
            if what not in seen:
                seen.add(what)
                note(f"{what} …")

        yield say
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
    )
    with RichProgress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}
        endless: list[str] = []

        def show(what: str, done: float, total: float, figures: str = "") -> None:
            if what not in tasks:
                while endless:  # nobody could tell how far it was: it is over
                    bar.remove_task(tasks.pop(endless.pop()))
                tasks[what] = bar.add_task(what, total=total or None, figures=figures)
                if not total:
                    endless.append(what)
            bar.update(tasks[what], completed=done, total=total or None, figures=figures)

        yield show
