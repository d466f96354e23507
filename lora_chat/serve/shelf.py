"""What a client can name as a model. Owns ``base:adapter``; never reads an adapter by another way than ``ask -a``.

Each question looks anew: an adapter that was installed or removed a moment ago is there, or gone.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_chat import __version__
from lora_chat.adapters.registry import Adapter
from lora_chat.adapters.weights import WEIGHTS_NAME
from lora_chat.errors import LoraChatError, NotFoundError, did_you_mean
from lora_chat.models.answering import Answerer, Served
from lora_chat.services import Services
from lora_chat.session import Wearing
from lora_chat.text import clean_line

ANY_BASE = "base"
"""Names the base that is served, whichever that is."""


@dataclass(frozen=True)
class Named:
    """A model that a client named: the base, and what it wears."""

    id: str
    wearing: Wearing | None


class Shelf:
    """The models of one server. Any thread may ask."""

    def __init__(self, services: Services, who: Answerer, say: Callable[[str], None]) -> None:
        """``say`` is told once of each adapter that was made for another base of the same shape."""
        self._services = services
        self._who = who
        self._say = say
        self._said: set[str] = set()
        self._looking = threading.Lock()

    def find(self, model: str) -> Named:
        """What ``model`` means: ``base``, ``base:adapter``, ``base:adapter=0.8``, ``base:a=0.7+b=0.3``.

        Raises:
            NotFoundError: no such base or adapter.
            RefusedError: the adapter is broken or does not fit, or that is no scale.
        """
        with self._looking:
            return self._find(model)

    def _find(self, model: str) -> Named:
        called, colon, wish = self._parted(model)
        if called not in (self._who.name, ANY_BASE) and not self._who.signature.is_named(called):
            known = [self._who.name, *(f"{self._who.name}:{each.name}" for each in self._fitting())]
            hint = did_you_mean(model, known) or f": {self._who.name} and what GET /v1/models lists are served."
            raise NotFoundError(f'There is no model "{clean_line(model, 120)}" here{hint}')
        if not colon:
            return Named(self._who.name, None)
        wearing = self._services.wear(wish)
        for doubt in self._services.check_fit(wearing, self._who):
            self._doubt(doubt)
        scale = "" if wearing.scale == 1 else f"={wearing.scale:g}"
        return Named(f"{self._who.name}:{wearing.name}{scale}", wearing)

    def _parted(self, model: str) -> tuple[str, str, str]:
        """A base on a server may have a colon in its own name."""
        own = self._who.name
        if model == own or model.startswith(f"{own}:"):
            return own, model[len(own) : len(own) + 1], model[len(own) + 1 :]
        return model.partition(":")

    def models(self) -> list[dict[str, Any]]:
        """The base and each adapter that fits it, in OpenAI's form."""
        with self._looking:
            return [self._entry(self._who.name, None), *map(self._worn_entry, self._fitting())]

    def model(self, model: str) -> dict[str, Any]:
        """One of them, or one at a scale. Raises as ``find``."""
        named = self.find(model)
        return self._entry(named.id, named.wearing.adapter if named.wearing else None)

    def fingerprint(self, wearing: Wearing | None, decoding: str) -> str:
        """Of all that a seed's answer depends on."""
        worn = [f"{each.sha256} {each.config_sha256}" for each in wearing.adapters] if wearing else []
        facts = [
            __version__,
            self._who.signature.weights or self._who.name,
            self._who.signature.chat_template,
            decoding,
            *worn,
        ]
        return f"fp_{hashlib.sha256(' '.join(facts).encode()).hexdigest()[:10]}"

    def _fitting(self) -> list[Adapter]:
        return [each for each in self._services.adapters().adapters if self._fits(each)]

    def _fits(self, adapter: Adapter) -> bool:
        try:
            verdict = self._services.index.verdict(adapter, self._who.signature)
        except LoraChatError:  # gone or broken since it was listed
            return False
        return verdict.ok and not (verdict.is_by_name and verdict.doubt)  # such a one can be asked for all the same

    def _worn_entry(self, adapter: Adapter) -> dict[str, Any]:
        return self._entry(f"{self._who.name}:{adapter.name}", adapter)

    def _entry(self, id: str, adapter: Adapter | None) -> dict[str, Any]:
        created, owner = 0, ""
        if adapter is not None:
            created, owner = _made(adapter.path / WEIGHTS_NAME), adapter.origin
        elif isinstance(self._who, Served):
            owner = self._who.place
        else:
            created, owner = _made(self._who.folder / "config.json"), self._who.source
        return {"id": id, "object": "model", "created": created, "owned_by": owner}

    def _doubt(self, doubt: str) -> None:
        if doubt not in self._said:
            self._said.add(doubt)
            self._say(doubt)


def _made(file: Path) -> int:
    """When, in seconds of Unix time; 0 where that file is gone."""
    try:
        return int(file.stat().st_mtime)
    except OSError:
        return 0
