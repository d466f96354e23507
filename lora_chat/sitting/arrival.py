"""An adapter on its way in, under a person's eyes. Owns the order of it: opened, checked, measured, shown, asked,
written; never draws, and never installs what was not agreed to.

What was read is in memory when the person is asked: nothing lies in quarantine while they think.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from lora_chat.adapters.incoming.preview import preview
from lora_chat.adapters.incoming.remote import Tell
from lora_chat.adapters.incoming.source import Opened, opened
from lora_chat.adapters.install import Candidate, Installed, already, beside, inspect, inspect_against, install
from lora_chat.engine.effects import Effects, told
from lora_chat.engine.kept import kept_for
from lora_chat.engine.protocol import Probe, Worn
from lora_chat.errors import EngineError, RefusedError
from lora_chat.models.installed import InstalledBase
from lora_chat.paths import Paths
from lora_chat.sitting.face import Asker


@dataclass(frozen=True)
class Against:
    """What an adapter is held against."""

    base: InstalledBase
    probe: Callable[[Worn], Probe]
    """``Engine.probe`` of an engine on that base."""


@dataclass(frozen=True)
class Arrival:
    """A checked adapter that is not installed yet."""

    candidate: Candidate
    base: str
    """The name of what it was held against; empty where no base is on this machine."""
    effect: str
    """In words."""
    there: Installed | None
    """The same bytes, where they are installed already."""
    weights: str = ""
    """The hash of the base's weights."""


def look_at(
    source: str,
    paths: Paths,
    choose: Callable[[Candidate], Against | None],
    tell: Tell,
    name: str | None = None,
) -> Arrival:
    """Open, check and measure what ``source`` means; ``choose`` picks a base once the adapter is read.

    Raises:
        NotFoundError: there is no such thing.
        RefusedError: it could not be worn, or not on that base.
        EngineError: the hub cannot be reached.
    """
    with opened(source, paths, tell) as found:
        candidate = inspect(found, name)
        there = already(candidate, paths)
        if there is not None:
            return Arrival(candidate, "", "", there)
        candidate = dataclasses.replace(candidate, warnings=(*candidate.warnings, *beside(candidate, paths)))
        against = choose(candidate)
        if against is None:
            return Arrival(candidate, "", "not measured", None)
        candidate = inspect_against(candidate, against.base.signature)
        return _measured(candidate, found, against, paths)


def settle(arrival: Arrival, paths: Paths, asker: Asker) -> Installed | None:
    """Show an arrival, ask, and install it; None where the person declined.

    Raises:
        RefusedError: the folder cannot be written.
    """
    if arrival.there is not None:
        return arrival.there
    return install(arrival.candidate, paths) if agreed(arrival, asker) else None


def agreed(arrival: Arrival, asker: Asker) -> bool:
    """Show an arrival that is not there yet, and ask."""
    candidate = arrival.candidate
    name = candidate.manifest.name
    doubt = candidate.fit.doubt if candidate.fit else ""
    question = f"{doubt} Install the adapter {name} all the same?" if doubt else f"Install the adapter {name}?"
    about = preview(candidate, arrival.base, arrival.effect, arrival.weights)
    return asker.confirm(question, loses=bool(doubt), about=about)


def check_finite(name: str, probe: Probe) -> None:
    """Raise RefusedError when an adapter makes what no reply could be sampled from."""
    if not probe.finite:
        raise RefusedError(
            f'The adapter "{name}" is refused: worn, it makes logits that are not finite; take another one.'
        )


def _measured(candidate: Candidate, found: Opened, against: Against, paths: Paths) -> Arrival:
    base, files = against.base, candidate.files
    kept = Effects(kept_for(base, paths).effects, base.signature.weights).get(files.sha256, files.config_sha256)
    try:
        effect = _probed(candidate, found, against) if kept is None else kept
    except EngineError as error:
        return Arrival(candidate, base.name, f"not measured: {error}", None, base.signature.weights)
    if effect == 0 and not files.changes_nothing:
        candidate = dataclasses.replace(candidate, warnings=(*candidate.warnings, f"It {told(0)}."))
    return Arrival(candidate, base.name, told(effect), None, base.signature.weights)


def _probed(candidate: Candidate, found: Opened, against: Against) -> float:
    probe = against.probe(Worn(candidate.manifest.name, found.folder.resolve(), candidate.files.sha256))
    check_finite(candidate.manifest.name, probe)
    return probe.effect
