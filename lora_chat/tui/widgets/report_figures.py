"""What a training's report is made of, as rows. Owns how its figures and answers are told; never lays out a screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from textual.content import Content

from lora_chat.chat.attached import words_of
from lora_chat.language import tr
from lora_chat.sitting.comparison import Compared
from lora_chat.text import clean, clean_line
from lora_chat.training.events import Checked, Report
from lora_chat.training.proof.result import Answered, Exam
from lora_chat.training.report.record import Record
from lora_chat.training.report.words import KINDS, count_of, left_out, number, rows, saw, size
from lora_chat.tui.screens.training import spoken_clock
from lora_chat.tui.widgets.columns import Cell, Column, Columns, widest
from lora_chat.tui.widgets.question import folded

MOST_SHOWN = 3
"""Checks that do not hold; ``/check`` shows all of them."""
MOST_ANSWERS = 40
"""Answers of the examination; ``lora-chat report`` has all of them."""

NAMED = 14
"""Cells of the names of figures, so that counts and facts stand below each other."""

Fact = tuple[str, Cell]


def beneath(found: Sequence[Fact]) -> Columns:
    """Facts whose names are as wide as those of the shares."""
    lines = [(Content.styled(tr(name), "$text-muted"), fact) for name, fact in found]
    return Columns([Column(NAMED), Column(wraps=True)], lines, gap=3)


def shares(exam: Exam) -> Columns:
    """The four, beside those of the base with the examples in its prompt where it was asked."""
    found = rows(exam)
    counted = widest([tr(row.adapter.sentence) for row in found], 24)
    columns = [Column(NAMED), Column(counted), Column()]
    lines: list[Sequence[Cell]] = []
    if exam.prompted:
        beside = tr(f"base with {count_of(exam.prompted.examples, 'example')}")
        lines.append(("", Content.styled(tr("adapter"), "$text-muted"), Content.styled(beside, "$text-muted")))
    for row in found:
        fires = row.fires and row.adapter.hits > 0
        said = Content.styled(tr(row.adapter.sentence), "$warning" if fires else "")
        beside = tr(row.prompted.sentence) if row.prompted else ""
        lines.append((Content.styled(tr(row.name), "$text-muted"), said, beside))
    return Columns(columns, lines, gap=3)


def broken(record: Record) -> Iterator[Fact]:
    """What it lost or never learnt, what was left out, and how far from the base it is."""
    report = record.report
    yield from _wrong(record)
    if left := " · ".join(tr(brief) for _, brief in left_out(record.exam)):
        yield "Left out", Content.styled(left, "$text-muted")
    if record.exam is not None and report.general_kl_after is not None:
        yield "Other talk", _general(report)
    if report.forgot:
        yield "Forgot", Content.styled(clean_line(tr(report.forgot)), "$warning")


def less(record: Record) -> Iterator[Fact]:
    """What an examined one is less asked about."""
    exam, report = record.exam, record.report
    if exam is not None and (told := exam.prompted.sentence if exam.prompted else exam.unprompted):
        yield "A prompt", clean_line(tr(told))
    yield from _trained(record)
    if exam is None or report.general_kl_after is None:
        yield from _other_talk(report)
    yield from _size(report)


def figures(record: Record) -> Iterator[Fact]:
    """All of one that was not examined."""
    report = record.report
    yield from _wrong(record)
    yield from _trained(record)
    yield from _other_talk(report)
    if report.forgot:
        yield "Forgot", Content.styled(clean_line(tr(report.forgot)), "$warning")
    yield from _size(report)


def _wrong(record: Record) -> Iterator[Fact]:
    checks, is_said = record.checks, bool(record.checks and record.checks.lost) or record.kept == record.report.forgot
    why = record.unchecked or ("" if is_said else record.kept)
    if why:
        yield "Not asked" if record.unchecked else "Not worn", Content.styled(clean_line(tr(why)), "$warning")
    for each in checks.lost[:MOST_SHOWN] if checks else ():
        said = f"“{clean_line(words_of(each.question), 60)}” {tr('now:')} {clean_line(each.answer, 80)}"
        yield "Lost", Content.styled(said, "$warning")
    for each in [wrong for wrong in checks.wrong if wrong not in checks.lost][:MOST_SHOWN] if checks else ():
        yield "Not learnt", Content(f"“{clean_line(words_of(each.question), 60)}”: {clean_line(each.answer, 80)}")


def _trained(record: Record) -> Iterator[Fact]:
    report = record.report
    if record.saw is not None:
        yield "It saw", tr(saw(record.saw))
    memory = f" · {size(report.memory)}" if report.memory else ""
    yield "Trained", Content(f"{spoken_clock(report.seconds)} · {tr(f'{report.steps:,} steps')}{memory}")
    yield "Ended", Content.styled(clean_line(tr(report.stopped_because)), "$text-muted")
    if report.heldout_loss_before is not None and report.heldout_loss_after is not None:
        yield "Held out", _fell("loss", report.heldout_loss_before, report.heldout_loss_after)


def _other_talk(report: Report) -> Iterator[Fact]:
    if report.general_loss_before is not None and report.general_loss_after is not None:
        yield "Other talk", _general(report)
    if report.text_loss_before is not None and report.text_loss_after is not None:
        yield "Plain text", _fell("loss", report.text_loss_before, report.text_loss_after)


def _size(report: Report) -> Iterator[Fact]:
    whole = f"{_counted(report.total_parameters)} ({report.trainable_percent:.2f} %)"
    yield "Parameters", Content(tr(f"{report.trainable_parameters:,} of {whole}"))


def _counted(parameters: int) -> str:
    """``137 M``; few are counted to the last."""
    return tr(f"{parameters / 1e6:,.0f} M") if parameters >= 10_000_000 else f"{parameters:,}"


def _general(report: Report) -> Content:
    """``loss 1.02 → 1.04 · KL 0.021 (0.012–0.034 over 12, bound 0.25)``: the mean over so many answers."""
    before, after = report.general_loss_before, report.general_loss_after
    fell = _fell("loss", before, after) if before is not None and after is not None else Content("")
    if report.general_kl_after is None or report.general_kl_bound is None:
        return fell
    low, high, over = report.general_kl_low, report.general_kl_high, report.general_answers
    counted = f" {tr('over')} {over:,}" if over else ""
    between, digits = ("", 2) if low is None or high is None else (f"{number(low)}–{number(high)}{counted}, ", 3)
    told = f"KL {report.general_kl_after:.{digits}f}"
    bound = tr(f"bound {report.general_kl_bound:g}")
    aside = (f" ({between}{bound})", "$text-muted")
    return fell + Content.assemble(" · " if fell.plain else "", told, aside)


def _fell(what: str, before: float, after: float) -> Content:
    return Content(f"{tr(what)} {before:.2f} → {after:.2f}")


# Side by side


def shown(exam: Exam | None) -> list[Answered]:
    """Those that the base answered too, and what was answered wrongly besides."""
    if exam is None or not any(each.base is not None for each in exam.answers):
        return []
    beside = [each for each in exam.answers if each.base is not None]
    wrong = [each for each in exam.answers if each.base is None and not each.right]
    return [*beside, *wrong][:MOST_ANSWERS]


def answered(row: Answered, *, prompted: bool) -> list[Cell]:
    """One question of the examination."""
    base: Cell = Content.styled(tr("not asked"), "$text-muted") if row.base is None else clean(row.base)
    adapter: Cell = _judged(row.adapter, row.right)
    if row.kind == "far" and row.base is not None and row.base == row.adapter:
        adapter = Content.styled(tr("unchanged ✓"), "$success")
    cells = [_asked(row.question, KINDS[row.kind]), base, adapter]
    if prompted:
        missing = row.prompted is None
        cells.append(
            Content.styled(tr("not asked"), "$text-muted") if missing else _judged(row.prompted, row.prompted_right)
        )
    return cells


def compared(row: Compared, *, prompted: bool) -> list[Cell]:
    """One question that is asked now, as far as it is answered."""
    pending = Content.styled("…", "$text-muted")
    base = clean(row.base) if row.base or row.done else pending
    adapter: Cell = clean(row.adapter) if row.done else pending
    if row.done and row.same and row.question.kind == "not taught":
        adapter = Content.styled(tr("unchanged ✓"), "$success")
    return [_asked(row.question.text, row.question.kind), base, adapter, *([""] if prompted else [])]


def _asked(question: str, kind: str) -> Content:
    return Content(clean(folded(question))) + Content.styled(f"\n{clean_line(tr(kind))}", "$text-muted")


def _judged(said: str | None, right: bool | None) -> Content:
    told = Content(clean(said or "") or tr("nothing"))
    return told if right is not False else Content.styled("✗ ", "$warning") + told


def tally(checks: Checked) -> Iterator[str]:
    """``41 of 45 checks hold``, ``3 new``, ``1 lost``."""
    yield f"{checks.held:,} of {checks.of:,} checks hold" if checks.of != 1 else f"{checks.held} of 1 check holds"
    if checks.new:
        yield f"{checks.new:,} new"
    if checks.lost:
        yield f"{len(checks.lost):,} lost"
    if checks.unasked:
        yield f"{checks.unasked:,} not asked"
