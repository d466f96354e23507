"""Which adapters there are. Owns the catalog of the person's and the shipped ones; never opens a tensor or runs code.

Listing reads JSON headers only. A folder that cannot be used is a ``Problem`` with its reason and hides nobody.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from lora_chat.adapters.manifest import MANIFEST_NAME, Manifest, checked_name
from lora_chat.adapters.peft_config import CONFIG_LIMIT, CONFIG_NAME
from lora_chat.adapters.reading import read_bytes, refusal, shown
from lora_chat.adapters.signature import BaseSignature
from lora_chat.adapters.verify import Verdict, read_manifest_of
from lora_chat.adapters.weights import WEIGHTS_LIMIT, WEIGHTS_NAME, read_adapter_header
from lora_chat.errors import LoraChatError, NotFoundError, RefusedError, did_you_mean
from lora_chat.paths import Paths

Origin = Literal["user", "bundled"]


@dataclass(frozen=True)
class Adapter:
    """One adapter that could be worn."""

    name: str
    """Its folder's name."""
    path: Path
    origin: Origin
    base_model: str
    """The name it declares; empty when it declares none."""
    rank: int
    """The largest."""
    parameters: int
    bytes: int
    """Of the weights file."""
    targets: tuple[str, ...]
    manifest: Manifest
    """What it says about itself; all defaults without an ``adapter.toml``."""

    @property
    def version(self) -> str:
        """Such as ``1.0.0``."""
        return self.manifest.version

    @property
    def description(self) -> str:
        """One line, cleaned."""
        return self.manifest.description

    @property
    def system_prompt(self) -> str:
        """What it wants said first; empty leaves that to the person and the chat template."""
        return self.manifest.chat.system_prompt

    @property
    def temperature(self) -> float | None:
        """What it wants to be sampled at; None when it does not say."""
        return self.manifest.chat.temperature

    @property
    def starters(self) -> tuple[str, ...]:
        """Questions it is good at."""
        return self.manifest.chat.starters

    def is_for(self, base: BaseSignature) -> bool:
        """Whether it says that it was made for this base; that it fits is for its weights to show."""
        is_named = bool(self.base_model) and base.is_called(self.base_model)
        return is_named or (base.has_shapes and self.manifest.base.fingerprint == base.fingerprint)

    @cached_property
    def sha256(self) -> str:
        """Of the weights, in hex: as written at install (the load holds the bytes against it), else computed now."""
        return (
            self.manifest.weights.sha256
            or hashlib.sha256(read_bytes(self.path / WEIGHTS_NAME, WEIGHTS_LIMIT)).hexdigest()
        )

    @cached_property
    def config_sha256(self) -> str:
        """Of the config, in hex; as ``sha256``."""
        return (
            self.manifest.weights.config_sha256
            or hashlib.sha256(read_bytes(self.path / CONFIG_NAME, CONFIG_LIMIT)).hexdigest()
        )


@dataclass(frozen=True)
class Problem:
    """A folder, or a preset's file, that cannot be used."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Catalog:
    """What was found, the usable and the broken."""

    adapters: tuple[Adapter, ...]
    """By name; the person's own stands for a shipped one of the same name."""
    problems: tuple[Problem, ...] = ()

    def get(self, name: str) -> Adapter:
        """Return the adapter called ``name``.

        Raises:
            RefusedError: there is a folder of that name, and it is broken.
            NotFoundError: there is none, naming the nearest.
        """
        by_name = {adapter.name: adapter for adapter in self.adapters}
        if name in by_name:
            return by_name[name]
        for problem in self.problems:
            if problem.path.name == name:
                raise RefusedError(problem.reason)
        near = did_you_mean(name, by_name)
        where = "`lora-chat adapter list`, or /adapter in the chat, shows them all"
        see = f"{near} ({where})" if near else f": {where}"
        raise NotFoundError(f'There is no adapter called "{shown(name)}"{see}.')


Stamp = tuple[tuple[int, ...], ...]
"""Times, sizes, numbers and modes of an adapter's folder and files: as long as they stay, so does what is in them."""


@dataclass(eq=False)
class Look:
    """What one folder was found to be."""

    stamp: Stamp
    found: Adapter | Problem
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    """Whether it fits: one each base that was asked about."""


Seen = MutableMapping[str, Look]
"""A caller's memory of earlier looks, by folder."""


def discover(paths: Paths, seen: Seen | None = None) -> Catalog:
    """Look through the person's folder, then the shipped one; a caller that looks again and again passes ``seen``."""
    before: Seen = {} if seen is None else seen
    found: dict[str, Adapter] = {}
    problems: list[Problem] = []
    places: tuple[tuple[Path, Origin], ...] = ((paths.adapters, "user"), (paths.bundled_adapters, "bundled"))
    for root, origin in places:
        for folder in _folders(root, problems):
            each = _look(folder, origin, before)
            if isinstance(each, Problem):
                problems.append(each)
            else:
                found.setdefault(each.name, each)
    return Catalog(tuple(found[name] for name in sorted(found)), tuple(problems))


def read_installed(folder: Path, origin: Origin = "user") -> Adapter:
    """Read one adapter's headers. Raises as ``read_adapter_header`` and ``read_manifest``."""
    header = read_adapter_header(folder)
    manifest = read_manifest_of(folder) or Manifest()
    return Adapter(
        name=_name_of(folder),
        path=folder,
        origin=origin,
        base_model=manifest.base.model or header.settings.base_model,
        rank=header.layout.rank,
        parameters=header.layout.parameters,
        bytes=header.bytes,
        targets=header.layout.targets,
        manifest=manifest,
    )


def _name_of(folder: Path) -> str:
    try:
        return checked_name(folder.name)
    except RefusedError as error:
        raise refusal(folder, f"{str(error).removesuffix('.')}; rename the folder") from error


def _folders(root: Path, problems: list[Problem]) -> list[str]:
    try:
        with os.scandir(root) as entries:
            # Hidden are installs under way (.incoming-…) and removals (.trash-…); a plain file (README) is no adapter.
            return sorted(entry.path for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.append(Problem(root, f"Cannot look into {root} ({error.strerror}): correct its permissions."))
        return []


def _look(folder: str, origin: Origin, seen: Seen) -> Adapter | Problem:
    stamp = stamp_of(folder)
    known = seen.get(folder)
    if known is None or known.stamp != stamp:
        known = seen[folder] = Look(stamp, _read(Path(folder), origin))
    return known.found


def _read(folder: Path, origin: Origin) -> Adapter | Problem:
    try:
        return read_installed(folder, origin)
    except LoraChatError as error:
        return Problem(folder, str(error))


def stamp_of(folder: str) -> Stamp:
    """What to compare to know whether anything in ``folder`` changed; strings, as a thousand ``Path`` take 10 ms."""
    names = (CONFIG_NAME, WEIGHTS_NAME, MANIFEST_NAME)
    return tuple(_state(path) for path in (folder, *(f"{folder}{os.sep}{name}" for name in names)))


def _state(path: str) -> tuple[int, ...]:
    try:
        facts = os.lstat(path)
    except OSError:
        return ()
    return (facts.st_mtime_ns, facts.st_size, facts.st_ino, facts.st_mode)
