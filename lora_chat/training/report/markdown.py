"""A report to read and to hand on: Markdown. Owns its order and the escaping of what others wrote; never measures."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from lora_chat.text import clean_line
from lora_chat.training.report.words import (
    KINDS,
    clock,
    count_of,
    distance,
    fired,
    is_offered,
    left_out,
    losses,
    number,
    offer,
    origin,
    rows,
    size,
    steps,
    verdict,
)

if TYPE_CHECKING:
    from lora_chat.training.events import Wrong
    from lora_chat.training.proof.result import Exam
    from lora_chat.training.report.record import Record

LONGEST = 160
"""Characters of a text in a table."""

_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"})
"""A bar ends a cell whatever stands before it, and a tag begins where Markdown has no say."""
_SPECIAL = re.compile(r"[\\`*_{}\[\]#~$@^=]|:(?=//)|(?<=www)\.|!(?=\[)", re.IGNORECASE)
_AT_START = re.compile(r"^(\d*)([-+.)])(?=[-\s]|$)")
"""Where a paragraph begins with it, it may begin a list."""
_HOW = (
    "How this was asked: the questions in other words and the near misses are made by rules from what was taught, "
    "which know English only; every answer is greedy, the likeliest token each time; intervals are Wilson's, 95 %."
)


def to_markdown(record: Record) -> str:
    """The whole report."""
    parts = [
        *_head(record),
        *_saw(record),
        *_losses(record),
        *_learnt(record),
        *_checks(record),
        *_answers(record),
        *_cost(record),
    ]
    return (
        "\n\n".join([*parts, _HOW if record.exam else "Nobody asked this version questions of its own.", ""]).rstrip()
        + "\n"
    )


def _head(record: Record) -> Iterator[str]:
    yield f"# {escaped(record.adapter)} {escaped(record.version)}"
    yield f"**{escaped(verdict(record.report, record.checks, record.exam), 0)}**"
    if record.kept:
        yield f"It was kept and not worn by itself: {escaped(record.kept, 400)}"
    if record.unchecked:
        yield f"Not all is checked: {escaped(record.unchecked, 400)}"
    grew = f", grown from {escaped(record.after)}" if record.after else ""
    yield f"On {escaped(record.base)}{grew}, from {escaped(origin(record.source))}{_day(record.made)}."


def _day(made: float) -> str:
    with suppress(OverflowError, ValueError, OSError):
        return f", {datetime.datetime.fromtimestamp(made):%Y-%m-%d %H:%M}"
    return ""


def _saw(record: Record) -> Iterator[str]:
    if (saw := record.saw) is None:
        return
    yield "## What it saw"
    yield _list(
        f"{count_of(saw.conversations, 'conversation')} with {count_of(saw.examples, 'example')}",
        f"{saw.tokens:,} tokens, {saw.supervised_tokens:,} of them supervised",
        f"{record.replayed:,} of an earlier version, replayed" if record.replayed else "",
        f"left out: {_counts(saw.dropped)}" if saw.dropped else "nothing left out",
        f"masked: {_counts(saw.private)}"
        if saw.private
        else f"masked: {saw.redacted:,} pieces"
        if saw.redacted
        else "",
        f"private and learnt as said: {_counts(saw.kept)}" if saw.kept else "",
    )


def _losses(record: Record) -> Iterator[str]:
    report = record.report
    yield "## Losses"
    first = record.losses[0] if record.losses else None
    train = [["train", "" if first is None else number(first), number(report.train_loss_after)]]
    yield _table(
        ["nats per token", "before", "after"],
        [*train, *([name, number(before), number(after)] for name, before, after in losses(report))],
    )
    if report.forgot:
        yield f"It forgot: {escaped(report.forgot, 400)}"


def _learnt(record: Record) -> Iterator[str]:
    exam, report = record.exam, record.report
    if exam is None and not distance(report):
        return
    yield "## What it learnt"
    if exam is not None:
        yield _shares(exam)
    if far := distance(report):
        tokens = f" ({report.general_tokens:,} tokens)" if report.general_tokens else ""
        yield f"KL from the base on general answers{tokens}, nats per token: {far}."
    yield from (escaped(sentence, 0) for sentence, _ in left_out(exam))
    if fired(exam):
        yield (
            "To mend the near misses marked ✗ below: ask one of them in the chat, write the answer you want there, "
            "then `/train continue`."
        )
    if exam is not None and exam.prompted is not None:
        offered = f" {offer(record.adapter, record.version)}" if is_offered(exam) else ""
        yield escaped(exam.prompted.sentence, 0) + offered


def _shares(exam: Exam) -> str:
    prompted = exam.prompted
    head = ["", "adapter"]
    same = prompted is not None and prompted.adapter == exam.scores
    if prompted is not None:
        head += [] if same else ["adapter, of what both were asked"]
        head.append(f"base with the {count_of(prompted.examples, 'example')} in its prompt")
    body = []
    for row, key in zip(rows(exam), ("taught", "recall", "near", "far"), strict=True):
        cells = [row.said, row.adapter.sentence]
        if prompted is not None and row.prompted is not None:
            cells += [] if same else [getattr(prompted.adapter, key).sentence]
            cells.append(row.prompted.sentence)
        body.append(cells)
    return _table(head, body)


def _checks(record: Record) -> Iterator[str]:
    if (checks := record.checks) is None:
        return
    yield "## Checks"
    told = [f"{checks.held:,} of {checks.of:,} hold", f"{checks.new:,} new", f"{len(checks.lost):,} lost"]
    yield ", ".join([*told, f"{checks.unasked:,} not asked"] if checks.unasked else told) + "."
    if checks.wrong:
        yield _table(
            ["asked", "taught", "says instead", ""],
            [_wrong(each, "lost" if each in checks.lost else "") for each in checks.wrong],
        )


def _wrong(wrong: Wrong, mark: str) -> list[str]:
    return [escaped(wrong.question), escaped(wrong.taught), escaped(wrong.answer), mark]


def _answers(record: Record) -> Iterator[str]:
    if record.exam is None or not record.exam.answers:
        return
    answers = record.exam.answers
    has_prompted = any(each.prompted is not None for each in answers)
    yield "## Side by side"
    yield _table(
        ["asked", "kind", "wanted", "base", "adapter", *(["base with examples"] if has_prompted else [])],
        [
            [
                escaped(each.question),
                KINDS[each.kind],
                escaped(each.wanted),
                escaped(each.base or ""),
                f"{_mark(each.right)} {escaped(each.adapter)}",
                *([f"{_mark(each.prompted_right)} {escaped(each.prompted or '')}".strip()] if has_prompted else []),
            ]
            for each in answers
        ],
    )


def _mark(right: bool | None) -> str:
    return "" if right is None else "✓" if right else "✗"


def _cost(record: Record) -> Iterator[str]:
    report = record.report
    yield "## Time and size"
    yield _list(
        f"{clock(report.seconds)}, {steps(report.steps)}, {report.tokens:,} tokens, "
        f"{report.tokens_per_second:,.0f} a second",
        f"ended: {escaped(report.stopped_because)}",
        f"{size(report.memory)} of memory at most" if size(report.memory) else "",
        f"{report.trainable_parameters:,} trainable parameters of {report.total_parameters:,} "
        f"({report.trainable_percent:.2f} %)",
        f"recipe: {', '.join(f'{escaped(str(key))} {escaped(str(value))}' for key, value in record.recipe.items())}"
        if record.recipe
        else "",
        f"lessons: {escaped(report.dataset_sha256)}" if report.dataset_sha256 else "",
    )


# Markdown


def escaped(text: str, longest: int = LONGEST) -> str:
    """``text`` as a reader of Markdown sees it: one line, cut at ``longest``, nothing of it is markup."""
    line = clean_line(text, longest)
    line = _SPECIAL.sub(lambda found: f"\\{found.group()}", line).translate(_ENTITIES)
    return _AT_START.sub(r"\1\\\2", line)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {escaped(what)}" for what, count in counts.items())


def _list(*lines: str) -> str:
    return "\n".join(f"- {line}" for line in lines if line)


def _table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
