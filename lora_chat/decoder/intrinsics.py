"""What numba has no words for. Owns the few pieces of LLVM that the kernels are built on; knows nothing of a model.

Vectors of 16 float32 lanes are written out once; LLVM makes of them what the machine has (AVX-512, AVX2, NEON). A row
of packed weights is unpacked in registers and multiplied with the inputs of one token, or of several at once.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import reduce
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from lora_chat.decoder.plan import BLOCK, GROUP, Kind

_LANES = 16
_vector = ir.VectorType(ir.FloatType(), _LANES)
_int64 = ir.IntType(64)
_int32 = ir.IntType(32)
_wide = ir.VectorType(_int32, _LANES)


def _lanes(kind: ir.Type, value: int) -> ir.Constant:
    return ir.Constant(ir.VectorType(kind, _LANES), [value] * _LANES)


def _int(value: int) -> ir.Constant:
    return ir.Constant(_int64, value)


def _load(builder: Any, address: Any, kind: ir.Type, align: int) -> Any:
    return builder.load(builder.inttoptr(address, ir.PointerType(kind)), align=align)


def _half(builder: Any, address: Any, group: Any) -> Any:
    """The group's float16 at ``address``, in every lane, as float32."""
    place = builder.add(address, builder.mul(group, _int(2)))
    return _everywhere(builder, builder.fpext(_load(builder, place, ir.HalfType(), 2), ir.FloatType()))


def _everywhere(builder: Any, value: Any) -> Any:
    """``value`` in every lane."""
    undefined = ir.Constant(_vector, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(_int32, 0))
    return builder.shuffle_vector(first, undefined, _lanes(_int32, 0))


def _fma(builder: Any, left: Any, right: Any, added: Any) -> Any:
    kind = ir.FunctionType(_vector, [_vector] * 3)
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{_LANES}f32")
    return builder.call(function, [left, right, added])


def _total(builder: Any, vector: Any) -> Any:
    """Sum of the lanes."""
    kind = ir.FunctionType(ir.FloatType(), [ir.FloatType(), _vector])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.fadd.v{_LANES}f32")
    return builder.call(function, [ir.Constant(ir.FloatType(), 0.0), vector], fastmath=("reassoc",))


# How a group of weights is read: its two halves as float32 lanes. ``row`` holds the addresses of one row's parts.


def _read_f32(builder: Any, row: Any, group: Any) -> list[Any]:
    place = builder.add(row[0], builder.mul(group, _int(GROUP * 4)))
    return [_load(builder, builder.add(place, _int(half * _LANES * 4)), _vector, 4) for half in range(2)]


def _read_bf16(builder: Any, row: Any, group: Any) -> list[Any]:
    place = builder.add(row[0], builder.mul(group, _int(GROUP * 2)))
    found = []
    for half in range(2):
        kind = ir.VectorType(ir.IntType(16), _LANES)
        upper = builder.zext(_load(builder, builder.add(place, _int(half * _LANES * 2)), kind, 2), _wide)
        found.append(builder.bitcast(builder.shl(upper, _lanes(_int32, 16)), _vector))
    return found


def _read_int8(builder: Any, row: Any, group: Any) -> list[Any]:
    place, scale = builder.add(row[0], builder.mul(group, _int(GROUP))), _half(builder, row[1], group)
    found = []
    for half in range(2):
        packed = _load(builder, builder.add(place, _int(half * _LANES)), ir.VectorType(ir.IntType(8), _LANES), 1)
        numbers = builder.sitofp(builder.sext(packed, _wide), _vector)
        found.append(builder.fmul(numbers, scale))
    return found


