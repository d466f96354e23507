"""``lora-chat check``: whether what was taught is known. Owns flags, table and JSON; asking is ``sitting``'s.

``--list``, ``--export``, ``--reword``, ``--also``, ``--must`` and ``--must-not`` ask nothing of a model: they are about
the checks themselves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lora_chat.cli import names

if TYPE_CHECKING:
    from lora_chat.adapters.registry import Adapter
    from lora_chat.services import Services
    from lora_chat.sitting.checking import Checking
    from lora_chat.training.proof.check import Check
    from lora_chat.training.proof.line import Line
    from lora_chat.training.proof.proving import Found, Outcome

SHORT = 6
"""Digits of a check's id that are shown at least: any beginning that only one has names it."""
WRONG = 4
"""Exit code when a check does not hold."""


def check(
    adapter: Annotated[
        str | None,
        typer.Argument(help="An adapter's name; all that have checks without one.", autocompletion=names.adapters),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the checks with their ids.")] = False,
    reword: Annotated[bool, typer.Option("--reword", help="Propose other wordings, keep those you confirm.")] = False,
    also: Annotated[
        tuple[str, str] | None, typer.Option(metavar="ID WORDS", help="Ask that question in these words of yours too.")
    ] = None,
    must: Annotated[
        tuple[str, str] | None, typer.Option(metavar="ID WORDS", help="What an answer must mention, with commas.")
    ] = None,
    must_not: Annotated[
        tuple[str, str] | None, typer.Option(metavar="ID WORDS", help="What it must not mention; empty takes it back.")
    ] = None,
    export: Annotated[Path | None, typer.Option(help="Write the checks to this new file, as JSON lines.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Confirm every wording.")] = False,
) -> None:
    """Ask again what an adapter was taught: exit code 0 when every check holds, 4 when one does not."""
    from lora_chat.errors import UsageError
    from lora_chat.services import open_services
    from lora_chat.training.proof.line import Line

    said = any(each is not None for each in (also, must, must_not))
    edits = [list_, reword, said, export is not None]
    if sum(edits) > 1 or (any(edits) and json):
        raise UsageError(
            "--list, --reword, --also with --must and --must-not, --export and --json are asked for one at a time."
        )
    if any(edits) and adapter is None:
        raise UsageError("Say whose checks: lora-chat check NAME, then what to do with them.")
    with open_services() as services:
        named = None if adapter is None else services.adapters().get(adapter)
        if named is None or not any(edits):
            _ask(services, named, json=json)
            return
        line = Line.of(named.name, services.paths)
        if export is not None:
            _export(named.name, line, export)
        elif reword:
            _reword(named, line, yes=yes)
        elif list_:
            _list(named, line)
        else:
            _edit(named, line, also, must, must_not)


# Asking


def _ask(services: Services, named: Adapter | None, *, json: bool) -> None:
    from lora_chat.cli.ask import cancelled_by_ctrl_c
    from lora_chat.cli.console import answer, answer_json, note
    from lora_chat.errors import Interrupted
    from lora_chat.sitting.checking import HOW_THEY_COME
    from lora_chat.training.proof.line import Line

    mine = [each for each in services.adapters().adapters if each.origin == "user"] if named is None else [named]
    found = [each for each in mine if Line.of(each.name, services.paths).checks(each.version)]
    done: list[tuple[Checking, Outcome]] = []
    if not found:
        note(f"{named.name if named else 'No adapter'} has {'no ' if named else ''}checks yet: {HOW_THEY_COME}.")
    with cancelled_by_ctrl_c() as cancel:
        for checking in _ready(services, found, alone=named is not None):
            outcome = asked(checking, cancel)
            done.append((checking, outcome))
            if not json:
                tell(checking, outcome)
                answer(f"{checking.name} {checking.version}: {outcome.sentence}")
            if cancel.is_set():
                break
    if json:
        answer_json({"adapters": [_facts(checking, outcome) for checking, outcome in done]})
    if cancel.is_set():
        raise Interrupted("Stopped; what was asked so far is kept.")
    if len(done) < len(found) or any(outcome.wrong for _, outcome in done):
        raise typer.Exit(WRONG)


def _ready(services: Services, adapters: Sequence[Adapter], *, alone: bool) -> Iterator[Checking]:
    """Each with an engine on its base; one that cannot be asked is told of, and refused where it is the only one."""
    from lora_chat.cli.adapter.places import base_for
    from lora_chat.cli.console import note
    from lora_chat.engine.protocol import Engine
    from lora_chat.errors import LoraChatError
    from lora_chat.sitting.checking import Checking, refuse_another_base

    engines: dict[str, Engine] = {}
    for adapter in adapters:
        try:
            here = None if services.is_served else base_for(services.paths, "", adapter.base_model)
            base = services.answerer(here or services.base_to_begin_with(None))
            refuse_another_base(adapter, base, services)
        except LoraChatError as error:
            if alone:
                raise
            note(f"{adapter.name} is not checked: {error}")
            continue
        if base.name not in engines:
            engines[base.name] = services.engine_here(here)
        yield Checking(adapter, engines[base.name], services.paths)


def asked(checking: Checking, cancel: threading.Event, say: Callable[[str], str] = str) -> Outcome:
    """Ask them, with progress on stderr, told by ``say``. Raises as ``Checking.ask``."""
    from lora_chat.cli.console import progress_bar

    chosen, what = checking.in_order(), f"{say('Checking')} {checking.name}"
    with progress_bar() as progress:
        progress(what, 0, len(chosen))
        for number, _ in enumerate(checking.ask(cancel, chosen), 1):
            progress(what, number, len(chosen))
    return checking.outcome()


def tell(checking: Checking, outcome: Outcome, say: Callable[[str], str] = str) -> None:
    """A table of what does not hold, where anything does not; ``say`` says its heads."""
    from lora_chat.cli.console import answer_table
    from lora_chat.text import clean_line

    digits = _digits(checking.checks())
    rows = [
        [each.id[:digits], clean_line(question, 40), clean_line(each.wanted, 40), clean_line(said, 60)]
        for each, proved in outcome.wrong
        for question, said in proved.wrong
    ]
    if rows:
        answer_table([say(head) for head in ("ID", "QUESTION", "TAUGHT", "SAYS")], rows)


def _digits(checks: Sequence[Check]) -> int:
    """How many of an id's digits tell these apart."""
    ids = {each.id for each in checks}
    return next((count for count in range(SHORT, 12) if len({id[:count] for id in ids}) == len(ids)), 12)


def _facts(checking: Checking, outcome: Outcome) -> dict[str, Any]:
    """The contract of ``check --json``; ``left`` counts those that were not asked."""
    return {
        "adapter": checking.name,
        "version": checking.version,
        "of": outcome.of,
        "held": outcome.held,
        "new": outcome.new,
        "left": outcome.left,
        "lost": [said for found in outcome.lost for said in _said(found)],
        "wrong": [said | {"check": found[0].id} for found in outcome.wrong for said in _said(found)],
    }


def _said(found: Found) -> Iterator[dict[str, str]]:
    check, proved = found
    for question, said in proved.wrong:
        yield {"question": question, "taught": check.answer, "answer": said}


# The checks themselves


def _checks(name: str, line: Line, version: str = "") -> list[Check]:
    """Those of what that version was taught, or of all versions."""
    from lora_chat.errors import NotFoundError
    from lora_chat.sitting.checking import HOW_THEY_COME

    if not (found := line.checks(version)):
        raise NotFoundError(f"{name} has no checks yet: {HOW_THEY_COME}.")
    return found


def _export(name: str, line: Line, path: Path) -> None:
    """Write them as the person's own file, which is never written over."""
    from lora_chat.cli.console import note
    from lora_chat.files import write_new
    from lora_chat.training.lesson_file import to_lines, turn_rows

    rows = []
    for each in _checks(name, line):
        before = {"messages": turn_rows(each.messages)} if len(each.messages) > 1 else {}
        words = {"must": each.must, "must_not": each.must_not, "rewordings": each.rewordings}
        rows.append({"check": each.id, "question": each.question, "answer": each.answer} | words | before)
    write_new(path, to_lines(rows))
    many = f"{len(rows):,} check{'' if len(rows) == 1 else 's'}"
    note(f"{many} of {name} in {path}: your own words, readable by you alone.")


def _reword(adapter: Adapter, line: Line, *, yes: bool) -> None:
    from dataclasses import replace

    from lora_chat.cli.console import answer, confirm, note
    from lora_chat.text import clean_line
    from lora_chat.training.proof.rewording import to_ask

    kept = 0
    for each in _checks(adapter.name, line, adapter.version):
        proposed = [words for words in to_ask(each.question) if words not in each.rewordings]
        if not proposed:
            continue
        note(clean_line(each.question, 200))
        agreed = tuple(words for words in proposed if confirm(f"  in these words: {words}", yes=yes))
        kept += len(agreed)
        if agreed:
            line.change(replace(each, rewordings=each.rewordings + agreed))
    answer(f"{kept:,} wording{' is' if kept == 1 else 's are'} added: `lora-chat check {adapter.name}` asks them.")


def _list(adapter: Adapter, line: Line) -> None:
    from lora_chat.cli.console import answer_table
    from lora_chat.text import clean_line

    checks = _checks(adapter.name, line, adapter.version)
    digits = _digits(checks)
    rows = [
        [each.id[:digits], clean_line(words, 60), clean_line(each.wanted, 80) if words == each.question else "the same"]
        for each in checks
        for words in (each.question, *each.rewordings)
    ]
    answer_table(["ID", "QUESTION", "WANTED"], rows)


def _edit(
    adapter: Adapter,
    line: Line,
    also: tuple[str, str] | None,
    must: tuple[str, str] | None,
    must_not: tuple[str, str] | None,
) -> None:
    from dataclasses import replace

    from lora_chat.cli.console import answer
    from lora_chat.errors import UsageError
    from lora_chat.text import clean_line
    from lora_chat.training.proof.check import split_words

    if also is not None:
        each, words = _one(adapter, line, also[0]), clean_line(also[1])
        if not words:
            raise UsageError("Say in which words it is asked too: --also ID WORDS.")
        if words not in (each.question, *each.rewordings):
            line.change(replace(each, rewordings=(*each.rewordings, words)))
    if must is not None:
        each = _one(adapter, line, must[0])
        line.change(replace(each, must=split_words(must[1])))
    if must_not is not None:
        each = _one(adapter, line, must_not[0])
        line.change(replace(each, must_not=split_words(must_not[1])))
    for id in dict.fromkeys(wanted[0] for wanted in (also, must, must_not) if wanted):
        each = _one(adapter, line, id)
        ways = f" (asked in {1 + len(each.rewordings):,} ways)" if each.rewordings else ""
        answer(f"{clean_line(each.question, 60)}{ways}: {clean_line(each.wanted, 200)}")


def _one(adapter: Adapter, line: Line, id: str) -> Check:
    """The check that ``id`` begins, of what the worn version was taught.

    Raises:
        NotFoundError: none, or several.
    """
    from lora_chat.errors import NotFoundError
    from lora_chat.text import clean_line

    found = [each for each in line.checks(adapter.version) if id and each.id.startswith(id)]
    if len(found) != 1:
        many = f"{len(found):,} checks begin with" if found else "No check begins with"
        listed = f"`lora-chat check {adapter.name} --list` lists them all."
        raise NotFoundError(f'{many} "{clean_line(id, 40)}": {listed}')
    return found[0]
