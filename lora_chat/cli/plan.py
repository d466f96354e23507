"""A training in the shell before it begins. Owns how its plan is told; never chooses one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lora_chat.sitting.plan import Course
    from lora_chat.training.selection import Selection

INDENT = 12
"""Where the second column of ``describe`` begins."""

MOST_SHOWN = 100
"""Pieces of private data that a dry run lists."""


def show(course: Course, *, json: bool) -> None:
    """All of it, on stderr for a person or as the ``dataset`` line."""
    from lora_chat.cli.console import answer_json, folded, note
    from lora_chat.training.events import as_json

    if json:
        answer_json(as_json(course.counted) | facts(course))
        return
    for line in describe(course):
        note(folded(line, INDENT))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _by_rule(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {rule}" for rule, count in counts.items())


def describe(course: Course, say: Callable[[str], str] = str) -> Iterator[str]:
    """What will be learnt and how, and what it takes, in aligned lines; ``say`` says it as the person reads it."""
    from rich.cells import cell_len

    base = course.base.name
    if course.start:
        yield say(f"Train {course.name} {course.start.version}, its next version, on {base}")
    else:
        yield say(f"Train {course.name} on {base}")
    for label, *text in _rows(course):
        said = say(label)
        yield f"  {said}{' ' * (INDENT - 2 - cell_len(said))}{': '.join(map(say, text))}"


def _rows(course: Course) -> Iterator[tuple[str, ...]]:
    from lora_chat.memory import free
    from lora_chat.models.sources.staging import size
    from lora_chat.training.choosing.reasons import explained
    from lora_chat.training.estimate import spoken
    from lora_chat.training.overrides import changes, spell, spelled
    from lora_chat.training.preview import too_little
    from lora_chat.training.recipe import choose_recipe, reasons

    counted, recipe, base, expected = course.counted, course.recipe, course.base, course.estimate
    yield (
        "taught",
        f"{_count(counted.examples, 'answer')} in {_count(counted.conversations, 'conversation')}, "
        f"{counted.tokens:,} tokens, {counted.supervised_tokens:,} supervised",
    )
    for place, (reason, number) in enumerate(counted.dropped.items()):
        yield "" if place else "left out", explained(reason, number)
    for each in course.filters.told if course.filters else ():
        yield "filtered", each
    if course.replayed:
        yield "replays", f"{_count(course.replayed, 'conversation')} that it was taught before, among these"
    if counted.private:
        yield "private", f"{_by_rule(counted.private)} replaced by placeholders; --keep RULE leaves a rule off"
    if counted.kept:
        yield "" if counted.private else "private", f"{_by_rule(counted.kept)} learnt as they are"
    if few := too_little(counted):
        yield "enough?", few
    yield "recipe", recipe.effort, " ".join(spelled(recipe))
    chosen = choose_recipe(counted.conversations, base.parameters, recipe.effort, recipe.seed, course.replayed)
    if changed := changes(recipe, chosen):
        yield "changed", ", ".join(f"{name} {spell(own)}, not {spell(was)}" for name, (own, was) in changed.items())
    yield "because", reasons(counted.conversations, base.parameters, course.replayed)
    yield "stops", recipe.rule
    yield (
        "takes",
        f"{spoken(expected.seconds)} ({expected.basis}) · {size(expected.bytes)} of memory, {size(free())} can be had",
    )


def facts(course: Course) -> dict[str, Any]:
    """What the ``dataset`` line of the shell says beside the counts: recipe, what the person set, what it takes."""
    from dataclasses import asdict

    from lora_chat.training.overrides import changes
    from lora_chat.training.recipe import choose_recipe, reasons

    counted, recipe, base, expected = course.counted, course.recipe, course.base, course.estimate
    chosen = choose_recipe(counted.conversations, base.parameters, recipe.effort, recipe.seed, course.replayed)
    return {
        "recipe": asdict(recipe),
        "recipe_changed": {name: {"set": own, "chosen": was} for name, (own, was) in changes(recipe, chosen).items()},
        "recipe_because": reasons(counted.conversations, base.parameters, course.replayed),
        "estimate": asdict(expected),
        **({"filters": list(course.filters.labels), "filters_off": course.filters.not_asked} if course.filters else {}),
        **({"version": course.start.version, "replayed": course.replayed} if course.start else {}),
    }


def list_private(selection: Selection) -> None:
    """Each piece of private data: its rule, what it looks like, where it stands."""
    from itertools import islice

    from lora_chat.cli.console import note

    for found in islice(selection.hits, MOST_SHOWN):
        done = "masked" if found.hit.masked else "kept"
        note(f"    {done}  {found.hit.rule}  {found.hit.shown}  in {found.source}, message {found.message + 1}")
    total = sum(1 for _ in selection.hits)
    if total > MOST_SHOWN:
        note(f"    and {total - MOST_SHOWN:,} more: --json counts them by rule")
