"""The filters that plugins put before a training. Owns passing lessons through them and counting what they leave out.

A filter leaves out whole conversations and changes none: what it leaves in the person sees as it was said. Nothing is
ever trained without a filter that the person enabled and did not disable, unless they were told so.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from lora_chat.errors import RefusedError
from lora_chat.plugins import limits
from lora_chat.plugins.finding import Plugin
from lora_chat.plugins.manager import Absent, Broke, Plugins
from lora_chat.plugins.offers import Offer
from lora_chat.plugins.plain import example_to_plain
from lora_chat.plugins.process import BrokenPlugin
from lora_chat.plugins.registrars import Example
from lora_chat.text import clean_line
from lora_chat.training.choosing.reasons import filtered
from lora_chat.training.lesson import Lesson, Selection

HOOK = "example_filters"
LONGEST_REASON = 60
"""Characters of why an example is left out."""
MOST_REASONS = 12
"""Of one filter; what it says beyond them is counted without its words."""
MOST_TOLD = 4
"""Reasons that one sentence counts."""

Verdict = bool | str


@dataclass(frozen=True)
class Filter:
    """One filter of one plugin, as it was enabled."""

    plugin: str
    name: str
    sha256: str
    """Of the plugin's files."""

    @property
    def label(self) -> str:
        """What it is called for people."""
        return _label(self.plugin, self.name)


class Filters:
    """Those of one plan. What one of them said of a lesson holds for all of it, however often it is counted."""

    def __init__(self, plugins: Plugins, within_s: float = math.inf) -> None:
        """``within_s`` is how long one filter may take for all that it has not seen, in seconds."""
        self._plugins = plugins
        self._within_s = within_s
        self._said: dict[Filter, dict[Lesson, Verdict]] = {}
        self._begun: tuple[Filter, ...] = ()
        self.not_asked: dict[str, str] = {}
        """Those that were enabled and do not run, with the reason."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Those that lessons passed."""
        return tuple(each.label for each in self._begun)

    @property
    def told(self) -> tuple[str, ...]:
        """Which there are, in words; nothing where there is none."""
        off = (f"not by the filter {label}: {why}" for label, why in self.not_asked.items())
        return (*(f"by the filter {label}" for label in self.labels), *off)

    def through(self, selection: Selection) -> Selection:
        """What every filter leaves in; the rest is counted as left out, by filter and reason.

        Raises:
            RefusedError: one breaks and is switched off, does not run as it was enabled, takes too long, or says no
                itself; or all is left out.
        """
        filters = self._look()
        lessons, here = selection.lessons, Counter[str]()
        for each, (plugin, offer) in filters.items():
            said = self._ask(each, plugin, offer, lessons)
            reasons = _Reasons(each)
            for lesson in lessons:
                if (verdict := said[lesson]) is not True:
                    here[reasons.of(verdict)] += len(lesson.learn)
            lessons = tuple(lesson for lesson in lessons if said[lesson] is True)
        if selection.lessons and not lessons:
            raise RefusedError(
                f"Nothing is left to learn of {selection.examples:,} answer{'' if selection.examples == 1 else 's'} "
                f"({_counted(here)}): correct the filter or the answers, or disable its plugin."
            )
        return replace(selection, lessons=lessons, dropped=dict(Counter(selection.dropped) + here))

    def _look(self) -> dict[Filter, tuple[Plugin, Offer]]:
        """All that run now."""
        absent = self._plugins.absent(HOOK)
        for each in absent:
            _refuse(each)
        there = {Filter(plugin.name, offer.name, plugin.content.sha256): (plugin, offer)
                 for plugin, offer in self._plugins.offered(HOOK)}  # fmt: skip
        for begun in self._begun:
            if begun not in there:
                raise RefusedError(f"The filter {begun.label}, which this plan was begun with, does not run any more: "
                                   "begin it anew to train without it.")  # fmt: skip
        self._begun = tuple(there)
        self.not_asked = {_label(each.name, offer.name): _why(each) for each in absent for offer in each.offers}
        return there

    def _ask(self, which: Filter, plugin: Plugin, offer: Offer, lessons: Sequence[Lesson]) -> dict[Lesson, Verdict]:
        said = self._said.setdefault(which, {})
        new = list(dict.fromkeys(lesson for lesson in lessons if lesson not in said))
        if new:
            try:
                said.update(_asked(self._plugins, plugin, offer, new, self._within_s))
            except Broke as broken:
                raise RefusedError(
                    f"Nothing is trained, as the filter {which.label} is switched off ({broken.why}): correct it and "
                    f"`lora-chat plugin enable {which.plugin}`, or train again without it."
                ) from broken
        return said


