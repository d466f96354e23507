"""A safetensors file being written. Owns its header and order, the same bytes every time; never reads one.

Format: the safetensors specification (8 bytes header length, JSON header, data). Wider numbers come first, so that
every tensor lies at a multiple of its width, as readers that map the file want it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from lora_chat.adapters.numbers import WIDTHS

PREFIX = "base_model.model."
"""What PEFT puts before a module's name."""

METADATA = {"format": "pt"}
"""What transformers and PEFT want to find, and all that is written."""


@dataclass(frozen=True)
class Tensor:
    """One tensor and its numbers."""

    dtype: str
    """``F32``, ``F16`` or ``BF16``."""
    shape: tuple[int, ...]
    data: bytes


def encode_tensors(tensors: Mapping[str, Tensor]) -> bytes:
    """A whole file."""
    order = sorted(tensors, key=lambda name: (-WIDTHS[tensors[name].dtype], name))
    sizes = {name: (tensors[name].dtype, tensors[name].shape, len(tensors[name].data)) for name in order}
    return encode_header(sizes) + b"".join(tensors[name].data for name in order)


def encode_header(sizes: Mapping[str, tuple[str, tuple[int, ...], int]]) -> bytes:
    """What stands before the data, which follows in the order of ``sizes``: name to (dtype, shape, bytes)."""
    header: dict[str, object] = {"__metadata__": METADATA}
    end = 0
    for name, (dtype, shape, size) in sizes.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    return len(raw).to_bytes(8, "little") + raw
