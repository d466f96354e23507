"""What the lower layers make of the general questions, from one training to the next. Owns that file. [torch]

A cache beside the base's general answers, 9 MB for the default base: without it each training would make them anew, a
tenth of its time when it learns a handful.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from safetensors.torch import save

from lora_chat.decoder.weights import map_file
from lora_chat.errors import LoraChatError
from lora_chat.files import write_durably
from lora_chat.training.layout import Ids
from lora_chat.training.lower import Lower
from lora_chat.training.recipe import LONG

STATES = "general-states.safetensors"


class Remembered:
    """The general questions' states of one training."""

    def __init__(self, path: Path, weights: str, lower: Lower, general: Sequence[Ids]) -> None:
        """Let ``lower`` know what was kept of ``general`` in ``path``; ``weights`` is the base's hash."""
        self._path, self._lower, self._general = path, lower, general
        self._made_by = (
            f"{weights} {lower.made_by} groups={LONG} torch={torch.__version__} threads={torch.get_num_threads()}"
        )
        lower.know(general, LONG)
        found = _read(path, self._made_by)
        lower.fill(found)
        self._found = len(found)

    def keep(self) -> None:
        """Write them, if they were not read, for the next training."""
        if self._lower.count and self._lower.count_kept(self._general) > self._found:
            with suppress(OSError):  # without them the next training makes them again
                _write(self._path, self._made_by, self._lower.kept(self._general))


def _read(path: Path, made_by: str) -> dict[Ids, torch.Tensor]:
    try:
        tensors, metadata = map_file(path)  # a step draws a few of them: the others need not be in memory
        if metadata.get("made_by") != made_by:
            return {}
        sequences = [tuple(ids) for ids in json.loads(metadata["sequences"])]
        found = {ids: tensors[str(index)] for index, ids in enumerate(sequences)}
        return found if all(each.dim() == 2 and len(each) == len(ids) for ids, each in found.items()) else {}
    except (OSError, KeyError, TypeError, ValueError):
        return {}  # a cache: whatever is wrong with it, it is made again


def _write(path: Path, made_by: str, states: Mapping[Ids, torch.Tensor]) -> None:
    tensors = {str(index): each.cpu().contiguous() for index, each in enumerate(states.values())}
    with suppress(OSError, LoraChatError):  # without room for it, the next training makes them again
        write_durably(path, save(tensors, {"made_by": made_by, "sequences": json.dumps(list(states))}))
