"""An adapter's next version. Owns what it learns beside what is new, and where it starts; never trains.

It starts from the weights that are worn now, keeps their rank, strength and modules, and replays what it learnt before.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lora_chat.adapters.registry import Adapter
from lora_chat.adapters.signature import BaseSignature
from lora_chat.adapters.verify import load_verified
from lora_chat.adapters.versions import next_number
from lora_chat.errors import RefusedError
from lora_chat.paths import Paths
from lora_chat.training.lesson import Lesson, Selection
from lora_chat.training.proof.check import checks_of
from lora_chat.training.proof.line import Line, Proved, answers_of, besides, questions_of
from lora_chat.training.recipe import Recipe, Targets, layer_of

TAUGHT_BEFORE = "taught before"
"""Why an answer is left out that an earlier version learnt already."""
REPLAYED = "replayed"
"""Why an answer is learnt again: an earlier version was taught it."""

FEW = 48
"""So many earlier lessons are always replayed, and from there on twice as many as are new."""


SHAPE = ("rank", "alpha", "targets", "upper")
"""Values of a recipe that a next version has from the one before."""


@dataclass(frozen=True)
class Start:
    """Where a training starts that makes a next version."""

    folder: Path
    """Of the adapter as it is worn now."""
    version: str
    """That it makes."""
    after: str = ""
    """The version that it grows from."""
    replayed: int = 0
    """Lessons that an earlier version learnt."""
    checks: int = 0
    """Of what earlier versions were taught, asked again at the end."""


def new_to(adapter: Adapter, taught: Selection, paths: Paths) -> Selection:
    """What of ``taught`` the adapter's version that is worn was not taught yet; the rest is counted as left out.

    Raises:
        RefusedError: it is a shipped one, or knows all of it.
    """
    check_grows(adapter)
    known = answers_of(Line.of(adapter.name, paths).lessons(adapter.version, learnt=True))
    new = tuple(lesson for lesson in taught.lessons if not answers_of([lesson]) <= known)
    if taught.lessons and not new:
        raise RefusedError(
            f"{adapter.name} was taught all of this before: correct or rate further answers, then continue it."
        )
    left = replace(taught, lessons=new)
    before = taught.examples - left.examples
    return replace(left, dropped=taught.dropped | {TAUGHT_BEFORE: before}) if before else left


def grow(
    adapter: Adapter, new: Selection, paths: Paths, seed: int = 0, kept_out: Collection[str] = ()
) -> tuple[Selection, Start]:
    """``new`` with earlier lessons beside it, and where the next version starts that learns both.

    Of conversations that are ``kept_out`` (their ids) nothing is replayed.
    """
    line = Line.of(adapter.name, paths)
    before = [lesson for lesson in line.lessons(adapter.version) if lesson.source not in kept_out]
    old = besides(before, questions_of(new.lessons))
    again = replayed(old, len(new.lessons), line.proofs(adapter.version), seed)
    both = (*(replace(each, why=(REPLAYED,) * len(each.learn)) for each in again), *new.lessons)
    checks = len(line.checks(adapter.version))
    start = Start(adapter.path, next_number(adapter.name, paths), adapter.version, len(again), checks)
    return replace(new, lessons=both), start


def check_grows(adapter: Adapter) -> None:
    """Raises RefusedError: ``adapter`` is shipped, so it cannot have a next version."""
    if adapter.origin == "bundled":
        raise RefusedError(
            f"{adapter.name} is shipped with lora-chat and stays as it is: train an adapter of your own, --name NAME."
        )


def replayed(before: Sequence[Lesson], new: int, proofs: dict[str, Proved], seed: int) -> list[Lesson]:
    """Which of the lessons ``before`` are learnt again beside so many ``new`` ones, in their order.

    All while they are few; of more first those whose check did not hold, then any, chosen by ``seed``.
    """
    most = max(FEW, 2 * new)
    if len(before) <= most:
        return list(before)
    places = list(range(len(before)))
    random.Random(seed).shuffle(places)
    chosen = sorted(places, key=lambda place: _holds(before[place], proofs))[:most]
    return [before[place] for place in sorted(chosen)]


def started(recipe: Recipe, start: Path, signature: BaseSignature) -> Recipe:
    """``recipe`` with the rank, strength and layers of the adapter in ``start``.

    Raises:
        RefusedError: that does not fit this base.
    """
    modules = load_verified(start, signature).layout.modules
    layers = 1 + max(map(layer_of, signature.text_modules))
    lowest = min(map(layer_of, modules))
    first = next(iter(modules.values()))
    attention = [name for name in modules if "attn" in name or "attention" in name]
    targets: Targets = "all" if 0 < len(attention) < len(modules) else "attention" if attention else "mlp"
    return replace(
        recipe,
        rank=max(each.rank for each in modules.values()),
        alpha=round(first.alpha) or 1,
        upper=round((layers - lowest) / layers, 6),
        targets=targets,
    )


def _holds(lesson: Lesson, proofs: dict[str, Proved]) -> bool:
    found = [proofs[check.id].held for check in checks_of([lesson]) if check.id in proofs]
    return all(found)
