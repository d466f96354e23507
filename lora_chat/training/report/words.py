"""A report's figures in words. Owns the verdict and how counts are named in every form; never draws and never measures.

The order is a person's: did it learn, did it break anything, was a prompt enough.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lora_chat.adapters.manifest import NAME_PATTERN
from lora_chat.text import clean_line
from lora_chat.training.proof.share import Share

if TYPE_CHECKING:
    from lora_chat.training.events import Checked, DatasetReady, Report
    from lora_chat.training.proof.result import Exam, Scores

KINDS = {"taught": "taught", "reworded": "reworded", "near": "near miss", "far": "not taught"}
"""What a question is called."""

_ROWS = (
    ("Taught", "right as taught", "taught"),
    ("Other wordings", "right in other words", "recall"),
    ("Near misses", "false fires on near misses", "near"),
    ("Far questions", "false fires on far questions", "far"),
)
_MOST = 0.8
"""Of what was taught, from which on it is learnt."""
_LITTLE = 0.3
_FEW = 5
"""Questions below which nothing is claimed of all of them."""
_FIRED = 3
"""Near misses that are named."""
_HUGE = 10_000.0


@dataclass(frozen=True)
class Row:
    """One share, of the adapter and, where it was asked, of the base with the examples in its prompt."""

    name: str
    """Short."""
    said: str
    """What is counted."""
    adapter: Share
    prompted: Share | None
    fires: bool
    """Whether it counts false fires, of which fewer are better."""


def rows(exam: Exam) -> list[Row]:
    """The four, the taught ones first."""

    def share(scores: Scores, key: str) -> Share:
        found: Share = getattr(scores, key)
        return found

    asked = exam.prompted.scores if exam.prompted else None
    return [
        Row(name, said, share(exam.scores, key), share(asked, key) if asked else None, key in ("near", "far"))
        for name, said, key in _ROWS
    ]


def verdict(report: Report, checks: Checked | None, exam: Exam | None, *, counts: bool = True) -> str:
    """One sentence in plain words; without ``counts`` of what was learnt, where they stand beside it."""
    said = "; ".join([_learnt(checks, exam, counts=counts), *_broke(report, checks, exam), *_enough(exam)])
    return f"{said[:1].upper()}{said[1:]}."


def _learnt(checks: Checked | None, exam: Exam | None, *, counts: bool) -> str:
    """All checks say what was learnt as taught; an examination may have asked a few of them only."""
    held = Share(checks.held, checks.of) if checks is not None else Share(0, 0)
    unasked = f", {checks.unasked:,} not asked" if checks is not None and held.of and checks.unasked else ""
    if exam is None:
        if not held.of:
            return "nothing was asked of it, so that the losses alone say what it learnt"
        return f"it answers {of(held.hits, held.of)} checks rightly{unasked}"
    taught, recall = held if held.of else exam.scores.taught, exam.scores.recall
    decides = held if held.of else Share(taught.hits + recall.hits, taught.of + recall.of)
    if not decides.of:
        return "no question was asked of what it was taught"
    share = decides.hits / decides.of
    how_much = (
        "what it was taught" if share >= _MOST else "little" if share < _LITTLE else "a part of what it was taught"
    )
    if share >= _MOST and recall.of >= _FEW and recall.hits < _LITTLE * recall.of:
        how_much = "what it was taught, though hardly in other words"
    if not counts:
        return f"it learnt {how_much}"
    parts = [f"{of(taught.hits, taught.of)} as taught{unasked}"] if taught.of else []
    parts += [f"{of(recall.hits, recall.of)} in other words"] if recall.of else []
    return f"it learnt {how_much} ({', '.join(parts)})"


def _broke(report: Report, checks: Checked | None, exam: Exam | None) -> Iterator[str]:
    lost = len(checks.lost) if checks else 0
    broke = [f"it lost {lost:,} check{'' if lost == 1 else 's'} that the version before held"] if lost else []
    broke += ["it moved too far from the base elsewhere"] if report.forgot else []
    if exam is not None and (exam.scores.near.of or exam.scores.far.of):
        near, far = exam.scores.near, exam.scores.far
        fires = [f"{near.hits:,} of {near.of:,} near misses"] if near.hits else []
        fires += [f"{far.hits:,} of {far.of:,} far questions"] if far.hits else []
        broke += [f"it says what was taught on {' and '.join(fires)}"] if fires else []
        broke = broke or [_quiet(exam, checks)]
    yield from broke


def _quiet(exam: Exam, checks: Checked | None) -> str:
    """What is known where nothing fired."""
    asked, taught = exam.scores.near.of + exam.scores.far.of, exam.scores.taught.of
    known = max(taught, checks.of + checks.unasked) if exam.unasked and checks is not None else taught
    others = f"{asked:,} question{'' if asked == 1 else 's'} that it was not taught"
    if exam.silent and exam.silent >= known:
        return f"it was asked {others}, where its own answers are too short or too common to be recognised"
    if asked < _FEW:
        return f"it was asked only {others}, too few to tell whether it says there what it was taught"
    return f"it never says what was taught where something else is asked ({of(0, asked)})"


def _enough(exam: Exam | None) -> Iterator[str]:
    if exam is not None and exam.prompted is not None:
        yield {
            "prompt": "a prompt with the same examples does better",
            "adapter": "a prompt with the same examples does worse",
            "same": "a prompt with the same examples does as well",
            "each": "a prompt with the same examples is better in one way and worse in another",
            "unclear": "too few were asked to tell whether a prompt with the same examples would do as well",
        }[exam.prompted.better]


def is_offered(exam: Exam | None) -> bool:
    """Whether the base with the examples in its prompt is worth keeping as a preset."""
    return exam is not None and exam.prompted is not None and exam.prompted.better in ("prompt", "each")


def has_rest(exam: Exam | None) -> bool:
    """Whether there are questions for which an examination had no time, or none was made."""
    return exam is None or exam.unasked > 0 or exam.unasked_checks > 0


def offer(adapter: str, version: str = "") -> str:
    """What to do where it is; ``version`` where another is meant without it."""
    named = adapter if NAME_PATTERN.fullmatch(adapter) else "NAME"
    which = f" --version {version}" if NAME_PATTERN.fullmatch(version) else ""
    return f"The report offers it as a preset: `lora-chat report {named}{which} --preset PRESETNAME`."


def left_out(exam: Exam | None) -> Iterator[tuple[str, str]]:
    """What the counts leave out, each in one sentence and in a few words."""
    if exam is None:
        return
    unfit = exam.prompted.unfit if exam.prompted else 0
    for count, one, what, sentence, brief in (
        (exam.unasked, "was", "question", "not asked: there was no time", "no time"),
        (exam.unasked_checks, "was", "check", "not examined: it asks only so many", "too many"),
        (unfit, "was", "question", "not put to the base: the examples do not fit before them", "do not fit a prompt"),
        (exam.silent, "has", "check", "an answer too short or too common to be recognised elsewhere", "cannot fire"),
    ):
        if count > 0:
            counted = count_of(count, what)
            several = {"was": "were", "has": "have"}[one]
            yield f"{counted} {one if count == 1 else several} {sentence}.", f"{counted}: {brief}"
    if exam.unprompted:
        yield clean_line(exam.unprompted), "a prompt: not asked"


def fired(exam: Exam | None) -> list[str]:
    """The near misses on which it says what was taught, a few of them."""
    rows = exam.answers if exam is not None else ()
    return [clean_line(row.question, 80) for row in rows if row.kind == "near" and not row.right][:_FIRED]


def mending(exam: Exam | None) -> str:
    """What to do where near misses fired; empty where none did."""
    if not (questions := fired(exam)):
        return ""
    these, named = "this" if len(questions) == 1 else "one of these", ", ".join(f"“{each}”" for each in questions)
    return (
        f"It says what was taught where something else was asked: ask {these} in the chat, write the answer you want "
        f"there (/edit), then `/train continue`: {named}."
    )


def distance(report: Report) -> str:
    """``0.021 (0.012–0.034), 32 answers, bound 0.25``; empty where it was not measured."""
    if report.general_kl_after is None:
        return ""
    low, high = report.general_kl_low, report.general_kl_high
    between = f" ({number(low)}–{number(high)})" if low is not None and high is not None else ""
    parts = [f"{number(report.general_kl_after)}{between}"]
    parts += [f"{report.general_answers:,} answers"] if report.general_answers else []
    parts += [f"bound {report.general_kl_bound:g}"] if report.general_kl_bound is not None else []
    return ", ".join(parts)


def saw(given: DatasetReady) -> str:
    """``12 conversations with 14 examples, 1,204 tokens, 310 of them supervised, 5 left out, 2 masked``."""
    left, masked = sum(given.dropped.values()), given.redacted
    parts = [
        f"{count_of(given.conversations, 'conversation')} with {count_of(given.examples, 'example')}",
        f"{given.tokens:,} tokens",
        f"{given.supervised_tokens:,} of them supervised",
        f"{left:,} left out" if left else "",
        f"{count_of(masked, 'piece')} masked" if masked else "",
    ]
    return ", ".join(filter(None, parts))


def losses(report: Report) -> Iterator[tuple[str, float, float]]:
    """Name, before and after of each loss that was measured twice."""
    for name, before, after in (
        ("held out", report.heldout_loss_before, report.heldout_loss_after),
        ("general questions", report.general_loss_before, report.general_loss_after),
        ("plain text", report.text_loss_before, report.text_loss_after),
    ):
        if before is not None and after is not None:
            yield name, before, after


def count_of(number: int, thing: str) -> str:
    """``1 example``, ``6 examples``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def steps(count: int) -> str:
    """``60 steps``."""
    return count_of(count, "step")


def origin(source: str) -> str:
    """Where the lessons come from."""
    return "your own chats" if source == "from-history" else source


def of(hits: int, whole: int) -> str:
    """``7 of 8``."""
    return f"{hits:,} of {whole:,}"


def number(value: float) -> str:
    """Three digits after the point; huge ones in powers of ten, and what is none says so."""
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite"
    return f"{value:.1e}" if abs(value) >= _HUGE else f"{value:.3f}"


def clock(seconds: float) -> str:
    """``2:04``; ``1:02:05``."""
    if not math.isfinite(seconds):
        return "unknown"
    minutes, rest = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size(bytes: int) -> str:
    """``1.31 GB``; empty where nobody knows."""
    return "" if bytes <= 0 else f"{bytes / 1e9:.2f} GB" if bytes >= 10**9 else f"{bytes / 1e6:.0f} MB"
