"""What a base model looks like to an adapter. Owns the facts that decide whether one fits; never opens the base."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_QUANTISED = re.compile(r"(-unsloth)?-bnb-4bit$")
"""What Unsloth's four-bit copies are called after their base, which is the one that their adapters were made for."""
_NOT_TEXT = re.compile(r"(?:^|_)(?:vision|visual|image|img|video|audio|speech|multi_?modal|mm_projector)(?:_|$)")
"""In a part of a module's name: what brings pictures or sounds into a model, which text never goes through."""


def goes_text_through(module: str) -> bool:
    """Whether text goes through the module of this full name, as far as its name says."""
    return not any(map(_NOT_TEXT.search, module.split(".")))


@dataclass(frozen=True)
class BaseSignature:
    """Names, shapes and hashes of one base model. Made by ``models``; adapters are checked against it without torch."""

    lineage: str
    """The name adapters declare, such as ``HuggingFaceTB/SmolLM2-135M-Instruct``."""
    architecture: str
    """transformers' class, such as ``LlamaForCausalLM``."""
    modules: Mapping[str, tuple[int, int]]
    """Each linear module's full name in the loaded model, such as ``model.layers.0.mlp.up_proj``, to (out, in)."""
    fingerprint: str
    """``sha256:…`` of module shapes and tokenizer: what must fit."""
    weights: str
    """``sha256:…`` of the weight files: shown, not required."""
    chat_template: str
    """``sha256:…`` of the chat template, or of the fallback's name."""
    aliases: tuple[str, ...] = field(default=())
    """Other names for the same base, compared without case."""
    place: str = ""
    """The folder it is loaded from, which adapters trained on it with other tools declare; empty when not known."""

    @classmethod
    def of_names(cls, name: str, aliases: tuple[str, ...] = ()) -> BaseSignature:
        """Of a base that answers elsewhere: only what it is called is known; an empty ``name``: not even that."""
        return cls(name, "", {}, "", "", "", aliases)

    @property
    def has_shapes(self) -> bool:
        """Whether more than its names is known."""
        return bool(self.modules)

    @property
    def text_modules(self) -> Mapping[str, tuple[int, int]]:
        """Those of ``modules`` that text goes through: no tower or projector for pictures and sounds is among them.

        They are what is trained and counted; an adapter that has others too may be worn all the same.
        """
        return {name: shape for name, shape in self.modules.items() if goes_text_through(name)} or self.modules

    def is_named(self, name: str) -> bool:
        """Whether ``name`` is this base: its whole hub id, its folder, or without an organisation its last part."""
        if "/" not in name and "\\" not in name:
            return self.is_called(name)
        known = {self.lineage.casefold(), *(alias.casefold() for alias in self.aliases)}
        return name.casefold() in known or (bool(self.place) and name.rstrip("/\\") == self.place)

    def is_called(self, name: str) -> bool:
        """Whether ``name``, as an adapter declares it, means this base: a hub id or path whose last part is its own."""
        if self.place and name.rstrip("/\\") == self.place:
            return True
        known = {self.lineage.casefold(), *(alias.casefold() for alias in self.aliases)}
        known |= {each.rsplit("/", 1)[-1] for each in known}
        wanted = _QUANTISED.sub("", name.casefold().rstrip("/\\").replace("\\", "/"))
        return wanted in known or wanted.rsplit("/", 1)[-1] in known
