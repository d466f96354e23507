"""The bases that a person can choose from. Owns what each is, needs and gives on this machine; never fetches one.

Speeds are figures that were measured here, or follow from those of the base nearest in size; where nothing was
measured there is no figure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

from lora_chat import memory
from lora_chat.decoder.shape import UnknownShape, is_known, read_shape
from lora_chat.engine.kept import Kept, kept_for
from lora_chat.engine.speed import Measured, read_speed
from lora_chat.errors import LoraChatError
from lora_chat.models import catalog
from lora_chat.models.entry import CatalogEntry, FolderSource, GgufSource, HubSource
from lora_chat.models.hubs import placed
from lora_chat.models.installed import InstalledBase, Problem, list_bases
from lora_chat.models.own import found_here, read_own
from lora_chat.models.shipped import SHIPPED
from lora_chat.models.sizes import Sizes
from lora_chat.services import Services
from lora_chat.training.estimate import trained_paces
from lora_chat.training.needs import Build
from lora_chat.training.pace import read_pace

Fit = Literal["fits", "tight", "no", ""]
"""In memory: now, only when other programs are closed, never; "" is unknown."""
Bound = Literal["", "under", "over"]


@dataclass(frozen=True)
class Room:
    """Memory of this machine, in bytes."""

    free: int
    """What can be had now."""
    total: int
    """What all programs together can have, swap included."""

    @classmethod
    def here(cls) -> Room:
        """As it is now."""
        return cls(memory.free(), memory.total())

    def fit(self, needed: int) -> Fit:
        """Whether that much fits; 0 is unknown."""
        if not needed:
            return ""
        return "no" if needed > self.total else "tight" if needed > self.free else "fits"


@dataclass(frozen=True)
class Figure:
    """A speed or a time."""

    value: float
    of: str
    """The base that it was measured with."""
    measured: bool
    """Whether that is this base itself; else it follows by parameters."""
    bound: Bound = ""
    """``under`` and ``over`` where the one base takes the fast path and the other does not."""


@dataclass(frozen=True)
class Choice:
    """One base that a person can choose."""

    name: str
    lineage: str
    source: str
    entry: CatalogEntry | None
    """What the catalog says of it."""
    base: InstalledBase | None
    """What is on this machine."""
    default: bool
    parameters: int
    """0 is unknown."""
    fast: bool | None
    """Whether the fast path decodes it; None is unknown."""
    chat_bytes: int
    """Memory to chat; 0 is unknown."""
    train_bytes: int
    """Memory to train, chatting included; 0 is unknown."""
    chat: Fit
    train: Fit
    speed: Figure | None
    """Tokens a second."""
    seconds: Figure | None
    """Of a training with 100 short examples."""
    adapters: tuple[str, ...]
    """Installed ones that fit, or that say they were made for it."""

    @property
    def download_bytes(self) -> int:
        """What is still to be fetched; 0 when it is here, or not known."""
        return self.entry.download_bytes if self.base is None and self.entry is not None else 0

    @property
    def found_in(self) -> str:
        """Where on this machine it lies without being a base yet, such as ``Ollama``; "" is nowhere."""
        return self.entry.place if self.base is None and self.entry is not None else ""

    @property
    def found_at(self) -> Path | None:
        """The folder or file there; it is used where it lies, or converted from there."""
        return _place(self.entry) if self.entry is not None and self.found_in else None


@dataclass(frozen=True)
class Choices:
    """All of them."""

    bases: tuple[Choice, ...]
    """Those on this machine first, then those found on it in other programs' folders, each group by size."""
    problems: tuple[Problem, ...]
    """Folders that are no base model, entries of the settings that are none, what was found broken; with reasons."""
    room: Room


