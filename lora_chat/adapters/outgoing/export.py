"""An adapter as the plain folder that PEFT and vLLM load. Owns its files; never asks, and never reads the base."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection
from pathlib import Path

from lora_chat.adapters.install import Candidate
from lora_chat.adapters.manifest import Manifest
from lora_chat.adapters.outgoing.card import card
from lora_chat.adapters.outgoing.place import FOLDER_MODE, check_free, check_room, writing
from lora_chat.adapters.outgoing.plain import plain_config, short_targets, uniform_weights
from lora_chat.adapters.outgoing.public import public_readme
from lora_chat.adapters.peft_config import CONFIG_NAME
from lora_chat.adapters.weights import WEIGHTS_NAME
from lora_chat.files import staged_folder


def export_peft(
    candidate: Candidate, manifest: Manifest, modules: Collection[str], path: Path, dtype: str = ""
) -> None:
    """Write an adapter that fits a base into the folder ``path``, which must be free.

    ``manifest`` is what is told of it, ``modules`` are the base's linear ones. Without ``dtype`` (``F32``, ``F16``,
    ``BF16``) each tensor keeps its own.

    Raises:
        RefusedError: ``path`` is taken, a number does not fit ``dtype``, or the disk is full.
    """
    check_free(path)
    layout = candidate.files.layout
    weights, strength = uniform_weights(candidate.files, dtype)
    claim = dataclasses.replace(manifest.weights, sha256=hashlib.sha256(weights).hexdigest(), bytes=len(weights))
    told = dataclasses.replace(manifest, weights=claim)
    contents = {
        CONFIG_NAME: plain_config(manifest.base.model, strength, short_targets(layout.modules, modules)),
        WEIGHTS_NAME: weights,
        "README.md": card(told, layout, path.name, public_readme(candidate)).encode(),
    }
    if "LICENSE" in candidate.texts:
        contents["LICENSE"] = candidate.texts["LICENSE"]
    check_room(path, sum(len(data) for data in contents.values()))
    with writing(path), staged_folder(path) as stage:
        for name, data in contents.items():
            (stage / name).write_bytes(data)
        stage.chmod(FOLDER_MODE)
