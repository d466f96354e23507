"""Packed matrices: what they stand for is near the weights, and exactly them where they were quantised before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from gguf.constants import GGMLQuantizationType
from gguf.quants import dequantize, quantize
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_chat.decoder import quantise
from lora_chat.decoder.plan import GROUP, Kind
from lora_chat.decoder.quantise import Packed, as_stored, is_exact, pack_int4, pack_int8, unpack

HALF, LEAST_HALF = 2.0**-11, 2.0**-25
"""How far rounding to float16 goes: relative, and absolute below its normal numbers."""

NUMBERS = st.floats(-1000, 1000, width=32)
GROUPS = st.lists(NUMBERS, min_size=GROUP, max_size=GROUP)
MATRICES = st.lists(GROUPS, min_size=1, max_size=4).map(torch.tensor)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def rounding(number: torch.Tensor) -> torch.Tensor:
    """The most that a float16 is away from ``number``."""
    return number.abs() * HALF + LEAST_HALF


def grouped(weight: torch.Tensor) -> torch.Tensor:
    groups: torch.Tensor = weight.unflatten(1, (-1, GROUP))
    return groups


def errors(packed: Packed, weight: torch.Tensor) -> torch.Tensor:
    """(out, groups, 32)."""
    return grouped((unpack(packed) - weight).abs())


def int8_bound(weight: torch.Tensor) -> torch.Tensor:
    """Of each weight: half a step, and what the step itself is off."""
    step = grouped(weight).abs().amax(-1) / 127
    return (step / 2 + 128 * rounding(step)) * 1.001


def int4_bound(weight: torch.Tensor) -> torch.Tensor:
    """Of a group's root mean square: half a step, and what step and minimum are off."""
    low, high = grouped(weight).amin(-1), grouped(weight).amax(-1)
    step = (high - low) / 15
    return (step / 2 + 16 * rounding(step) + rounding(low)) * 1.001


def assert_near(weight: torch.Tensor) -> None:
    assert (errors(pack_int8(weight), weight) <= int8_bound(weight)[..., None]).all()
    assert (errors(pack_int4(weight), weight).square().mean(-1).sqrt() <= int4_bound(weight)).all()


@given(weight=MATRICES)
@settings(max_examples=150, deadline=None)
def test_packed_weights_are_within_half_a_step(weight: torch.Tensor) -> None:
    assert_near(weight)


@given(seed=st.integers(0, 1000), spread=st.integers(-24, 10), shift=st.integers(-24, 10), both=st.booleans())
@settings(max_examples=100, deadline=None)
def test_weights_of_any_size_are_within_half_a_step(seed: int, spread: int, shift: int, both: bool) -> None:
    assert_near(random(3, 64, seed=seed) * 2.0**spread + (2.0**shift if both else 0.0))