def list_choices(services: Services, room: Room | None = None) -> Choices:
    """Every base of this machine, found on it, of the catalog and of the person's own entries.

    Raises:
        RefusedError: the settings cannot be used.
    """
    room = room or Room.here()
    bases, broken = list_bases(services.paths.models)
    own = read_own(services.paths.config)
    known = tuple(placed(entry, services.config.hub) for entry in (*catalog.CATALOG, *own.entries))
    around = found_here(services.paths.config, own)
    offered, others = catalog.with_found(known, around.entries)
    here, used = {base.name for base in bases}, {base.folder for base in bases}
    bench = _Bench(services, bases, room)
    chosen = [bench.choice(base, _entry_of(base, known)) for base in bases]
    chosen += [bench.choice(None, entry) for entry in offered if entry.name not in here]
    free = [entry for entry in others if entry.name not in here and _place(entry) not in used]
    chosen += [bench.choice(None, entry) for entry in free]
    chosen.sort(key=lambda each: (_distance(each), each.parameters or math.inf, each.name))
    wrong = tuple(Problem(services.paths.config, each.reason) for each in own.problems)
    return Choices(tuple(chosen), broken + wrong + around.problems, room)


def describe(
    services: Services, base: InstalledBase | None, entry: CatalogEntry | None, room: Room | None = None
) -> Choice:
    """The same of one base: installed, or as the catalog knows it."""
    bases, _ = list_bases(services.paths.models)
    if base is not None and entry is None:
        entry = _entry_of(base, (*catalog.CATALOG, *read_own(services.paths.config).entries))
    return _Bench(services, bases, room or Room.here()).choice(base, entry)


def fitting(services: Services, base: InstalledBase) -> tuple[str, ...]:
    """The installed adapters that were made for ``base`` and fit it, as their headers say."""
    found = []
    for adapter in services.adapters().adapters:
        with suppress(LoraChatError):  # it is gone or broken since it was listed
            verdict = services.index.verdict(adapter, base.signature)
            if verdict.ok and not verdict.doubt:
                found.append(adapter.name)
    return tuple(found)


def _distance(choice: Choice) -> int:
    """0 is a base of this machine, 1 lies on it, 2 has to be fetched."""
    return 0 if choice.base is not None else 1 if choice.found_in else 2


def _place(entry: CatalogEntry) -> Path | None:
    return entry.source.path if isinstance(entry.source, FolderSource | GgufSource) else None


def _entry_of(base: InstalledBase, known: Iterable[CatalogEntry]) -> CatalogEntry | None:
    """What the catalog says of an installed base: of the same model, whatever it is called here."""
    lineage = base.signature.lineage.casefold()
    return next((entry for entry in known if entry.lineage.casefold() == lineage), None)


@dataclass(frozen=True)
class _Seen:
    """An installed base and what was measured with it."""

    base: InstalledBase
    kept: Kept
    speed: Measured | None
    pace: float | None


