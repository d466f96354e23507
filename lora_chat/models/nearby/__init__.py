"""Base models that lie on this machine already. Owns the search for them; never writes, copies or fetches anything.

Looked at are the Hugging Face cache, Ollama's and LM Studio's folders, and the folders that a person names: the heads
of files alone, inside those folders alone. Problems are values.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lora_chat.models.entry import CatalogEntry
from lora_chat.models.installed import Problem
from lora_chat.models.nearby.find import Find, broken
from lora_chat.models.nearby.hub_cache import hub_cache, in_hub_cache, whole
from lora_chat.models.nearby.lm_studio import in_lm_studio, lm_studio_folders
from lora_chat.models.nearby.naming import named
from lora_chat.models.nearby.ollama import SYSTEM, in_ollama, stores
from lora_chat.models.nearby.own_folder import in_own_folder
from lora_chat.models.nearby.within import HARM, Within
from lora_chat.text import clean_line

__all__ = ["Nearby", "Surroundings", "look_around"]

_MOST_PROBLEMS = 5
"""That are told one by one of one place."""


@dataclass(frozen=True)
class Surroundings:
    """Where to look."""

    environ: Mapping[str, str]
    home: Path
    folders: tuple[str, ...] = ()
    """Of the person's own, as ``model_folders`` names them."""
    system: tuple[Path, ...] = SYSTEM
    """Where Ollama's service keeps its models."""

    @classmethod
    def here(cls, folders: Sequence[str] = ()) -> Surroundings:
        """This process's."""
        try:
            home = Path("~").expanduser()
        except RuntimeError:  # whoever runs this has none
            home = Path(os.devnull)
        return cls(os.environ, home, tuple(folders))


@dataclass(frozen=True)
class Nearby:
    """What was found."""

    entries: tuple[CatalogEntry, ...] = ()
    """Each with its ``place``; one that has the name of a known entry is that entry, on this machine."""
    problems: tuple[Problem, ...] = ()
    """What was found broken or could not be looked at."""


def look_around(around: Surroundings, known: Sequence[CatalogEntry]) -> Nearby:
    """Find every base that lies in the places of ``around``, named so that none is called like another of ``known``."""
    finds: dict[Path, Find] = {}
    problems: list[Problem] = []
    for place in _places(around):
        wrong: list[Problem] = []
        try:
            within = Within(place.root)
            if not within.is_there():
                if place.named:
                    said = f"{clean_line(str(place.root), 200)} is no folder: correct model_folders in config.toml."
                    wrong.append(Problem(place.root, said, foreign=True))
                elif place.root not in around.system:  # whose models a service may keep to itself
                    wrong += [Problem(place.root, reason, foreign=True) for reason in within.left_out()]
                continue
            for each in place.search(within):
                if isinstance(each, Find):
                    finds.setdefault(each.source.path, each)
                else:
                    wrong.append(each)
        except HARM as error:  # of a whole place: the others are looked at all the same
            wrong.append(broken(place.root, error))
            continue
        finally:
            problems += _capped(place.root, wrong)
        problems += [Problem(within.root, reason, foreign=True) for reason in within.left_out()]
    return Nearby(named(finds.values(), known), tuple(problems))


@dataclass(frozen=True)
class _Place:
    """One root and how it is searched."""

    root: Path
    search: Callable[[Within], Iterator[Find | Problem]]
    named: bool = False
    """Whether a person named it, so that its absence is a mistake."""


def _places(around: Surroundings) -> Iterator[_Place]:
    yield _Place(hub_cache(around.environ, around.home), in_hub_cache)
    for root in stores(around.environ, around.home, around.system):
        yield _Place(root, in_ollama)
    for root in lm_studio_folders(around.home):
        yield _Place(root, in_lm_studio)
    for folder in around.folders:
        yield _Place(whole(folder, around.home), in_own_folder, named=True)


def _capped(root: Path, problems: list[Problem]) -> list[Problem]:
    more = len(problems) - _MOST_PROBLEMS
    if more <= 1:
        return problems
    said = f"{more} more in {clean_line(str(root), 200)} cannot be used either: remove them, or fetch them again."
    return [*problems[:_MOST_PROBLEMS], Problem(root, said, foreign=True)]