def _asked(
    plugins: Plugins, plugin: Plugin, offer: Offer, lessons: Sequence[Lesson], within_s: float
) -> dict[Lesson, Verdict]:
    waiting = iter(lessons)
    asked: list[Lesson] = []

    def answer(kind: str, rest: list[Any]) -> Any:
        if kind != "next" or len(asked) > len(said):
            raise BrokenPlugin("it asked for the next example before it had answered")
        lesson = next(waiting, None)
        if lesson is None:
            return None
        asked.append(lesson)
        return example_to_plain(Example(lesson.messages, lesson.learn, lesson.source, lesson.why))

    said: list[Verdict] = []
    began = time.monotonic()
    call = plugins.call(plugin, "filter", offer.name, limit_s=limits.FILTER_S, answers=answer)
    for value in call:
        if not isinstance(value, bool | str) or len(said) >= len(asked):
            call.close()
            _break_off(plugins, plugin, "its filter answered what nobody asked")
        said.append(value)
        if time.monotonic() - began > within_s and len(said) < len(lessons):
            call.close()
            raise RefusedError(
                f"The filter {_label(plugin.name, offer.name)} looked at {len(said):,} of {len(lessons):,} examples in "
                f"{within_s:g} s, and the chat waits no longer: `lora-chat train` does, or disable it."
            )
    if len(said) < len(lessons):
        _break_off(plugins, plugin, "its filter did not look at every example")
    return dict(zip(lessons, said, strict=True))


def _break_off(plugins: Plugins, plugin: Plugin, why: str) -> None:
    raise Broke(plugins.break_off(plugin, why), why)


class _Reasons:
    """What one filter's answers are counted as; a handful of its own words, however many it has."""

    def __init__(self, of: Filter) -> None:
        self._label = of.label
        self._own: set[str] = set()

    def of(self, verdict: Verdict) -> str:
        words = clean_line(verdict, LONGEST_REASON) if isinstance(verdict, str) else ""
        if not words or (words not in self._own and len(self._own) >= MOST_REASONS):
            return filtered(self._label)
        self._own.add(words)
        return filtered(self._label, words)


def _counted(here: Counter[str]) -> str:
    """``3 filtered by tidy (too long), 1 filtered by late``: the most frequent, as the preview counts them."""
    told = [f"{number:,} {reason}" for reason, number in here.most_common(MOST_TOLD)]
    rest = here.most_common()[MOST_TOLD:]
    if rest:
        many = sum(number for _, number in rest)
        told.append(f"{many:,} for {len(rest):,} other reason{'' if len(rest) == 1 else 's'}")
    return ", ".join(told)


def _refuse(absent: Absent) -> None:
    """What the person enabled and nobody told them is off."""
    name = _label(absent.name, absent.offers[0].name)
    if absent.state == "changed":
        raise RefusedError(
            f"Nothing is trained, as the filter {name} does not run ({absent.why}): `lora-chat plugin enable "
            f"{absent.name}` has it again, `lora-chat plugin disable {absent.name}` trains without it."
        )
    if absent.state == "unusable":
        why = absent.why.rstrip(".")
        raise RefusedError(f"Nothing is trained, as the filter {name} cannot run ({why}): mend it, or remove its "
                           "folder to train without it.")  # fmt: skip


def _why(absent: Absent) -> str:
    if absent.state == "gone":
        return f"{absent.why}; `lora-chat plugin disable {absent.name}` has it forgotten"
    return absent.why if absent.state == "safe" else f"switched off, as {absent.why}"


def _label(plugin: str, name: str) -> str:
    return name if name == plugin else f"{plugin}/{name}"
