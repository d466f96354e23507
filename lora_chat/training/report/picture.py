"""A report as one picture: SVG, self-contained, light and dark. Owns where everything is on it; never measures."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from lora_chat.training.proof.share import Share
from lora_chat.training.report import svg
from lora_chat.training.report.svg import Point
from lora_chat.training.report.words import Row, clock, count_of, left_out, number, of, rows, size, steps, verdict

if TYPE_CHECKING:
    from lora_chat.training.report.record import Record

WIDTH, HEIGHT = 960, 556
POINTS = 240
"""Of the curve, at most: more are not told apart."""

_LEFT, _RIGHT = 40.0, 920.0
_WIDE = (172.0, 220.0, 144.0, 162.0, 182.0)
"""Of each figure below."""
_TILES = tuple(_LEFT + sum(_WIDE[:at]) for at in range(len(_WIDE)))
_BEYOND = 10_000.0
"""Losses above are left out of the curve, which they would flatten."""

_FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"
_LIGHT = {
    "paper": "#ffffff", "ink": "#1c2026", "muted": "#626b78", "rule": "#dfe3e8", "own": "#2f5cab", "other": "#c07f1a",
    "bad": "#a8322d",
}  # fmt: skip
_DARK = {
    "paper": "#15171b", "ink": "#dcdfe4", "muted": "#9aa1ad", "rule": "#30353d", "own": "#8db4f5", "other": "#d9b45b",
    "bad": "#f28f8a",
}  # fmt: skip
_SHAPES = (
    f"text{{font-family:{_FONT}}}.strong{{font-weight:600}}.line{{fill:none;stroke-width:2;stroke-linejoin:round}}"
    ".bar{opacity:.65}.hair{stroke-width:1}.whisker{stroke-width:1.5}.dash{stroke-dasharray:4 4;stroke-width:1.5}"
)


def to_svg(record: Record) -> str:
    """The whole picture."""
    said = verdict(record.report, record.checks, record.exam)
    named = svg.plain(f"{record.adapter} {record.version}")
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
            'role="img">',
            f"<title>{escape(named)}</title>",
            f"<desc>{escape(svg.plain(said))}</desc>",
            f"<style>{_SHAPES}{_colours(_LIGHT)}@media (prefers-color-scheme:dark){{{_colours(_DARK)}}}</style>",
            svg.box(0, 0, WIDTH, HEIGHT, "paper"),
            *_head(record, said),
            *_losses(record),
            *_bars(record),
            *_tiles(record),
            "</svg>",
            "",
        ]
    )


def _colours(named: dict[str, str]) -> str:
    return "".join(f".{name}{{fill:{colour}}}.{name}-line{{stroke:{colour}}}" for name, colour in named.items())


def _head(record: Record, said: str) -> Iterator[str]:
    aside = svg.fitted(" · ".join(filter(None, (f"on {record.base}", _day(record.made)))), 300, 13)
    room = _RIGHT - _LEFT - svg.width(aside, 13) - 24
    yield svg.text(_LEFT, 54, f"{record.adapter} {record.version}", "ink strong", size=26, room=room)
    yield svg.text(_RIGHT, 54, aside, "muted", end=True)
    tall = svg.wrapped(said, _RIGHT - _LEFT, 15, 2)
    small = svg.wrapped(said, _RIGHT - _LEFT, 13, 3)
    lines, high = (tall, 15) if not tall[-1].endswith("…") else (small, 13)
    for at, words in enumerate(lines):
        yield svg.text(_LEFT, 69 + high + (high + 7 if high == 15 else 18) * at, words, "ink", size=high)


def _day(made: float) -> str:
    with suppress(OverflowError, ValueError, OSError):
        return f"{datetime.datetime.fromtimestamp(made):%Y-%m-%d}"
    return ""


# The losses


def _losses(record: Record) -> Iterator[str]:
    left, right, top, bottom = _LEFT + 44, 452.0, 172.0, 366.0
    yield svg.text(_LEFT, 150, "Loss", "ink strong")
    train = [(float(step), loss) for step, loss in enumerate(record.losses, 1) if _is_drawn(loss)]
    heldout = [(float(step), loss) for step, loss in record.heldout if _is_drawn(loss)]
    if not train and not heldout:
        yield svg.text(_LEFT, 190, "No loss is known.", "muted")
        return
    yield from _legend(right, heldout=bool(heldout))
    low, high = _span([loss for _, loss in (*train, *heldout)])
    first, last = min(step for step, _ in (*train, *heldout)), max(step for step, _ in (*train, *heldout))

    def place(point: Point) -> Point:
        across = (point[0] - first) / (last - first) if last > first else 0.5
        return left + across * (right - left), bottom - (point[1] - low) / (high - low) * (bottom - top)

    for loss in svg.ticks(low, high):
        y = place((first, loss))[1]
        yield svg.line((left, y), (right, y), "rule-line hair")
        yield svg.text(left - 10, y + 4, f"{loss:.4g}", "muted", size=11, end=True)
    for step in _steps(first, last):
        yield svg.middle(place((step, low))[0], bottom + 20, f"{step:,.0f}", "muted")
    yield svg.middle((left + right) / 2, bottom + 36, "step", "muted")
    points = [place(each) for each in svg.thinned(train, POINTS)]
    yield svg.curve(points, "line own-line") if len(points) > 1 else "".join(svg.dot(at, 4, "own") for at in points)
    rings = [place(each) for each in svg.thinned(heldout, POINTS // 4)]
    if len(rings) > 1:
        yield svg.curve(rings, "line dash ink-line")
    yield from (svg.dot(at, 3.5, "ink") for at in rings)
    if missing := len(record.losses) + len(record.heldout) - len(train) - len(heldout):
        words = (
            "1 loss is no number or beyond 10,000" if missing == 1 else f"{missing:,} are no numbers or beyond 10,000"
        )
        yield svg.text(_LEFT + 44, 150, words, "bad", size=11)


def _is_drawn(loss: float) -> bool:
    return math.isfinite(loss) and abs(loss) <= _BEYOND


def _span(values: Sequence[float]) -> tuple[float, float]:
    """From 0 where that does not flatten the curve."""
    low, high = min(values), max(values)
    low = 0.0 if 0 <= low <= high / 2 else low
    margin = (high - low) * 0.04 or 0.5
    return (low if low == 0.0 else low - margin), high + margin


def _steps(first: float, last: float) -> list[float]:
    inner = [step for step in svg.ticks(first, last) if step == int(step) and step - first > (last - first) / 8]
    return [first, *inner] if last > first else [first]


def _legend(right: float, *, heldout: bool) -> Iterator[str]:
    if heldout:
        yield svg.text(right, 150, "held out", "muted", size=12, end=True)
        yield svg.line((right - 80, 146), (right - 56, 146), "dash ink-line")
        yield svg.dot((right - 68, 146), 3, "ink")
        right -= 100
    yield svg.text(right, 150, "train", "muted", size=12, end=True)
    yield svg.line((right - 58, 146), (right - 36, 146), "line own-line")


# The shares


def _bars(record: Record) -> Iterator[str]:
    left, exam, checks = 508.0, record.exam, record.checks
    found = rows(exam) if exam else []
    if exam is None and checks is not None and checks.of:
        found = [Row("Checks", "checks that hold", Share(checks.held, checks.of), None, fires=False)]
    yield svg.text(left, 150, "Answers" if found else "Nothing was asked", "ink strong")
    if not found:
        for at, words in enumerate(
            ("Nobody asked this version what it was taught:", "its losses are all that is known.")
        ):
            yield svg.text(left, 190 + 20 * at, words, "muted")
        return
    if exam is not None and exam.prompted is not None:
        named = svg.fitted(f"base with {count_of(exam.prompted.examples, 'example')}", 180, 12)
        begin = _RIGHT - svg.width(named, 12) - 16
        yield svg.box(begin, 141, 10, 10, "other bar", 2)
        yield svg.text(begin + 16, 150, named, "muted", size=12)
        yield svg.box(begin - 76, 141, 10, 10, "own bar", 2)
        yield svg.text(begin - 60, 150, "adapter", "muted", size=12)
    is_double = any(row.prompted for row in found)
    pitch = 56.0 if is_double else 50.0
    for at, row in enumerate(found):
        yield from _bar_row(row, left, 186 + pitch * at)


def _bar_row(row: Row, left: float, y: float) -> Iterator[str]:
    words = f"{row.said[:1].upper()}{row.said[1:]}{', of which fewer are better' if row.fires else ''}"
    yield svg.text(left, y, words, "ink", size=13)
    for at, (share, colour) in enumerate(((row.adapter, "own"), (row.prompted, "other"))):
        if share is not None:
            yield from _bar(share, left, y + 8 + 14 * at, colour)


def _bar(share: Share, left: float, top: float, colour: str) -> Iterator[str]:
    long, high = 230.0, 10.0
    yield svg.box(left, top, long, high, "rule", 3)
    if share.of:
        yield svg.box(left, top, long * share.hits / share.of, high, f"{colour} bar", 3)
        low, up = (left + long * edge for edge in share.interval)
        y = top + high / 2
        yield svg.line((low, y), (up, y), "ink-line whisker")
        yield from (svg.line((x, y - 3.5), (x, y + 3.5), "ink-line whisker") for x in (low, up))
    yield svg.text(left + long + 14, top + 9, share.sentence, "ink" if share.of else "muted", size=12, room=168)


# The figures


def _tiles(record: Record) -> Iterator[str]:
    yield svg.line((_LEFT, 424), (_RIGHT, 424), "rule-line hair")
    for x, wide, (name, value, more, is_bad) in zip(_TILES, _WIDE, _figures(record), strict=True):
        yield svg.text(x, 450, name, "muted", size=12, room=wide - 16)
        yield svg.text(x, 476, value, f"{'bad' if is_bad else 'ink'} strong", size=18, room=wide - 16)
        yield svg.text(x, 496, more, "muted", size=12, room=wide - 16)
    yield from _gauge(record, _TILES[1], _WIDE[1] - 40)
    made = "Other wordings and near misses are made by rules, in English; answers are greedy; intervals: Wilson, 95 %."
    if record.exam is not None:
        yield svg.text(_LEFT, 529, made, "muted", size=10.5)
        if left := "; ".join(brief for _, brief in left_out(record.exam)):
            yield svg.text(_LEFT, 545, f"Left out: {left}.", "muted", size=10.5, room=_RIGHT - _LEFT)


def _figures(record: Record) -> Iterator[tuple[str, str, str, bool]]:
    """Name, value, what is less, whether it is bad."""
    report, checks = record.report, record.checks
    if checks is None or not checks.of:
        yield "Checks", "none asked", "", False
    else:
        unasked, lost = checks.unasked, f"{len(checks.lost):,} lost"
        more = (
            [lost, f"{unasked:,} not asked"] if unasked else [f"{checks.new:,} new", lost]
        )  # there is no room for all
        yield "Checks", f"{of(checks.held, checks.of)} hold", " · ".join(more), bool(checks.lost)
    if report.general_kl_after is None:
        yield "KL from the base", "not measured", "", False
    else:
        low, high, bound = report.general_kl_low, report.general_kl_high, report.general_kl_bound
        between = f"{number(low)}–{number(high)}" if low is not None and high is not None else ""
        at_most = f"bound {bound:g}" if bound is not None else ""
        is_bad = bound is not None and report.general_kl_after > bound
        named = f"KL, {count_of(report.general_answers, 'answer')}" if report.general_answers else "KL from the base"
        yield named, number(report.general_kl_after), " · ".join(filter(None, (between, at_most))), is_bad
    yield "Time", clock(report.seconds), steps(report.steps), False
    yield "Memory", size(report.memory) or "unknown", "at most" if report.memory > 0 else "", False
    whole = f"{report.trainable_percent:.2f} % of {short(report.total_parameters)}"
    yield "Parameters", short(report.trainable_parameters), whole, False


def _gauge(record: Record, left: float, long: float) -> Iterator[str]:
    """Where the distance and its interval lie below the bound."""
    report = record.report
    after, bound = report.general_kl_after, report.general_kl_bound
    if after is None or bound is None or not (math.isfinite(after) and math.isfinite(bound) and bound > 0):
        return
    low, high = report.general_kl_low, report.general_kl_high
    edges = [edge for edge in (low, high) if edge is not None and math.isfinite(edge)]
    whole = max(bound, after, *edges) * 1.08

    def place(value: float) -> float:
        return left + long * min(max(value, 0.0) / whole, 1.0)

    yield svg.box(left, 505, long, 4, "rule", 2)
    yield svg.box(left, 505, place(after) - left, 4, "bad" if after > bound else "own", 2)
    if len(edges) == 2:
        yield svg.line((place(edges[0]), 507), (place(edges[1]), 507), "ink-line whisker")
    yield svg.line((place(bound), 502), (place(bound), 512), "bad-line whisker")


def short(count: int) -> str:
    """``2.44 M``, ``137 M``; few are counted to the last."""
    if count < 1_000_000:
        return f"{count:,}"
    return f"{count / 1e6:,.2f} M" if count < 10_000_000 else f"{count / 1e6:,.0f} M"
