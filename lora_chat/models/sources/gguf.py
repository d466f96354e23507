"""The head of a GGUF file. Owns what it says of itself; never reads a weight.

Read without the ``gguf`` package, whose reader takes 3.5 s for the embedded model and believes what it is told: a
damaged or foreign file is refused here in a tenth of a second. Format: ggml's ``docs/gguf.md``.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from lora_chat.errors import NotFoundError, RefusedError

_MAGIC = b"GGUF"
_STRING, _ARRAY = 8, 9
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_MOST_KEYS, _MOST_TENSORS, _LONGEST_STRING, _MOST_ITEMS = 10_000, 100_000, 1 << 24, 1 << 24
_LONGEST_HEAD = 1 << 28
"""Bytes; the largest vocabularies take some ten million."""
_LENGTH = struct.Struct("<Q")
_PIECE = 1 << 20


@dataclass(frozen=True)
class GgufHead:
    """What a GGUF file says before its weights begin."""

    fields: Mapping[str, str | int | float | bool]
    """The scalar ones; lists such as the vocabulary are stepped over."""
    elements: int
    """Weights in all tensors together; four bytes each once converted."""
    types: Mapping[int, str]
    """ggml's number of each tensor type that occurs, to the first tensor that has it."""
    shares: Mapping[int, int] = field(default_factory=dict)
    """The same, to how many of the weights are of it."""
    last_begins: int = 0
    """The byte of the file at which its last tensor begins: a file that ends there or before is cut short."""

    @property
    def architecture(self) -> str:
        """llama.cpp's name of it, such as ``llama``; "" when the file names none."""
        return str(self.fields.get("general.architecture", ""))

    @property
    def pre_tokenizer(self) -> str:
        """llama.cpp's name of the pre-tokenizer, such as ``smollm``; "" when the file names none."""
        return str(self.fields.get("tokenizer.ggml.pre", ""))


def read_head(file: Path) -> GgufHead:
    """Read the head of ``file``.

    Raises:
        NotFoundError: there is no such file.
        RefusedError: not a GGUF of version 2 or 3, or cut short.
    """
    try:
        with file.open("rb") as stream:
            return _read(stream)
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no file {file}: check the path.") from error
    except OSError as error:
        raise RefusedError(f"Cannot read {file} ({error.strerror}): correct its permissions.") from error
    except (ValueError, struct.error) as error:
        raise RefusedError(f"{file} is not a whole GGUF file ({error}): fetch it again.") from error


def _read(stream: BinaryIO) -> GgufHead:
    if stream.read(4) != _MAGIC:
        raise ValueError("it does not begin with GGUF")
    version, tensors, keys = _unpack(stream, "IQQ")
    if version not in (2, 3) or tensors > _MOST_TENSORS or keys > _MOST_KEYS:
        raise ValueError(f"version {version}, {tensors} tensors, {keys} fields")
    fields: dict[str, str | int | float | bool] = {}
    for _ in range(keys):
        name = _text(stream)
        value = _value(stream, _unpack(stream, "I")[0])
        if value is not None:
            fields[name] = value
        if stream.tell() > _LONGEST_HEAD:
            raise ValueError(f"a head of more than {_LONGEST_HEAD} bytes")
    types, shares, last = dict[int, str](), dict[int, int](), 0
    for _ in range(tensors):
        tensor, count, kind, offset = _tensor(stream)
        types.setdefault(kind, tensor)
        shares[kind] = shares.get(kind, 0) + count
        last = max(last, offset)
    return GgufHead(fields, sum(shares.values()), types, shares, _begin_of_weights(stream.tell(), fields) + last)


def _begin_of_weights(head: int, fields: Mapping[str, str | int | float | bool]) -> int:
    named = fields.get("general.alignment", 32)
    alignment = named if isinstance(named, int) and named > 0 else 32
    return -(-head // alignment) * alignment


def _value(stream: BinaryIO, kind: int) -> str | int | float | bool | None:
    """One field's value; None for a list."""
    if kind == _STRING:
        return _text(stream)
    if kind == _ARRAY:
        inner, count = _unpack(stream, "IQ")
        _skip_items(stream, inner, count)
        return None
    value: int | float | bool = _unpack(stream, _format(kind))[0]
    return value


def _skip_items(stream: BinaryIO, kind: int, count: int) -> None:
    if count > _MOST_ITEMS:
        raise ValueError(f"a list of {count} items")
    if kind == _STRING:
        _skip_texts(stream, count)
    else:  # lists of lists do not occur
        stream.seek(struct.calcsize(_format(kind)) * count, 1)


def _skip_texts(stream: BinaryIO, count: int) -> None:
    """Step over ``count`` texts, of which a vocabulary has some hundred thousand: by pieces, not one by one."""
    data, at = b"", 0
    for _ in range(count):
        if len(data) - at < _LENGTH.size:
            data, at = data[at:] + stream.read(_PIECE), 0
            if len(data) < _LENGTH.size:
                raise ValueError("it ends early")
        (length,) = _LENGTH.unpack_from(data, at)
        if length > _LONGEST_STRING:
            raise ValueError(f"a text of {length} bytes")
        at += _LENGTH.size + length
        if at > len(data):
            stream.seek(at - len(data), 1)
            data, at = b"", 0
    stream.seek(at - len(data), 1)


def _tensor(stream: BinaryIO) -> tuple[str, int, int, int]:
    """The name, the number of weights, the type and the offset of the next tensor."""
    name = _text(stream)
    (dimensions,) = _unpack(stream, "I")
    if dimensions > 8:
        raise ValueError(f"a tensor of {dimensions} dimensions")
    shape = _unpack(stream, "Q" * dimensions)
    kind, offset = _unpack(stream, "IQ")
    return name, math.prod(shape), kind, offset


def _format(kind: int) -> str:
    if kind not in _NUMBERS:
        raise ValueError(f"an unknown type {kind}")
    return _NUMBERS[kind]


def _text(stream: BinaryIO) -> str:
    (length,) = _unpack(stream, "Q")
    if length > _LONGEST_STRING:
        raise ValueError(f"a text of {length} bytes")
    return _exactly(stream, length).decode("utf-8", "replace")


def _unpack(stream: BinaryIO, layout: str) -> tuple[int, ...]:
    layout = f"<{layout}"  # little-endian, unaligned
    return struct.unpack(layout, _exactly(stream, struct.calcsize(layout)))


def _exactly(stream: BinaryIO, length: int) -> bytes:
    data = stream.read(length)
    if len(data) != length:
        raise ValueError("it ends early")
    return data
