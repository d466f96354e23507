"""An adapter's factors are packed as the base's weights are, whatever their ranks and however many there are."""

from __future__ import annotations

import warnings

import numpy as np
import torch

from lora_chat.decoder.lora import Array, _as_read, _in_a_row, _packed
from lora_chat.decoder.quantise import pack_int8


def some() -> list[Array]:
    draw = np.random.default_rng(0)
    shapes = [(8, 576), (1, 64), (256, 32), (3, 1536)]
    found = [(draw.standard_normal(shape) * 10.0**-index).astype(np.float32) for index, shape in enumerate(shapes)]
    return [*found, np.zeros((4, 64), np.float32), np.full((2, 32), 1e-30, np.float32)]


def test_they_are_packed_number_for_number_as_the_bases_weights_are() -> None:
    for matrix, found in zip(some(), _packed(some()), strict=True):
        expected = pack_int8(torch.from_numpy(matrix))
        assert expected.scales is not None
        assert found.scales is not None
        assert np.array_equal(found.values, expected.values.numpy())
        assert np.array_equal(found.scales, expected.scales.numpy())


def test_what_16_bits_do_not_hold_is_infinite_and_nothing_is_printed() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (factor,) = _packed([np.full((1, 32), 1e30, dtype=np.float32)])
    assert factor.scales is not None
    assert np.isinf(factor.scales).all()


def test_b_lies_as_the_kernels_read_it() -> None:
    matrix = some()[0]
    (factor,) = _packed([matrix])
    read = _as_read(factor)
    assert read.scales is not None
    assert read.values.shape == (576 // 32, 8, 32)
    for output in (0, 31, 32, 575):
        group, inside = divmod(output, 32)
        for row in range(8):
            assert read.values[group, row, inside] == factor.values[row, output]
            assert read.scales[group, row] == factor.scales[row, group]  # type: ignore[index]


def test_they_lie_in_a_row_each_at_the_beginning_of_a_line() -> None:
    parts = [part for factor in _packed(some()) for part in _as_read(factor).parts]
    arena, addresses = _in_a_row(parts)
    for part, address in zip(parts, addresses, strict=False):
        assert address % 64 == 0
        start = address - arena.data_ptr()
        assert arena.numpy()[start : start + part.nbytes].tobytes() == part.tobytes()
