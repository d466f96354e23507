"""A base with an adapter folded in, as a plain transformers folder. Owns the sums; never writes to the base.

The base's weight files are read tensor by tensor and written anew under their own names, so that a model of several
files stays one and memory holds one tensor at a time. The sums are made in fp32: ``W + scaling * B @ A``.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_chat.adapters.manifest import Manifest
from lora_chat.adapters.numbers import WIDTHS, narrowed, widened
from lora_chat.adapters.outgoing.card import merged_card
from lora_chat.adapters.outgoing.local_paths import mentions_path
from lora_chat.adapters.outgoing.place import FOLDER_MODE, check_free, check_room, writing
from lora_chat.adapters.reading import shown
from lora_chat.adapters.tensor_file import encode_header
from lora_chat.adapters.verify import VerifiedAdapter
from lora_chat.adapters.weights import ModuleLora
from lora_chat.errors import RefusedError
from lora_chat.files import staged_folder
from lora_chat.models.installed import InstalledBase, weight_files
from lora_chat.models.sources.staging import Progress

_COPIED = (
    "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "merges.txt", "vocab.txt", "tokenizer.model", "chat_template.jinja",
    "chat_template.json", "LICENSE", "NOTICE",
)  # fmt: skip
_INDEX = "model.safetensors.index.json"
_TORCH_NAMES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_TRANSPOSED = frozenset({"GPT2LMHeadModel", "OpenAIGPTLMHeadModel"})
"""Whose linear modules are ``Conv1D``: the weight lies there as (in, out)."""


@dataclass(frozen=True)
class _Stored:
    """One tensor of a weight file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    """First byte, counted from the file's begin."""
    size: int
    """In bytes."""


def export_merged(
    adapter: VerifiedAdapter, manifest: Manifest, base: InstalledBase, path: Path, dtype: str, progress: Progress
) -> None:
    """Write ``base`` wearing ``adapter`` for good into the folder ``path``, which must be free.

    Without ``dtype`` (``F32``, ``F16``, ``BF16``) each tensor keeps the base's.

    Raises:
        RefusedError: ``path`` is taken, the base is quantised, or the disk is full.
    """
    check_free(path)
    files = {file: _stored(file) for file in weight_files(base.folder)}
    loras = _by_weight(adapter, base, {each.name for found in files.values() for each in found})
    check_room(path, sum(_size(each, dtype) for found in files.values() for each in found))
    with writing(path), staged_folder(path) as stage:
        for file, found in files.items():
            with file.open("rb") as source, (stage / file.name).open("wb") as into:
                order = sorted(found, key=lambda each: (-_width(each, dtype), each.start))
                sizes = {each.name: (_dtype(each, dtype), each.shape, _size(each, dtype)) for each in order}
                into.write(encode_header(sizes))
                for done, each in enumerate(order, 1):
                    source.seek(each.start)
                    raw = source.read(each.size)
                    into.write(_merged(each, raw, loras.get(each.name), adapter, base, dtype))
                    progress(f"Writing {file.name}", done, len(order))
        _write_texts(
            stage, manifest, base, dtype, sum(_size(each, dtype) for found in files.values() for each in found)
        )
        stage.chmod(FOLDER_MODE)


def _stored(file: Path) -> list[_Stored]:
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(length))  # ``weight_files`` had the safetensors library look it over
    header.pop("__metadata__", None)
    return [_Stored(name, each["dtype"], tuple(each["shape"]), 8 + length + each["data_offsets"][0],
                    each["data_offsets"][1] - each["data_offsets"][0]) for name, each in header.items()]  # fmt: skip


def _by_weight(adapter: VerifiedAdapter, base: InstalledBase, names: set[str]) -> dict[str, ModuleLora]:
    """Each adapted module by the name that its weight has in the base's files.

    Raises:
        RefusedError: one has none, or it is quantised.
    """
    found = {}
    for module, lora in adapter.layout.modules.items():
        # Files of older models leave out the part that transformers' class puts before.
        candidates = (f"{module}.weight", f"{module.partition('.')[2]}.weight")
        name = next((each for each in candidates if each in names), None)
        if name is None:
            raise RefusedError(f'The weight files of {base.name} have no "{shown(module, 100)}" of its own to fold the '
                               "adapter into: take --format peft.")  # fmt: skip
        found[name] = lora
    return found


def _merged(
    each: _Stored, raw: bytes, lora: ModuleLora | None, adapter: VerifiedAdapter, base: InstalledBase, dtype: str
) -> bytes:
    """The bytes of one tensor as they are written."""
    kind = _dtype(each, dtype)
    if lora is None and kind == each.dtype:
        return raw
    if each.dtype not in WIDTHS:
        raise RefusedError(
            f"{base.name} is quantised ({shown(each.dtype, 20)}), and an adapter would drown in it: take "
            "--format peft, or merge into the model it was made from."
        )
    weight = widened(raw, each.dtype, each.shape)
    if lora is not None:
        delta = adapter.files.numbers(lora.b) @ adapter.files.numbers(lora.a)
        delta *= delta.dtype.type(lora.scaling)
        weight = weight + (delta.T if base.signature.architecture in _TRANSPOSED else delta)
    return narrowed(weight, kind, each.name)


def _dtype(each: _Stored, dtype: str) -> str:
    """What it is written as: numbers that are no plain floats (counts, masks) stay."""
    return dtype if dtype and each.dtype in WIDTHS else each.dtype


def _size(each: _Stored, dtype: str) -> int:
    kind = _dtype(each, dtype)
    return each.size if kind == each.dtype else math.prod(each.shape) * WIDTHS[kind]


def _width(each: _Stored, dtype: str) -> int:
    count = math.prod(each.shape)
    return _size(each, dtype) // count if count else 0


def _write_texts(stage: Path, manifest: Manifest, base: InstalledBase, dtype: str, total: int) -> None:
    for name in _COPIED:
        if (base.folder / name).is_file():
            shutil.copyfile(base.folder / name, stage / name)
    config = _without_paths(json.loads((base.folder / "config.json").read_text(encoding="utf-8")))
    if dtype:
        config |= {key: _TORCH_NAMES[dtype] for key in ("dtype", "torch_dtype") if key in config}
    _write_json(stage / "config.json", config)
    if (stage / "tokenizer_config.json").is_file():
        found = json.loads((stage / "tokenizer_config.json").read_text(encoding="utf-8"))
        _write_json(stage / "tokenizer_config.json", _without_paths(found))
    if not (stage / "model.safetensors").exists():
        index = json.loads((base.folder / _INDEX).read_text(encoding="utf-8"))
        _write_json(stage / _INDEX, {"metadata": {"total_size": total}, "weight_map": index["weight_map"]})
    (stage / "README.md").write_text(merged_card(manifest), encoding="utf-8")


def _without_paths(values: Mapping[str, Any]) -> dict[str, Any]:
    """Where tools note the folder that a model was loaded from."""
    return {key: value for key, value in values.items()
            if not (key.endswith("name_or_path") and mentions_path(value))}  # fmt: skip


def _write_json(file: Path, value: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
