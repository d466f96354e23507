"""How the adapters stand to one base: whether they fit it, and what they change. Owns those words; never measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lora_chat.adapters.index import Index
from lora_chat.adapters.registry import Adapter
from lora_chat.adapters.verify import Verdict, check_unedited
from lora_chat.engine.effects import Effects, told, told_briefly
from lora_chat.engine.kept import kept_for
from lora_chat.errors import LoraChatError
from lora_chat.models.answering import Answerer, base_of
from lora_chat.paths import Paths
from lora_chat.text import clean_line


@dataclass(frozen=True)
class Standing:
    """One adapter before one base."""

    verdict: Verdict | None = None
    """None where it can no longer be read."""
    broken: str = ""
    """Why it cannot be worn on any base, as one sentence: edited, damaged or gone since it was listed."""
    effect: float | None = None
    """The largest change of a logit it was measured to make; None when it was not."""

    @property
    def refusal(self) -> str:
        """Why it cannot be worn, as one sentence; empty where it can."""
        return self.broken or (self.verdict.reason if self.verdict else "")

    @property
    def doubt(self) -> str:
        """What a person should agree to before wearing it; empty where nothing."""
        return self.verdict.doubt if self.verdict and not self.refusal else ""

    @property
    def measured(self) -> str:
        """What it changes, in a few words."""
        if self.effect is None:
            return "not measured"
        return told_briefly(self.effect)

    def fit(self, declared: str) -> str:
        """Whether it fits, in a few words; ``declared`` is the base it says it was made for."""
        if self.broken:
            return "cannot be used"
        if self.verdict is None:
            return ""
        if not self.verdict.ok:
            return "does not fit"
        if not self.verdict.doubt:
            return "fits by name" if self.verdict.is_by_name else "fits"
        return f"made for {clean_line(declared.rsplit('/', 1)[-1], 40)}" if declared else "base not said"


class Standings:
    """The adapters before the base of one sitting; each is looked at once, until it or its measured effect changes."""

    def __init__(self, index: Index, who: Answerer, paths: Paths) -> None:
        self._index = index
        self.who = who
        """Whom they stand to."""
        base = base_of(who)
        self._effects = Effects(kept_for(base, paths).effects, base.signature.weights) if base is not None else None
        self._of: dict[str, tuple[Adapter, Standing]] = {}

    def of(self, adapter: Adapter, *, changed: bool = False) -> Standing:
        """How this one stands; ``changed``: its files did, so that its bytes are held against its ``adapter.toml``."""
        return self._look(adapter, self.effects(), changed)

    def known(self, adapter: Adapter, effects: Mapping[str, float]) -> Standing | None:
        """The same where it takes no look at a file; ``effects`` are those measured by now."""
        before = self._of.get(adapter.name)
        if before is None or before[0] is not adapter:
            return None
        return self._look(adapter, effects, changed=False)

    def effects(self) -> dict[str, float]:
        """What was measured, as ``Effects.all``."""
        return self._effects.all() if self._effects is not None else {}

    def _look(self, adapter: Adapter, effects: Mapping[str, float], changed: bool) -> Standing:
        before = self._of.get(adapter.name)
        try:
            if before is None or before[0] is not adapter or changed:
                said = adapter.manifest.weights
                if changed or (said.bytes and said.bytes != adapter.bytes):
                    check_unedited(adapter.path, adapter.manifest)
                found = Standing(self._index.verdict(adapter, self.who.signature))
            else:
                found = before[1]
            if not found.broken:
                measured = effects.get(f"{adapter.sha256}:{adapter.config_sha256}")
                found = found if measured == found.effect else Standing(found.verdict, "", measured)
        except LoraChatError as error:
            found = Standing(None, str(error))
        self._of[adapter.name] = (adapter, found)
        return found


def standing_facts(adapter: Adapter, standing: Standing | None, base: str) -> list[tuple[str, str]]:
    """Fit and effect, for whoever shows them; None is one that was not looked at yet."""
    if standing is None:
        return []
    fit = standing.refusal or standing.doubt or f"fits {base}"
    if standing.verdict is not None and standing.verdict.is_by_name and not standing.doubt:
        fit = f"made for {base}, by its name; whether its shapes fit is for the server to say"
    if standing.effect is not None:
        effect = told(standing.effect)
    else:
        effect = "" if standing.broken else standing.measured
        effect += "" if standing.refusal else ": verifying it does that"
    return [("fit", clean_line(fit, 400)), *([("effect", effect)] if effect else [])]


def provenance(adapter: Adapter) -> list[tuple[str, str]]:
    """How it was trained and what came of it, as far as it says."""
    manifest = adapter.manifest
    figures = [
        ("version", manifest.version),
        ("authors", ", ".join(manifest.authors)),
        ("is private", "trained here, not exported yet" if manifest.private else ""),
        ("trained", _sayable(manifest.training)),
        ("evaluated", _sayable(manifest.evaluation)),
    ]
    return [(name, clean_line(fact, 400)) for name, fact in figures if fact]


_TOLD_ELSEWHERE = ("tokens_per_second", "trainable_parameters", "total_parameters", "trainable_percent")
"""Figures of a training that say nothing of the adapter, or are among its other facts."""


def _sayable(table: Mapping[str, object]) -> str:
    """``steps 66, loss 3.46 → 0.0267``: the plain figures of a table; a table within it is the recipe."""
    plain = {name: value for name, value in table.items() if isinstance(value, str | int | float)}
    parts = []
    for name, value in plain.items():
        stem = name.removesuffix("_before")
        if name in _TOLD_ELSEWHERE or (name.endswith("_after") and f"{name.removesuffix('_after')}_before" in plain):
            continue
        after = f" → {_figure(plain[f'{stem}_after'])}" if stem != name and f"{stem}_after" in plain else ""
        parts.append(f"{(stem if after else name).replace('_', ' ')} {_figure(value)}{after}")
    return ", ".join(parts)


def _figure(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
