"""A base's weights, mapped. Owns the tensors of safetensors files by name, read and written; never changes a weight.

The pages belong to the file: two programs share them, and the machine may drop and read them again. The mapping is
private, so that nothing done to a tensor could reach the file. [torch]
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from lora_chat.files import staged_file

_DTYPES = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I8": torch.int8,
    "U8": torch.uint8,
}

_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def map_file(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Every tensor of the safetensors file ``path`` as a view of its pages, and the file's metadata.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no safetensors file, or holds what a base's weights are not.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(size - 8, 1 << 27):
            raise ValueError(f"{path} is no safetensors file")
        head = file.read(length)
    try:
        # Not shared: the pages are the file's until somebody writes, and then the writer's own.
        storage: Any = torch.UntypedStorage.from_file(str(path), False, size)
        header = json.loads(head)
        metadata = header.pop("__metadata__", {})
        return dict(_views(storage, header, 8 + length, size)), metadata
    except (AttributeError, TypeError, KeyError, OverflowError, RuntimeError) as error:  # RecursionError is one
        raise ValueError(f"{path} has a header that cannot be read ({error!r})") from error


def _views(
    storage: torch.UntypedStorage, header: Mapping[str, Any], start: int, size: int
) -> Iterator[tuple[str, torch.Tensor]]:
    free = start
    for name, entry in sorted(header.items(), key=lambda each: each[1]["data_offsets"]):
        if (dtype := _DTYPES.get(entry["dtype"])) is None:
            raise ValueError(f'"{name}" is {entry["dtype"]}')
        begin, end = (start + int(each) for each in entry["data_offsets"])
        shape = [int(each) for each in entry["shape"]]
        if (
            not free <= begin <= end <= size
            or min(shape, default=0) < 0
            or (end - begin) != math.prod(shape) * dtype.itemsize
        ):
            raise ValueError(f'"{name}" does not lie where the header says')
        free = end
        if begin % dtype.itemsize:  # only files of foreign hand: a copy is aligned
            aligned = _at(storage, torch.uint8, begin, [end - begin]).clone()
            yield name, aligned.view(dtype).view(shape)
        else:
            yield name, _at(storage, dtype, begin // dtype.itemsize, shape)


def _at(storage: torch.UntypedStorage, dtype: torch.dtype, offset: int, shape: list[int]) -> torch.Tensor:
    strides = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
    return torch.empty(0, dtype=dtype).set_(storage, offset, shape, strides)


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Make ``path`` a safetensors file of ``tensors``, each contiguous, one after another: none is copied.

    Raises:
        OSError: it cannot be written; what was there before stays.
    """
    ordered = sorted(tensors.items(), key=lambda each: (-each[1].dtype.itemsize, each[0]))  # so that each is aligned
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, tensor in ordered:
        begin, end = end, end + tensor.nbytes
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    with staged_file(path) as stage, stage.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for _, tensor in ordered:
            file.write(tensor.reshape(-1).view(torch.uint8).numpy().data)


def map_weights(files: list[Path], *, widen: bool = True) -> dict[str, torch.Tensor]:
    """The tensors of all ``files``, as they are stored; ``widen`` makes float16 float32, which takes memory of its own.

    Raises:
        OSError, ValueError: as ``map_file``.
    """
    found: dict[str, torch.Tensor] = {}
    for path in files:
        tensors, _ = map_file(path)
        found |= {
            name: tensor.float() if widen and tensor.dtype == torch.float16 else tensor
            for name, tensor in tensors.items()
        }
    return found