class _Bench:
    """This machine: its memory, its measured bases, its adapters."""

    def __init__(self, services: Services, bases: Iterable[InstalledBase], room: Room) -> None:
        self._services, self._room = services, room
        self._adapters = services.adapters().adapters
        self._seen = {base.name: self._look(base) for base in bases}

    def choice(self, base: InstalledBase | None, entry: CatalogEntry | None) -> Choice:
        """What one base is here; one of the two is given at least."""
        build = _build(base, entry)
        chat, train = (build.chat_bytes, build.train_bytes) if build is not None else (0, 0)
        parameters = base.parameters if base is not None else entry.parameters if entry is not None else 0
        fast = build.fast if build is not None else None
        name = base.name if base is not None else entry.name if entry is not None else ""
        return Choice(
            name=name,
            lineage=base.signature.lineage if base is not None else entry.lineage if entry is not None else "",
            source=base.source if base is not None else entry.source_kind if entry is not None else "",
            entry=entry,
            base=base,
            default=name == self._services.config.model,
            parameters=parameters,
            fast=fast,
            chat_bytes=chat,
            train_bytes=train,
            chat=self._room.fit(chat),
            train=self._room.fit(train),
            speed=self._speed(name if base is not None else "", parameters, fast),
            seconds=None if build is None else self._seconds(base, build),
            adapters=self._fitting(base, entry),
        )

    def _look(self, base: InstalledBase) -> _Seen:
        kept, weights = kept_for(base, self._services.paths), base.signature.weights
        pace = read_pace(kept.pace, weights)
        if pace is None and (trained := trained_paces(base, self._adapters)):
            pace = median(trained)
        return _Seen(base, kept, read_speed(kept.speed, weights), pace)

    def _speed(self, name: str, parameters: int, fast: bool | None) -> Figure | None:
        own = self._seen.get(name)
        if own is not None and own.speed is not None:
            return Figure(own.speed.tokens_per_second, name, measured=True)
        measured = [(seen, seen.speed) for seen in self._seen.values() if seen.speed is not None]
        if not measured or not parameters or fast is None:
            return None
        # One that is decoded in the same way says more than one of nearly the same size.
        seen, speed = min(measured, key=lambda each: (each[1].is_fast != fast, _apart(each[0].base, parameters)))
        bound: Bound = "" if speed.is_fast == fast else "under" if speed.is_fast else "over"
        scaled = speed.tokens_per_second * seen.base.parameters / parameters
        return Figure(scaled, seen.base.name, measured=False, bound=bound)

    def _seconds(self, base: InstalledBase | None, build: Build) -> Figure | None:
        own = self._seen.get(base.name) if base is not None else None
        tokens = build.training_tokens(prepared=own is not None and own.kept.general_answers.is_file())
        if own is not None and own.pace is not None:
            return Figure(tokens / own.pace, own.base.name, measured=True)
        measured = [(seen, seen.pace) for seen in self._seen.values() if seen.pace is not None]
        if not measured:
            return None
        seen, pace = min(measured, key=lambda each: _apart(each[0].base, build.parameters))
        return Figure(tokens / pace * build.parameters / seen.base.parameters, seen.base.name, measured=False)

    def _fitting(self, base: InstalledBase | None, entry: CatalogEntry | None) -> tuple[str, ...]:
        if base is not None:
            return fitting(self._services, base)
        names = {entry.lineage.casefold(), entry.name, *entry.aliases} if entry is not None else set()
        return tuple(each.name for each in self._adapters if each.base_model.casefold() in names)


def _apart(base: InstalledBase, parameters: int) -> float:
    """How unlike in size, as a factor's logarithm."""
    return abs(math.log(base.parameters / parameters)) if base.parameters and parameters else math.inf


def _build(base: InstalledBase | None, entry: CatalogEntry | None) -> Build | None:
    """What decides its needs; None where not even its parameters are known."""
    if base is not None:
        if not base.parameters:
            return None
        return Build(base.parameters, base.signature.text_modules, _is_fast(base), base.is_wide)
    if entry is None or not entry.parameters:
        return None
    sizes = entry.sizes or _nearest(entry.parameters)
    # An own entry's family is not known: what most of the small bases are is taken, the fast path's.
    fast = is_known(sizes.family)
    wide = isinstance(entry.source, GgufSource) or not isinstance(entry.source, (HubSource, FolderSource))
    wide = wide or (bool(entry.place) and entry.installed_bytes > 3 * entry.parameters)
    return Build(entry.parameters, sizes.modules(), fast, wide)


def _is_fast(base: InstalledBase) -> bool:
    try:
        read_shape(base.folder)
    except UnknownShape:
        return False
    return True


def _nearest(parameters: int) -> Sizes:
    """The sizes of the shipped base that is nearest by parameters, of those that the fast path knows."""
    sizes = [entry.sizes for entry in SHIPPED if entry.sizes is not None and is_known(entry.sizes.family)]
    return min(sizes, key=lambda each: abs(math.log(each.parameters() / parameters)))