@pytest.mark.parametrize("pack", [pack_int4, pack_int8])
def test_the_packing_does_not_depend_on_the_rows_around(pack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    weight = random(9, 64)
    whole = pack(weight)
    assert torch.equal(unpack(pack(weight[4:5])), unpack(whole)[4:5])
    monkeypatch.setattr(quantise, "_AT_ONCE", 128)
    for one, other in zip(pack(weight).parts, whole.parts, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("pack", [pack_int4, pack_int8])
def test_packing_leaves_the_weights_alone(pack: Any) -> None:
    weight = random(4, 64)
    pack(weight)
    assert torch.equal(weight, random(4, 64))


def test_giving_up_outliers_misses_less_than_the_whole_span_does() -> None:
    weight = random(64, 256)
    groups = grouped(weight)
    low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
    step = (high - low) / 15
    plain = (((groups - low) / step).round() * step + low - groups).square().sum()
    assert errors(pack_int4(weight), weight).square().sum() < 0.97 * plain


# What was quantised once is packed as it was.


@pytest.mark.parametrize("spread", [1e-3, 0.05, 1.0, 30.0])
@pytest.mark.parametrize(
    ("kind", "pack"), [(GGMLQuantizationType.Q4_1, pack_int4), (GGMLQuantizationType.Q8_0, pack_int8)], ids=str
)
def test_weights_out_of_llama_cpps_blocks_are_kept_exactly(
    kind: GGMLQuantizationType, pack: Callable[[torch.Tensor], Packed], spread: float
) -> None:
    weight = (random(40, 256) * spread).numpy()
    once = torch.from_numpy(dequantize(quantize(weight, kind), kind))
    assert torch.equal(unpack(pack(once)), once)
    assert not torch.equal(once, torch.from_numpy(weight))


@given(
    numbers=st.lists(st.integers(0, 15), min_size=GROUP - 2, max_size=GROUP - 2),
    scale=st.floats(2.0**-10, 8, width=16),
    minimum=st.floats(-64, 64, width=16),
)
@settings(max_examples=150, deadline=None)
def test_any_sixteen_steps_from_a_minimum_are_kept_exactly(numbers: list[int], scale: float, minimum: float) -> None:
    steps = torch.tensor([[0, 15, *numbers]], dtype=torch.float32)
    weight = steps * scale + minimum
    assert torch.equal(unpack(pack_int4(weight)), weight)


@given(
    numbers=st.lists(st.integers(-127, 127), min_size=GROUP - 1, max_size=GROUP - 1),
    largest=st.sampled_from([-127, 127]),
    scale=st.floats(2.0**-14, 8, width=16),
)
@settings(max_examples=150, deadline=None)
def test_any_254_steps_around_zero_are_kept_exactly(numbers: list[int], largest: int, scale: float) -> None:
    weight = torch.tensor([[largest, *numbers]], dtype=torch.float32) * scale
    assert torch.equal(unpack(pack_int8(weight)), weight)


@pytest.mark.parametrize(("pack", "low", "high"), [(pack_int4, 0, 15), (pack_int8, -127, 127)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_exact_is_what_stands_for_every_weight(
    pack: Any, low: int, high: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lora_chat.decoder.quantise._AT_ONCE", 3 * 64)  # rows in several parts, the last one shorter
    weight = torch.randint(low, high + 1, (10, 64), generator=torch.Generator().manual_seed(1)).to(dtype)
    weight[:, ::GROUP], weight[:, 1::GROUP] = low, high
    packed = pack(weight)
    assert is_exact(packed, weight)
    for row in (0, 9):
        other = weight.clone()
        other[row, 5] += 1
        assert not is_exact(packed, other)


def test_packing_what_was_unpacked_gives_it_again() -> None:
    eight = unpack(pack_int8(random(16, 128)))
    assert torch.equal(unpack(pack_int8(eight)), eight)


# Odd groups.


@pytest.mark.parametrize("pack", [pack_int4, pack_int8])
def test_zeros_stay_zeros(pack: Any) -> None:
    assert torch.equal(unpack(pack(torch.zeros(2, 64))), torch.zeros(2, 64))


@given(number=st.floats(-60_000, 60_000, width=16))
@settings(max_examples=80, deadline=None)
def test_32_equal_weights_stay_what_they_are(number: float) -> None:
    weight = torch.full((1, GROUP), number)
    assert torch.equal(unpack(pack_int4(weight)), weight)
    assert (errors(pack_int8(weight), weight) <= int8_bound(weight)[..., None]).all()


def test_a_group_of_zeros_beside_others_changes_none() -> None:
    weight = random(1, 96)
    weight[:, 32:64] = 0
    for pack in (pack_int4, pack_int8):
        found = unpack(pack(weight))
        assert (found[:, 32:64] == 0).all()
        assert (found - weight).abs().max() < 0.25


def test_spans_as_wide_as_float16_itself_are_packed() -> None:
    weight = random(2, 64)
    weight[:, 3], weight[:, 40] = 60_000.0, -60_000.0
    assert_near(weight)
    for pack in (pack_int4, pack_int8):
        assert unpack(pack(weight)).isfinite().all()


def test_one_weight_far_out_costs_its_own_group_alone() -> None:
    weight = random(1, 96)
    calm = unpack(pack_int4(weight))
    weight[0, 40] = 1000.0
    found = unpack(pack_int4(weight))
    assert torch.equal(found[:, :32], calm[:, :32])
    assert torch.equal(found[:, 64:], calm[:, 64:])


def test_weights_too_small_for_float16_become_nearly_zero() -> None:
    weight = random(2, 64) * 1e-9
    for pack in (pack_int4, pack_int8):
        assert unpack(pack(weight)).abs().max() < 1e-6


# How they lie.


def test_the_low_half_of_a_byte_is_the_groups_first_half() -> None:
    weight = torch.cat((torch.arange(16.0), torch.arange(15.0, -1, -1)))[None]
    packed = pack_int4(weight)
    assert packed.values.tolist() == [[low | (15 - low) << 4 for low in range(16)]]
    assert packed.scales is not None
    assert packed.minima is not None
    assert (packed.scales.item(), packed.minima.item()) == (1.0, 0.0)


def test_the_bytes_are_those_of_all_parts() -> None:
    weight = random(6, 64)
    assert Packed(Kind.F32, weight).bytes == 6 * 64 * 4
    assert pack_int8(weight).bytes == 6 * (64 + 2 * 2)
    assert pack_int4(weight).bytes == 6 * (32 + 2 * 2 * 2)
    assert pack_int4(weight).out == pack_int8(weight).out == 6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_what_is_stored_is_unpacked_as_it_is(dtype: torch.dtype) -> None:
    weight = random(2, 32).to(dtype)
    packed = as_stored(weight)
    assert packed.values.data_ptr() == weight.data_ptr()
    assert unpack(packed).dtype == torch.float32
    assert torch.equal(unpack(packed), weight.float())


@pytest.mark.parametrize("pack", [pack_int4, pack_int8])
def test_bfloat16_is_packed_as_the_same_numbers_in_float32(pack: Any) -> None:
    weight = random(5, 64).bfloat16()
    for one, other in zip(pack(weight).parts, pack(weight.float()).parts, strict=True):
        assert torch.equal(one, other)


def of_kind(kind: Kind) -> Packed:
    weight = random(6, 64)
    return {
        Kind.F32: as_stored(weight),
        Kind.BF16: as_stored(weight.bfloat16()),
        Kind.INT8: pack_int8(weight),
        Kind.INT4: pack_int4(weight),
    }[kind]


@pytest.mark.parametrize("kind", list(Kind))
def test_a_packed_matrix_stands_for_its_own_shape_alone(kind: Kind) -> None:
    packed = of_kind(kind)
    assert packed.stands_for((6, 64))
    for shape in ((5, 64), (7, 64), (6, 32), (6, 96), (64, 6), (12, 32)):
        assert not packed.stands_for(shape)


@pytest.mark.parametrize("kind", [Kind.INT8, Kind.INT4])
def test_parts_that_are_missing_too_many_or_of_another_kind_stand_for_nothing(kind: Kind) -> None:
    packed = of_kind(kind)
    assert packed.scales is not None
    wrong = [
        replace(packed, scales=None),
        replace(packed, scales=packed.scales.float()),
        replace(packed, scales=packed.scales.bfloat16()),
        replace(packed, scales=packed.scales[:-1]),
        replace(packed, scales=packed.scales.flatten()),
        replace(packed, values=packed.values.float()),
        replace(packed, values=packed.values[:, :-1]),
        replace(packed, values=packed.values[1:]),
        replace(packed, minima=packed.scales if packed.minima is None else None),
        *(replace(packed, kind=other) for other in Kind if other is not kind),
    ]
    assert [each.stands_for((6, 64)) for each in wrong] == [False] * len(wrong)


@pytest.mark.parametrize("kind", [Kind.F32, Kind.BF16])
def test_what_is_stored_with_scales_or_in_another_precision_stands_for_nothing(kind: Kind) -> None:
    packed = of_kind(kind)
    assert not replace(packed, kind=Kind.BF16 if kind is Kind.F32 else Kind.F32).stands_for((6, 64))
    assert not replace(packed, scales=torch.ones(6, 2).half()).stands_for((6, 64))
    assert not replace(packed, values=packed.values.half()).stands_for((6, 64))


def test_every_number_of_four_and_eight_bits_is_unpacked() -> None:
    scales, minima = torch.full((1, 8), 0.5).half(), torch.full((1, 8), -3.0).half()
    numbers = torch.arange(-128, 128, dtype=torch.int16).to(torch.int8)[None]
    eight = unpack(Packed(Kind.INT8, numbers, scales))
    assert np.array_equal(eight[0].numpy(), np.arange(-128, 128) * 0.5)
    every = torch.arange(256, dtype=torch.int16).to(torch.uint8)[None]
    four = unpack(Packed(Kind.INT4, every, scales.repeat(1, 2), minima.repeat(1, 2))).view(-1, 2, 16)
    low, high = np.arange(256).reshape(-1, 16) & 15, np.arange(256).reshape(-1, 16) >> 4
    assert np.array_equal(four[:, 0].numpy(), low * 0.5 - 3)
    assert np.array_equal(four[:, 1].numpy(), high * 0.5 - 3)
