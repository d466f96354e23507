"""A training before anything is spent. Owns what would be learnt, how, and what it takes; never trains."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from lora_chat.models.installed import InstalledBase
from lora_chat.models.prompt import load_prompt_format
from lora_chat.services import Services
from lora_chat.training.estimate import Estimate
from lora_chat.training.events import DatasetReady
from lora_chat.training.overrides import override
from lora_chat.training.preview import preview
from lora_chat.training.recipe import Effort, Recipe, choose_recipe
from lora_chat.training.selection import HistoryFilter, Selection, select_from_history


@dataclass(frozen=True)
class Course:
    """What one selection would make of a base."""

    name: str
    """Of the adapter."""
    base: InstalledBase
    selection: Selection
    recipe: Recipe
    counted: DatasetReady
    estimate: Estimate

    @classmethod
    def of(
        cls,
        services: Services,
        base: InstalledBase,
        name: str,
        selection: Selection,
        effort: Effort = "normal",
        seed: int = 0,
        words: Iterable[str] = (),
    ) -> Course:
        """Choose the recipe, count and estimate; ``words`` set single values of the recipe.

        Raises:
            RefusedError: a lesson cannot be tokenised for this base, or a value cannot be set.
            UsageError: a word names no value.
        """
        lessons = len(selection.lessons)
        recipe = override(choose_recipe(lessons, base.parameters, effort, seed), words, lessons)
        counted = preview(selection, load_prompt_format(base.folder))
        return cls(name, base, selection, recipe, counted, services.estimate(counted, recipe, base))


@dataclass(frozen=True)
class Plan(Course):
    """A course from the history, and the choices it came from."""

    wanted: HistoryFilter
    found: Selection
    """Everything the filter finds."""
    excluded: frozenset[tuple[str, int]]
    """Of ``found``, what the person left out: (source, index of the answer)."""

    @classmethod
    def make(
        cls,
        services: Services,
        base: InstalledBase,
        name: str,
        wanted: HistoryFilter,
        excluded: Collection[tuple[str, int]] = (),
        effort: Effort = "normal",
    ) -> Plan:
        """Choose from the history, count it and estimate it.

        Raises:
            RefusedError: the history holds nothing to learn.
        """
        found = select_from_history(services.store, wanted)
        course = Course.of(services, base, name, found.without(excluded), effort)
        return cls(**vars(course), wanted=wanted, found=found, excluded=frozenset(excluded))

    def again(
        self,
        services: Services,
        *,
        excluded: Collection[tuple[str, int]],
        effort: Effort,
        unrated: bool,
        keep: frozenset[str] = frozenset(),
    ) -> Plan:
        """The same with other choices. Raises as ``make``."""
        wanted = replace(self.wanted, unrated=unrated, keep=keep)
        return Plan.make(services, self.base, self.name, wanted, excluded, effort)
