"""Packed matrices. Owns the two quantised forms the kernels read and how weights become them; never runs one. [torch]

int8: 32 weights share a float16 scale. int4: 32 weights share a float16 scale and minimum. A base that was quantised
like this once (Q4_1, Q8_0 of llama.cpp) is packed without any loss: of each group the scales tried begin with those
that its smallest and largest weights give.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from lora_chat.decoder.plan import GROUP, Kind

_SHRINKS = (0.97, 0.94, 0.91, 0.88, 0.85)
"""Shares of a group's span that are tried: giving up the outermost weights can serve the others better."""

_AT_ONCE = 1 << 19
"""Weights packed together: they and what is made of them stay in the processor's cache."""


@dataclass(frozen=True)
class Packed:
    """One matrix (out, in) as the kernels read it."""

    kind: Kind
    values: torch.Tensor
    """(out, in), or for int4 uint8 (out, in / 2): of each group the first half low, the second high."""
    scales: torch.Tensor | None = None
    """float16 (out, in / 32)."""
    minima: torch.Tensor | None = None
    """float16 (out, in / 32)."""

    @property
    def out(self) -> int:
        """Rows."""
        return int(self.values.shape[0])

    def between(self, rows: slice) -> Packed:
        """Some rows of it."""
        scales, minima = (None if each is None else each[rows] for each in (self.scales, self.minima))
        return Packed(self.kind, self.values[rows], scales, minima)

    @property
    def parts(self) -> tuple[torch.Tensor, ...]:
        """Values, scales and minima, as far as there are any."""
        return tuple(each for each in (self.values, self.scales, self.minima) if each is not None)

    @property
    def bytes(self) -> int:
        """Read for each token."""
        return sum(each.nbytes for each in self.parts)

    def stands_for(self, shape: tuple[int, ...]) -> bool:
        """Whether every part has the size that a matrix of ``shape`` (out, in) needs."""
        out, wide = shape
        grouped = (out, wide // GROUP)
        sizes = {
            Kind.F32: ((out, wide), None, None),
            Kind.BF16: ((out, wide), None, None),
            Kind.INT8: ((out, wide), grouped, None),
            Kind.INT4: ((out, wide // 2), grouped, grouped),
        }
        found = (self.values, self.scales, self.minima)
        dtypes = {Kind.F32: torch.float32, Kind.BF16: torch.bfloat16, Kind.INT8: torch.int8, Kind.INT4: torch.uint8}
        return tuple(None if each is None else tuple(each.shape) for each in found) == sizes[self.kind] and (
            self.values.dtype == dtypes[self.kind]
            and all(each is None or each.dtype == torch.float16 for each in found[1:])
        )


def as_stored(weight: torch.Tensor) -> Packed:
    """``weight`` (out, in) itself."""
    return Packed(Kind.BF16 if weight.dtype == torch.bfloat16 else Kind.F32, weight)


def pack_int8(weight: torch.Tensor) -> Packed:
    """Pack ``weight`` (out, in) in 8 bits, symmetrically."""
    values, scales = (torch.cat(each) for each in zip(*map(_pack_rows_int8, _parts(weight)), strict=True))
    return Packed(Kind.INT8, values, scales)


def pack_int4(weight: torch.Tensor) -> Packed:
    """Pack ``weight`` (out, in) in 4 bits, with the scale and minimum that miss each group's weights least."""
    packed = zip(*map(_pack_rows_int4, _parts(weight)), strict=True)
    values, scales, minima = (torch.cat(each) for each in packed)
    return Packed(Kind.INT4, values, scales, minima)


def _parts(weight: torch.Tensor) -> tuple[torch.Tensor, ...]:
    parts: tuple[torch.Tensor, ...] = torch.split(weight, max(1, _AT_ONCE // int(weight.shape[1])))
    return parts


def _pack_rows_int8(weight: torch.Tensor) -> tuple[torch.Tensor, ...]:
    groups = weight.float().unflatten(1, (-1, GROUP))
    scales = (groups.abs().amax(-1) / 127).half()
    steps = scales.float().clamp_min(1e-12)[..., None]
    values = (groups / steps).round_().clamp_(-127, 127).to(torch.int8)
    return values.flatten(1), scales


def _pack_rows_int4(weight: torch.Tensor) -> tuple[torch.Tensor, ...]:
    groups = weight.float().unflatten(1, (-1, GROUP))
    low, high = groups.amin(-1), groups.amax(-1)
    best = _rounded(groups, low, high)
    for shrink in _SHRINKS if bool(best[3].any()) else ():
        cut = (high - low) * (1 - shrink) / 2
        tried = _rounded(groups, low + cut, high - cut)
        better = tried[3] < best[3]
        best = tuple(
            torch.where(better[..., None] if new.dim() == 3 else better, new, old)
            for new, old in zip(tried, best, strict=True)
        )
    numbers, scales, minima, _ = best
    halves = numbers.unflatten(2, (2, GROUP // 2))
    return (halves[:, :, 0] | (halves[:, :, 1] << 4)).flatten(1), scales, minima


def _rounded(groups: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Numbers, scales, minima and the squared error of each group."""
    scales, minima = ((high - low) / 15).half(), low.half()
    steps, offsets = scales.float().clamp_min(1e-12)[..., None], minima.float()[..., None]
    numbers = ((groups - offsets) / steps).round_().clamp_(0, 15)
    errors = (numbers * scales.float()[..., None] + offsets - groups).square_().sum(-1)
    return numbers.to(torch.uint8), scales, minima, errors


def is_exact(packed: Packed, weight: torch.Tensor) -> bool:
    """Whether ``packed`` stands for exactly ``weight`` (out, in); a few rows at a time, as unpacked ones take room."""
    parts = [part.split(max(1, _AT_ONCE // int(weight.shape[1]))) for part in packed.parts]
    rows = zip(zip(*parts, strict=True), _parts(weight), strict=True)
    return all(torch.equal(unpack(Packed(packed.kind, *few)), part.float()) for few, part in rows)


def unpack(packed: Packed) -> torch.Tensor:
    """The weights that ``packed`` stands for, float32 (out, in)."""
    if packed.scales is None:
        return packed.values.float()
    steps = packed.scales.float()[..., None]
    if packed.minima is None:
        scaled: torch.Tensor = packed.values.float().unflatten(1, (-1, GROUP)) * steps
        return scaled.flatten(1)
    halves = packed.values.unflatten(1, (-1, GROUP // 2))
    numbers = torch.cat((halves & 15, halves >> 4), -1).float()
    weights: torch.Tensor = numbers * steps + packed.minima.float()[..., None]
    return weights.flatten(1)
