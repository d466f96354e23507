"""Numbers are rounded to the nearest, ties to even, exactly as torch does it; what does not fit is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load

from lora_chat.adapters.numbers import narrowed, widened
from lora_chat.adapters.tensor_file import Tensor, encode_tensors
from lora_chat.adapters.weights import parse_header
from lora_chat.errors import RefusedError

TORCH = {"F16": torch.float16, "BF16": torch.bfloat16}


def awkward() -> np.ndarray[Any, np.dtype[np.float32]]:
    """Random numbers of every size, every bf16's upper and lower neighbour, every tie between two, and both zeros."""
    draw = np.random.default_rng(0)
    ties = (np.arange(0x7F7F, dtype=np.uint32) << 16) + 0x8000
    bits = np.concatenate([ties, ties - 1, ties + 1, ties | 0x80000000, np.array([0, 0x80000000], np.uint32)])
    spread = draw.standard_normal(50_000) * 10.0 ** draw.integers(-30, 30, 50_000)
    return np.concatenate([bits.view(np.float32), spread.astype(np.float32)])


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_narrowing_rounds_as_torch_does(dtype: str) -> None:
    numbers = awkward()
    if dtype == "F16":
        numbers = numbers[np.abs(numbers) < 65_000]
    expected = torch.from_numpy(numbers.copy()).to(TORCH[dtype]).view(torch.int16).numpy().tobytes()
    assert narrowed(numbers, dtype, "x") == expected


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_widening_is_exact_and_narrowing_undoes_it(dtype: str) -> None:
    bits = np.arange(2**16, dtype=np.uint16)
    exponent = 0x7C00 if dtype == "F16" else 0x7F80
    bits = bits[(bits & exponent) != exponent]
    wide = widened(bits.tobytes(), dtype, bits.shape)
    assert wide.dtype == np.float32
    assert torch.equal(torch.from_numpy(wide.copy()), torch.from_numpy(bits.view(np.int16)).view(TORCH[dtype]).float())
    assert narrowed(wide, dtype, "x") == bits.tobytes()


def test_a_number_too_large_for_half_precision_is_refused_by_its_tensor() -> None:
    for dtype, number in (("F16", 70_000.0), ("BF16", 3.4e38)):
        with pytest.raises(RefusedError, match=r'"layer\.lora_B" holds numbers too large'):
            narrowed(np.array([1.0, number], np.float32), dtype, "layer.lora_B")


def test_a_written_file_is_read_by_us_and_by_safetensors(tmp_path: Any) -> None:
    tensors = {
        "b": Tensor("BF16", (1,), narrowed(np.array([1.5], np.float32), "BF16", "b")),
        "z": Tensor("F32", (2, 1), np.array([[1], [2]], np.float32).tobytes()),
        "a": Tensor("F32", (1,), np.array([3], np.float32).tobytes()),
    }
    raw = encode_tensors(tensors)
    assert encode_tensors(dict(reversed(tensors.items()))) == raw
    found = load(raw)
    assert (found["b"].item(), found["z"].tolist(), found["a"].item()) == (1.5, [[1], [2]], 3)
    views = parse_header(raw, len(raw), tmp_path)
    assert all(view.start % 4 == 0 for view in views.values())
    assert raw[views["z"].start : views["z"].stop] == tensors["z"].data
