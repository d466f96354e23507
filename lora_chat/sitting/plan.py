"""A training before anything is spent. Owns what would be learnt, how, and what it takes; never trains."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from lora_chat.adapters.registry import Adapter
from lora_chat.models.installed import InstalledBase
from lora_chat.models.prompt import load_prompt_format
from lora_chat.plugins import limits
from lora_chat.plugins.filters import Filters
from lora_chat.services import Services
from lora_chat.sitting.checking import refuse_another_base
from lora_chat.training.estimate import Estimate
from lora_chat.training.events import DatasetReady
from lora_chat.training.growth import SHAPE, Start, grow, new_to, started
from lora_chat.training.overrides import override
from lora_chat.training.preview import preview
from lora_chat.training.recipe import Effort, Recipe, choose_recipe
from lora_chat.training.selection import HistoryFilter, Selection, select_from_history


def kept_out(services: Services) -> frozenset[str]:
    """Ids of the conversations of which nothing is ever learnt, nor learnt again."""
    if not services.paths.database.exists():
        return frozenset()
    return frozenset(each.id for each in services.store.conversations() if each.never_train)


def usual_system(services: Services, continued: Adapter | None) -> str:
    """The system prompt that a conversation without one of its own will have: as it is asked, so it is learnt."""
    own = continued.manifest.chat.system_prompt if continued is not None else ""
    return own or services.config.system


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
    start: Start | None = field(default=None, kw_only=True)
    """Where it starts, if it makes the next version of an adapter."""
    checks_of: tuple[str, str] = field(default=("", ""), kw_only=True)
    """The adapter and its version whose lessons these are, if it teaches them to another base."""
    filters: Filters | None = field(default=None, kw_only=True, compare=False)
    """Of plugins, which all that is learnt has passed."""

    @property
    def replayed(self) -> int:
        """Conversations that it was taught before and learns again."""
        return self.start.replayed if self.start else 0

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
        continued: Adapter | None = None,
        filters: Filters | None = None,
    ) -> Course:
        """Choose the recipe, count and estimate; ``words`` set single values of the recipe.

        With ``continued`` it makes the next version of that adapter, and learns what is new to it. All of it passes the
        ``filters``, by default those that are enabled now.

        Raises:
            RefusedError: a lesson cannot be tokenised for this base, a value cannot be set, ``continued`` does not fit
                this base or knows all of it, or as ``Filters.through``.
            UsageError: a word names no value.
        """
        start = None
        filters = Filters(services.plugins) if filters is None else filters
        if continued is not None:
            refuse_another_base(continued, base, services, "It grows")
            selection = new_to(continued, selection, services.paths)
        selection = filters.through(selection)
        if continued is not None and selection.lessons:
            grown, start = grow(continued, selection, services.paths, seed, kept_out(services))
            selection = filters.through(grown)
            left = {id(lesson) for lesson in selection.lessons}
            start = replace(start, replayed=sum(id(lesson) in left for lesson in grown.lessons[: start.replayed]))
        lessons = len(selection.lessons)
        recipe = choose_recipe(lessons, base.parameters, effort, seed, start.replayed if start else 0)
        if start is not None:
            recipe = started(recipe, start.folder, base.signature)
        recipe = override(recipe, words, lessons, fixed=SHAPE if start else ())
        counted = preview(selection, load_prompt_format(base.folder))
        return cls(name, base, selection, recipe, counted, services.estimate(counted, recipe, base), start=start,
                   filters=filters)  # fmt: skip


@dataclass(frozen=True)
class Plan(Course):
    """A course from the history, and the choices it came from."""

    wanted: HistoryFilter
    found: Selection
    """Everything the filter finds."""
    excluded: frozenset[tuple[str, int]]
    """Of ``found``, what the person left out: (source, index of the answer)."""
    continued: Adapter | None = None
    """Whose next version it makes."""

    @classmethod
    def make(
        cls,
        services: Services,
        base: InstalledBase,
        name: str,
        wanted: HistoryFilter,
        excluded: Collection[tuple[str, int]] = (),
        effort: Effort = "normal",
        continued: Adapter | None = None,
        filters: Filters | None = None,
    ) -> Plan:
        """Choose from the history, count it and estimate it.

        Raises:
            RefusedError: the history holds nothing to learn, or as ``Filters.through``.
        """
        filters = Filters(services.plugins, limits.PLAN_S) if filters is None else filters
        found = select_from_history(services.store, wanted, usual_system(services, continued))
        if continued is not None:
            found = new_to(continued, found, services.paths)
        found = filters.through(found)
        chosen = found.without(excluded)
        course = Course.of(services, base, name, chosen, effort, continued=continued, filters=filters)
        return cls(**vars(course), wanted=wanted, found=found, excluded=frozenset(excluded), continued=continued)

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
        return Plan.make(services, self.base, self.name, wanted, excluded, effort, self.continued, self.filters)