def _read_int4(builder: Any, row: Any, group: Any, *, apart: bool = False) -> list[Any]:
    """``apart``: multiplied and added with a rounding between, as ``quantise.unpack`` does."""
    byte = ir.IntType(8)
    scale, minimum = _half(builder, row[1], group), _half(builder, row[2], group)
    place = builder.add(row[0], builder.mul(group, _int(GROUP // 2)))
    packed = _load(builder, place, ir.VectorType(byte, _LANES), 1)
    nibbles = builder.and_(packed, _lanes(byte, 15)), builder.lshr(packed, _lanes(byte, 4))
    wide = [builder.uitofp(builder.zext(each, _wide), _vector) for each in nibbles]
    if apart:
        return [builder.fadd(builder.fmul(each, scale), minimum) for each in wide]
    return [_fma(builder, each, scale, minimum) for each in wide]


_CHAINS = 4
"""Sums that one token's mixture is made in: one alone would wait for itself."""

_READERS = {
    Kind.F32: (_read_f32, (GROUP * 4, 0, 0)),
    Kind.BF16: (_read_bf16, (GROUP * 2, 0, 0)),
    Kind.INT8: (_read_int8, (GROUP, 2, 0)),
    Kind.INT4: (_read_int4, (GROUP // 2, 2, 2)),
}
"""With the bytes that one group takes of values, scales and minima."""


def _block(kind: Kind, rows: int, tokens: int) -> Any:
    """An intrinsic: the products of ``rows`` packed rows with the float32 inputs of ``tokens``, kept in registers.

    Its arguments are addresses (of the first row's values, scales and minima, of the first token's inputs, of the first
    output), the number of groups in a row, and the bytes from one token's inputs and outputs to the next one's.
    """
    read, sizes = _READERS[kind]

    def generate(_target: Any, builder: Any, _signature: Any, args: Any) -> Any:
        *parts, inputs, out, groups, next_input, next_out = args
        strides = [builder.mul(groups, _int(size)) for size in sizes]
        places = [
            [builder.add(part, builder.mul(stride, _int(row))) for part, stride in zip(parts, strides, strict=True)]
            for row in range(rows)
        ]
        sources = [builder.add(inputs, builder.mul(next_input, _int(token))) for token in range(tokens)]
        chains = 2 if tokens == 1 else 1  # one sum alone would wait for itself
        zero = ir.Constant(_vector, [0.0] * _LANES)
        sums = [[cgutils.alloca_once_value(builder, zero) for _ in range(chains)] for _ in range(rows * tokens)]
        with cgutils.for_range(builder, groups) as loop:
            weights = [read(builder, place, loop.index) for place in places]
            for half in range(2):
                offset = builder.add(builder.mul(loop.index, _int(GROUP * 4)), _int(half * _LANES * 4))
                for token, source in enumerate(sources):
                    values = _load(builder, builder.add(source, offset), _vector, 4)
                    for row in range(rows):
                        place = sums[row * tokens + token][half % chains]
                        builder.store(_fma(builder, weights[row][half], values, builder.load(place)), place)
        for token in range(tokens):
            for row in range(rows):
                made = [builder.load(place) for place in sums[row * tokens + token]]
                total = _total(builder, made[0] if chains == 1 else builder.fadd(*made))
                place = builder.add(builder.add(out, builder.mul(next_out, _int(token))), _int(row * 4))
                builder.store(total, builder.inttoptr(place, ir.PointerType(ir.FloatType())))
        return cgutils.get_null_value(_int64)

    def typed(_context: Any, values: Any, scales: Any, minima: Any, inputs: Any, out: Any, groups: Any,
              next_input: Any, next_out: Any) -> Any:  # fmt: skip
        return types.int64(*[types.int64] * 8), generate

    typed.__name__ = f"{kind.name.lower()}_{rows}_by_{tokens}"
    return intrinsic(typed)


def _written(kind: Kind, *, rounded: bool) -> Any:
    """An intrinsic: groups of packed weights in float32, or ``rounded`` to bfloat16.

    Its arguments are addresses (of values, scales and minima, and of the first output) and the number of groups.
    """
    lane = 2 if rounded else 4

    def generate(_target: Any, builder: Any, _signature: Any, args: Any) -> Any:
        *parts, out, groups = args
        with cgutils.for_range(builder, groups) as loop:
            if kind == Kind.INT4:
                halves = _read_int4(builder, parts, loop.index, apart=True)
            else:
                halves = _READERS[kind][0](builder, parts, loop.index)
            place = builder.add(out, builder.mul(loop.index, _int(GROUP * lane)))
            for half, value in enumerate(halves):
                at = builder.add(place, _int(half * _LANES * lane))
                made = _rounded(builder, value) if rounded else value
                builder.store(made, builder.inttoptr(at, ir.PointerType(made.type)), align=lane)
        return cgutils.get_null_value(_int64)

    def typed(_context: Any, values: Any, scales: Any, minima: Any, out: Any, groups: Any) -> Any:
        return types.int64(*[types.int64] * 5), generate

    typed.__name__ = kind.name.lower() + ("_rounded" if rounded else "_written")
    return intrinsic(typed)


def _rounded(builder: Any, value: Any) -> Any:
    """The bits of float32 lanes as bfloat16, to the nearest, ties to the even one. None of them is NaN."""
    bits = builder.bitcast(value, _wide)
    even = builder.and_(builder.lshr(bits, _lanes(_int32, 16)), _lanes(_int32, 1))
    near = builder.add(bits, builder.add(even, _lanes(_int32, 0x7FFF)))
    return builder.trunc(builder.lshr(near, _lanes(_int32, 16)), ir.VectorType(ir.IntType(16), _LANES))


def _behind(builder: Any, address: Any, step: Any, count: Any) -> Any:
    """The address ``count`` times ``step`` bytes behind ``address``."""
    return builder.add(address, builder.mul(step, count))


def _halves(builder: Any, address: Any) -> list[Any]:
    """Where the two vectors of 32 lanes lie."""
    return [builder.add(address, _int(half * _LANES * 4)) for half in range(2)]


def _for_all(builder: Any, count: Any, chains: int, body: Callable[[Any, int], None]) -> None:
    """``body(index, chain)`` for every index below ``count``, the chains in turn; the rest goes to the first."""
    together = builder.udiv(count, _int(chains))
    with cgutils.for_range(builder, together) as loop:
        first = builder.mul(loop.index, _int(chains))
        for chain in range(chains):
            body(builder.add(first, _int(chain)), chain)
    if chains > 1:
        with cgutils.for_range_slice(builder, builder.mul(together, _int(chains)), count, _int(1)) as (index, _):
            body(index, 0)


def _mixture(kind: Kind, tokens: int, *, added: bool) -> Any:
    """An intrinsic: 32 lanes of a matrix's rows, summed up with the weights of ``tokens``, or added to what is there.

    Its arguments are addresses (of the lanes in the first row and of their scale, of the first token's weights, of the
    first output), the number of rows, and the bytes from one row, one scale, one token's weights and one token's output
    to the next.
    """
    read, _ = _READERS[kind]

    def generate(_target: Any, builder: Any, _signature: Any, args: Any) -> Any:
        lanes, scales, weights, out, rows, next_row, next_scale, next_weights, next_out = args
        chains = _CHAINS if tokens == 1 and not added else 1
        targets = [_halves(builder, _behind(builder, out, next_out, _int(token))) for token in range(tokens)]
        zero = ir.Constant(_vector, [0.0] * _LANES)
        begins = [[_load(builder, each, _vector, 4) if added else zero for each in pair] for pair in targets]
        sums = [[[cgutils.alloca_once_value(builder, each) for each in pair] for pair in begins] for _ in range(chains)]

        def mix(row: Any, chain: int) -> None:
            places = [_behind(builder, lanes, next_row, row), _behind(builder, scales, next_scale, row)]
            values = read(builder, places, _int(0))
            for token in range(tokens):
                first = _behind(builder, weights, next_weights, _int(token))
                weight = _load(builder, _behind(builder, first, _int(4), row), ir.FloatType(), 4)
                weight = _everywhere(builder, weight)
                for value, total in zip(values, sums[chain][token], strict=True):
                    builder.store(_fma(builder, weight, value, builder.load(total)), total)

        _for_all(builder, rows, chains, mix)
        for token, pair in enumerate(targets):
            for half, place in enumerate(pair):
                made = [builder.load(chain[token][half]) for chain in sums]
                builder.store(reduce(builder.fadd, made), builder.inttoptr(place, ir.PointerType(_vector)), align=4)
        return cgutils.get_null_value(_int64)

    def typed(
        _context: Any,
        lanes: Any,
        scales: Any,
        weights: Any,
        out: Any,
        rows: Any,
        next_row: Any,
        next_scale: Any,
        next_weights: Any,
        next_out: Any,
    ) -> Any:  # fmt: skip
        return types.int64(*[types.int64] * 9), generate

    typed.__name__ = f"{kind.name.lower()}_{'added' if added else 'mixed'}_for_{tokens}"
    return intrinsic(typed)


ROWS, TOKENS = 2, BLOCK if "+avx512f" in binding.get_host_cpu_features().flatten().split(",") else BLOCK // 2
"""Of a block: as many sums as keep the multipliers busy and stay in the registers that there are."""

FEW = 4
"""Rows that are multiplied with one token's inputs side by side."""

HALF, QUARTER = TOKENS // 2, max(TOKENS // 4, 2)
"""Of the last block, where few are left: its sums are made in the same order, so they are the same bit for bit."""

f32_one, bf16_one = _block(Kind.F32, 1, 1), _block(Kind.BF16, 1, 1)
int8_one, int4_one = _block(Kind.INT8, 1, 1), _block(Kind.INT4, 1, 1)
f32_block, f32_half, f32_quarter = (_block(Kind.F32, ROWS, tokens) for tokens in (TOKENS, HALF, QUARTER))
bf16_block, bf16_half, bf16_quarter = (_block(Kind.BF16, ROWS, tokens) for tokens in (TOKENS, HALF, QUARTER))
int8_block, int8_half, int8_quarter = (_block(Kind.INT8, ROWS, tokens) for tokens in (TOKENS, HALF, QUARTER))
int4_block, int4_half, int4_quarter = (_block(Kind.INT4, ROWS, tokens) for tokens in (TOKENS, HALF, QUARTER))
int8_few = _block(Kind.INT8, FEW, 1)
f32_few, bf16_few = _block(Kind.F32, FEW, 1), _block(Kind.BF16, FEW, 1)
mix_one = _mixture(Kind.F32, 1, added=False)
mix_block, mix_half, mix_quarter = (_mixture(Kind.F32, tokens, added=False) for tokens in (TOKENS, HALF, QUARTER))
int8_written, int4_written = (_written(kind, rounded=False) for kind in (Kind.INT8, Kind.INT4))
int8_rounded, int4_rounded = (_written(kind, rounded=True) for kind in (Kind.INT8, Kind.INT4))
add_f32_one, add_f32_block = _mixture(Kind.F32, 1, added=True), _mixture(Kind.F32, TOKENS, added=True)
add_int8_one, add_int8_block = _mixture(Kind.INT8, 1, added=True), _mixture(Kind.INT8, TOKENS, added=True)


@intrinsic
def largest(_context: Any, address: Any, count: Any) -> Any:
    """Of the ``count`` float32 at ``address``; one that is NaN is passed over. Left to itself LLVM goes one by one."""

    def generate(_target: Any, builder: Any, _signature: Any, args: Any) -> Any:
        start, count = args

        def keep(place: Any, found: Any) -> None:
            best = builder.load(place)
            builder.store(builder.select(builder.fcmp_ordered(">", found, best), found, best), place)

        lowest = ir.Constant(ir.FloatType(), float("-inf"))
        bests = [cgutils.alloca_once_value(builder, _everywhere(builder, lowest)) for _ in range(2)]
        single = cgutils.alloca_once_value(builder, lowest)
        vectors = builder.udiv(count, _int(_LANES))

        def look(index: Any, chain: int) -> None:
            keep(bests[chain], _load(builder, _behind(builder, start, _int(_LANES * 4), index), _vector, 4))

        _for_all(builder, vectors, len(bests), look)
        with cgutils.for_range_slice(builder, builder.mul(vectors, _int(_LANES)), count, _int(1)) as (index, _):
            keep(single, _load(builder, _behind(builder, start, _int(4), index), ir.FloatType(), 4))
        for best in bests:
            vector = builder.load(best)
            for lane in range(_LANES):
                keep(single, builder.extract_element(vector, ir.Constant(_int32, lane)))
        return builder.load(single)

    return types.float32(types.int64, types.int64), generate


@intrinsic
def pointer(_context: Any, address: Any) -> Any:
    """An address as numba's ``void*``, which ``carray`` takes."""

    def generate(_target: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), generate


@intrinsic
def prefetch(_context: Any, address: Any) -> Any:
    """Have the cache line at ``address`` brought near before it is read."""

    def generate(_target: Any, builder: Any, _signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, _int32, _int32, _int32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        how = [ir.Constant(_int32, each) for each in (0, 2, 1)]  # to be read, into the second cache, data
        builder.call(function, [builder.inttoptr(args[0], cgutils.voidptr_t), *how])
        return cgutils.get_null_value(_int64)

    return types.int64(types.int64), generate


@intrinsic
def atomic_add(_context: Any, address: Any, amount: Any) -> Any:
    """Add to the int64 at ``address`` and return what was there."""

    def generate(_target: Any, builder: Any, _signature: Any, args: Any) -> Any:
        place = builder.inttoptr(args[0], ir.PointerType(_int64))
        return builder.atomic_rmw("add", place, args[1], "seq_cst")

    return types.int64(types.int64, types.int64), generate


@intrinsic
def atomic_load(_context: Any, address: Any) -> Any:
    """The int64 at ``address``, as the other threads left it."""

    def generate(_target: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.load_atomic(builder.inttoptr(args[0], ir.PointerType(_int64)), "acquire", 8)

    return types.int64(types.int64), generate


@intrinsic
def offer_core(_context: Any) -> Any:
    """Let somebody else run, where the system has a call for it."""

    def generate(_target: Any, builder: Any, _signature: Any, _args: Any) -> Any:
        if platform.system() != "Windows":
            call = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_int32, []), "sched_yield")
            builder.call(call, [])
        return cgutils.get_null_value(ir.IntType(64))

    return types.int64(), generate
