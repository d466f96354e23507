"""The GGUF files of one folder. Owns which of them is a base and what it is called; never converts one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from lora_chat.models.entry import GgufSource
from lora_chat.models.installed import Problem
from lora_chat.models.nearby.find import Find, broken
from lora_chat.models.nearby.gguf_model import gguf_facts
from lora_chat.models.nearby.within import HARM, Within

_LATER_PART = re.compile(r"-(?!00001)\d{5}-of-\d{5}$")
_BESIDE = re.compile(r"mmproj|.*[-._]mmproj[-._].*|.*imatrix.*", re.IGNORECASE)
"""Files that belong to a model and are none: its eyes, and what its quantisation was measured with."""


def gguf_finds(folder: Path, within: Within, place: str, repo: str = "") -> Iterator[Find | Problem]:
    """Every base in ``folder``, which belongs to the repository ``repo``, and what is broken."""
    for name, file in within.files(folder).items():
        stem, suffix = Path(name).stem, Path(name).suffix
        if suffix.casefold() != ".gguf" or _LATER_PART.search(stem) or _BESIDE.match(stem):
            continue
        try:
            facts = gguf_facts(file)
        except HARM as error:
            yield broken(file, error)
            continue
        if facts is not None:
            titles = (stem, repo.rsplit("/", 1)[-1]) if repo else (stem,)
            yield Find(place, GgufSource(file), facts, stem, titles)
