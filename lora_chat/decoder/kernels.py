"""Tokens through the whole base, as numba compiles it. Owns the arithmetic of decoding; never allocates or locks.

Written for numba (BSD, LLVM): no compiler has to be on the machine. All threads run ``step`` side by side, each on its
share of every matrix's rows, and meet at a barrier where one needs what the others made. Weights are read once, in
their packed form, and multiplied in float32; an adapter's two thin products are added beside its matrix, so wearing
one costs what its few weights cost and nothing is ever merged.

Imported by ``compiled.py`` alone, and only where there is nothing compiled yet: importing this compiles it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray, cfunc, njit, types

from lora_chat.decoder import intrinsics as llvm
from lora_chat.decoder.intrinsics import FEW, ROWS, TOKENS
from lora_chat.decoder.plan import GROUP, LARGEST_RANK, Head, Kind, Layer, Matrix

_OPTIONS: Any = {"fastmath": {"reassoc", "contract", "nsz", "arcp"}, "error_model": "numpy"}
"""Sums may be reordered, which vectors need; infinities and NaN stay what they are, and nothing is ever raised."""

_SPINS = 2_000
"""Looks at the barrier before the core is offered to somebody else."""

_LONG = 8
"""Groups from which on rows are worth multiplying together."""

# Plain integers: numba freezes them into the code.
_KIND, _VALUES, _SCALES, _MINIMA, _OUT, _IN = (int(each) for each in list(Matrix)[:6])
_BIAS, _RANK, _A, _A_SCALES, _B, _B_SCALES, _THIN_KIND, _MATRIX_SIZE = (int(each) for each in list(Matrix)[6:])
_BLOCKS, _LAYER_SIZE, _MATRICES = int(Head.LAYER_BLOCKS), int(Layer.SIZE), int(Layer.MATRICES)
_HEAD, _THIN = int(Head.LAST_MATRIX), LARGEST_RANK
_F32, _INT8, _INT4, _BF16 = int(Kind.F32), int(Kind.INT8), int(Kind.INT4), int(Kind.BF16)


@njit(**_OPTIONS)
def _meet(barrier: int, threads: int) -> None:
    """Wait until all threads are here; what each wrote before is then seen by all."""
    if threads == 1:
        return
    generation = barrier + 64
    before = llvm.atomic_load(generation)
    if llvm.atomic_add(barrier, 1) == threads - 1:
        llvm.atomic_add(barrier, -threads)
        llvm.atomic_add(generation, 1)
        return
    spins = 0
    while llvm.atomic_load(generation) == before:
        spins += 1
        if spins > _SPINS:
            llvm.offer_core()


@njit(**_OPTIONS)
def _vec(address: int, size: int) -> Any:
    return carray(llvm.pointer(address), size, np.float32)


@njit(**_OPTIONS)
def _exp(x: Any) -> Any:
    """e to the x within 2e-7 of it, in a form that vectorises; 0 below -87."""
    x = min(max(x, np.float32(-87.0)), np.float32(88.0))
    whole = np.floor(x * np.float32(1.4426950408889634) + np.float32(0.5))
    rest = x - whole * np.float32(0.693359375) + whole * np.float32(2.12194440e-4)
    power = np.float32(1.9875691500e-4)
    power = power * rest + np.float32(1.3981999507e-3)
    power = power * rest + np.float32(8.3334519073e-3)
    power = power * rest + np.float32(4.1665795894e-2)
    power = power * rest + np.float32(1.6666665459e-1)
    power = power * rest + np.float32(5.0000001201e-1)
    power = power * rest * rest + rest + np.float32(1.0)
    return power * np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)


@njit(**_OPTIONS)
def _norm(x: Any, weight: Any, size: int, epsilon: Any, out: Any) -> None:
    """RMSNorm of ``x`` into ``out``."""
    total = np.float32(0)
    for i in range(size):
        total += x[i] * x[i]
    factor = np.float32(1) / np.sqrt(total / np.float32(size) + epsilon)
    for i in range(size):
        out[i] = weight[i] * (x[i] * factor)


@njit(**_OPTIONS)
def _each(
    kind: int, values: int, scales: int, minima: int, size: int, first: int, last: int, inputs: int, out: int
) -> None:
    """Rows ``first`` to ``last`` times one token's inputs.

    Long rows that need no unpacking go four at a time, so that their sums do not wait for themselves; unpacked ones
    have enough to do, and were slower together.
    """
    groups = size // GROUP
    together = last - (last - first) % FEW if groups >= _LONG else first
    if kind == _INT4:
        for row in range(first, last):
            at = row * groups
            llvm.int4_one(values + at * 16, scales + at * 2, minima + at * 2, inputs, out + row * 4, groups, 0, 0)
    elif kind == _INT8:
        for row in range(first, last):
            at = row * groups
            llvm.int8_one(values + at * 32, scales + at * 2, 0, inputs, out + row * 4, groups, 0, 0)
    elif kind == _BF16:
        for row in range(first, together, FEW):
            llvm.bf16_few(values + row * size * 2, 0, 0, inputs, out + row * 4, groups, 0, 0)
        for row in range(together, last):
            llvm.bf16_one(values + row * size * 2, 0, 0, inputs, out + row * 4, groups, 0, 0)
    else:
        for row in range(first, together, FEW):
            llvm.f32_few(values + row * size * 4, 0, 0, inputs, out + row * 4, groups, 0, 0)
        for row in range(together, last):
            llvm.f32_one(values + row * size * 4, 0, 0, inputs, out + row * 4, groups, 0, 0)


@njit(**_OPTIONS)
def _several(
    kind: int, values: int, scales: int, minima: int, inputs: int, out: int, groups: int, step: int, jump: int
) -> None:
    """A block of rows times a block of tokens."""
    if kind == _INT4:
        llvm.int4_block(values, scales, minima, inputs, out, groups, step, jump)
    elif kind == _INT8:
        llvm.int8_block(values, scales, minima, inputs, out, groups, step, jump)
    elif kind == _BF16:
        llvm.bf16_block(values, scales, minima, inputs, out, groups, step, jump)
    else:
        llvm.f32_block(values, scales, minima, inputs, out, groups, step, jump)


@njit(**_OPTIONS)
def _rows(
    kind: int, values: int, scales: int, minima: int, size: int, first: int, last: int, rows: int, inputs: int,
    step: int, out: int, count: int,
) -> None:  # fmt: skip
    """Rows ``first`` to ``last`` of a matrix (rows, size) times the inputs (count, size), into out (count, rows).

    ``step`` is the bytes from one token's inputs to the next one's.
    """
    groups, blocks = size // GROUP, _blocks(count)
    value_step, scale_step = _bytes(kind, size), groups * 2
    paired = last - (last - first) % ROWS if blocks else first
    for row in range(first, paired, ROWS):
        place, scale, minimum = values + row * value_step, scales + row * scale_step, minima + row * scale_step
        for block in range(blocks):
            token = min(block * TOKENS, count - TOKENS)
            target = out + (token * rows + row) * 4
            _several(kind, place, scale, minimum, inputs + token * step, target, groups, step, rows * 4)
    for token in range(count if paired < last else 0):
        _each(kind, values, scales, minima, size, paired, last, inputs + token * step, out + token * rows * 4)


@njit(**_OPTIONS)
def _blocks(count: int) -> int:
    """Blocks of tokens that hold ``count``, the last one shifted back to end with it; 0 where one does not fit."""
    return 0 if count < TOKENS else (count + TOKENS - 1) // TOKENS


@njit(**_OPTIONS)
def _bytes(kind: int, size: int) -> int:
    """Of one row's values."""
    if kind == _INT4:
        return size // 2
    if kind == _BF16:
        return size * 2
    return size if kind == _INT8 else size * 4


@njit(**_OPTIONS)
def _first_row(rows: int, thread: int, threads: int) -> int:
    """Where a thread's share of rows begins: by 32, as an adapter's product is made; the last thread takes the rest."""
    return rows if thread == threads else rows // GROUP * thread // threads * GROUP


@njit(**_OPTIONS)
def _multiply(plan: Any, at: int, inputs: int, out: int, thin: int, count: int, thread: int, threads: int) -> None:
    """This thread's rows of a matrix times the tokens' inputs, its bias and the adapter worn beside it included."""
    rows, size, rank = plan[at + _OUT], plan[at + _IN], plan[at + _RANK]
    first, last = _first_row(rows, thread, threads), _first_row(rows, thread + 1, threads)
    _rows(plan[at + _KIND], plan[at + _VALUES], plan[at + _SCALES], plan[at + _MINIMA], size, first, last, rows,
          inputs, size * 4, out, count)  # fmt: skip
    if plan[at + _BIAS]:
        bias = _vec(plan[at + _BIAS], rows)
        for token in range(count):
            y = _vec(out + token * rows * 4, rows)
            for row in range(first, last):
                y[row] += bias[row]
    if rank:
        kind, b, scales = plan[at + _THIN_KIND], plan[at + _B], plan[at + _B_SCALES]
        a, a_scales = plan[at + _A], plan[at + _A_SCALES]
        _rows(kind, a, a_scales, 0, size, 0, rank, rank, inputs, size * 4, thin, count)
        _add_thin(kind, b, scales, thin, rank, rows, first, last, out, count)


@njit(**_OPTIONS)
def _add_thin(
    kind: int, b: int, scales: int, thin: int, rank: int, rows: int, first: int, last: int, out: int, count: int
) -> None:
    """Add an adapter's product to rows ``first`` to ``last``: ``thin`` (count, rank) times its ``b``."""
    wide = _bytes(kind, GROUP)
    whole = count - count % TOKENS  # what is added may not be added twice, so the rest goes one by one
    for row in range(first, last, GROUP):
        lanes, scale = b + row // GROUP * rank * wide, scales + row // GROUP * rank * 2
        for token in range(0, whole, TOKENS):
            weights, target = thin + token * rank * 4, out + (token * rows + row) * 4
            if kind == _F32:
                llvm.add_f32_block(lanes, 0, weights, target, rank, wide, 0, rank * 4, rows * 4)
            else:
                llvm.add_int8_block(lanes, scale, weights, target, rank, wide, 2, rank * 4, rows * 4)
        for token in range(whole, count):
            weights, target = thin + token * rank * 4, out + (token * rows + row) * 4
            if kind == _F32:
                llvm.add_f32_one(lanes, 0, weights, target, rank, wide, 0, 0, 0)
            else:
                llvm.add_int8_one(lanes, scale, weights, target, rank, wide, 2, 0, 0)


@njit(**_OPTIONS)
def _turn(head: Any, cos: Any, sin: Any, half: int) -> None:
    """Rotary position embedding of one head, in place; halves as in Llama's transformers form."""
    for i in range(half):
        low, high = head[i], head[i + half]
        head[i] = low * cos[i] - high * sin[i]
        head[i + half] = high * cos[i] + low * sin[i]


@njit(error_model="numpy", fastmath={"nnan", "nsz"})
def _largest(scores: Any, seen: int) -> Any:
    """Of the first ``seen`` scores; where one is NaN, any of them: vectors have no other way to compare."""
    largest = np.float32(-np.inf)
    for i in range(seen):
        largest = max(largest, scores[i])
    return largest


@njit(**_OPTIONS)
def _weigh(scores: Any, seen: int, size: int, scale: Any) -> None:
    """Softmax of the first ``seen`` scores times ``scale``, which is positive, in place; 0 for the rest of ``size``."""
    largest = _largest(scores, seen) * scale
    total = np.float32(0)
    for i in range(seen):
        weight = _exp(scores[i] * scale - largest)
        scores[i] = weight
        total += weight
    factor = np.float32(1) / total
    for i in range(seen):
        scores[i] *= factor
    for i in range(seen, size):
        scores[i] = np.float32(0)


@njit(**_OPTIONS)
def _attend(plan: Any, at: int, head: int, token: int, count: int, scores: int) -> None:
    """One head of one token or of a block of tokens: softmax(queries · keys * scale) · values."""
    size, heads, room = plan[Head.HEAD_DIM], plan[Head.HEADS], plan[Head.CAPACITY]
    place = head // (heads // plan[Head.KV_HEADS]) * room * size * 4
    keys, values = plan[at + Layer.KEYS] + place, plan[at + Layer.VALUES] + place
    step, offset = heads * size * 4, (token * heads + head) * size * 4
    before = plan[Head.POSITION] + token + 1
    positions = before + count - 1
    queries = plan[Head.Q] + offset
    for first in range(
        0, positions, GROUP
    ):  # the last tile may be filled in part: what is made of its rest is not read
        tile, out = keys + first * size * 4, scores + first * 4
        if count == TOKENS:
            llvm.mix_block(tile, 0, queries, out, size, GROUP * 4, 0, step, room * 4)
        else:
            llvm.mix_one(tile, 0, queries, out, size, GROUP * 4, 0, step, room * 4)
    scale = _vec(plan[Head.SETTINGS], 2)[1]
    for i in range(count):
        _weigh(_vec(scores + i * room * 4, positions), before + i, positions, scale)
    for lanes in range(0, size * 4, GROUP * 4):
        out = plan[Head.ATTENDED] + offset + lanes
        if count == TOKENS:
            llvm.mix_block(values + lanes, 0, scores, out, positions, size * 4, 0, room * 4, step)
        else:
            llvm.mix_one(values + lanes, 0, scores, out, positions, size * 4, 0, room * 4, step)


@njit(**_OPTIONS)
def _prepare_heads(plan: Any, at: int, count: int, thread: int, threads: int) -> None:
    """Norm and turn this thread's heads of the queries and keys, and keep keys and values in the cache."""
    size, heads, kv_heads = plan[Head.HEAD_DIM], plan[Head.HEADS], plan[Head.KV_HEADS]
    epsilon = _vec(plan[Head.SETTINGS], 2)[0]
    norm_q, norm_k = plan[at + Layer.NORM_Q], plan[at + Layer.NORM_K]
    room = plan[Head.CAPACITY]
    for token in range(count):
        turn = token * (size // 2) * 4
        cos, sin = _vec(plan[Head.COS] + turn, size // 2), _vec(plan[Head.SIN] + turn, size // 2)
        for head in range(heads * thread // threads, heads * (thread + 1) // threads):
            query = _vec(plan[Head.Q] + (token * heads + head) * size * 4, size)
            if norm_q:
                _norm(query, _vec(norm_q, size), size, epsilon, query)
            _turn(query, cos, sin, size // 2)
        for head in range(kv_heads * thread // threads, kv_heads * (thread + 1) // threads):
            key = _vec(plan[Head.K] + (token * kv_heads + head) * size * 4, size)
            value = _vec(plan[Head.V] + (token * kv_heads + head) * size * 4, size)
            if norm_k:
                _norm(key, _vec(norm_k, size), size, epsilon, key)
            _turn(key, cos, sin, size // 2)
            position = head * room + plan[Head.POSITION] + token
            lane = position % GROUP
            tile = _vec(plan[at + Layer.KEYS] + (position - lane) * size * 4, size * GROUP)
            kept_value = _vec(plan[at + Layer.VALUES] + position * size * 4, size)
            for i in range(size):
                tile[i * GROUP + lane] = key[i]
                kept_value[i] = value[i]


@njit(**_OPTIONS)
def _attention(plan: Any, at: int, scores: int, count: int, thread: int, threads: int) -> None:
    """This thread's share of the heads of all tokens; of tokens that two blocks share both make the same."""
    heads, blocks = plan[Head.HEADS], _blocks(count)
    units = blocks if blocks else count
    for index in range(heads * units * thread // threads, heads * units * (thread + 1) // threads):
        # Heads first: each thread's share then looks back as far.
        head, unit = index // units, index % units
        if blocks:
            _attend(plan, at, head, min(unit * TOKENS, count - TOKENS), TOKENS, scores)
        else:
            _attend(plan, at, head, unit, 1, scores)


@njit(**_OPTIONS)
def _add_made(plan: Any, made: int, count: int, thread: int, threads: int) -> None:
    """Add this thread's rows of what a matrix made to the residual stream."""
    rows = plan[Head.HIDDEN]
    for token in range(count):
        x, y = _vec(plan[Head.X] + token * rows * 4, rows), _vec(made + token * rows * 4, rows)
        for row in range(_first_row(rows, thread, threads), _first_row(rows, thread + 1, threads)):
            x[row] += y[row]


@njit(**_OPTIONS)
def _gate(plan: Any, count: int, thread: int, threads: int) -> None:
    """silu(gate) * up, this thread's rows, into gate."""
    rows = plan[Head.INTERMEDIATE]
    for token in range(count):
        gate, up = _vec(plan[Head.GATE] + token * rows * 4, rows), _vec(plan[Head.UP] + token * rows * 4, rows)
        for row in range(_first_row(rows, thread, threads), _first_row(rows, thread + 1, threads)):
            gate[row] = gate[row] / (np.float32(1) + _exp(-gate[row])) * up[row]


@njit(**_OPTIONS)
def _norm_tokens(plan: Any, weight: int, first: int, count: int, thread: int, threads: int) -> None:
    """RMSNorm of this thread's share of the tokens from ``first`` on, into the inputs of the next matrices."""
    hidden, epsilon = plan[Head.HIDDEN], _vec(plan[Head.SETTINGS], 2)[0]
    for token in range(first + count * thread // threads, first + count * (thread + 1) // threads):
        x, normed = plan[Head.X] + token * hidden * 4, plan[Head.NORMED] + token * hidden * 4
        _norm(_vec(x, hidden), _vec(weight, hidden), hidden, epsilon, _vec(normed, hidden))


@cfunc(types.void(types.int64, types.int64), **_OPTIONS)
def step(address: int, thread: int) -> None:
    """Read the plan's tokens: this thread's part of it, side by side with the others'."""
    head = carray(llvm.pointer(address), _BLOCKS, np.int64)
    plan = carray(llvm.pointer(address), _BLOCKS + head[Head.LAYERS] * _LAYER_SIZE, np.int64)
    threads, count, barrier = plan[Head.THREADS], plan[Head.COUNT], plan[Head.BARRIER]
    thin = plan[Head.SCRATCH] + thread * plan[Head.SCRATCH_SIZE] * 4
    scores = thin + count * _THIN * 4
    normed, q, k, v = plan[Head.NORMED], plan[Head.Q], plan[Head.K], plan[Head.V]
    attended, gate, up, made = plan[Head.ATTENDED], plan[Head.GATE], plan[Head.UP], plan[Head.MADE]
    for layer in range(plan[Head.LAYERS]):
        at = _BLOCKS + layer * _LAYER_SIZE
        matrix = at + _MATRICES
        _norm_tokens(plan, plan[at + Layer.NORM_1], 0, count, thread, threads)
        _meet(barrier, threads)
        _multiply(plan, matrix, normed, q, thin, count, thread, threads)
        _multiply(plan, matrix + _MATRIX_SIZE, normed, k, thin, count, thread, threads)
        _multiply(plan, matrix + 2 * _MATRIX_SIZE, normed, v, thin, count, thread, threads)
        _meet(barrier, threads)
        _prepare_heads(plan, at, count, thread, threads)
        _meet(barrier, threads)
        _attention(plan, at, scores, count, thread, threads)
        _meet(barrier, threads)
        _multiply(plan, matrix + 3 * _MATRIX_SIZE, attended, made, thin, count, thread, threads)
        _add_made(plan, made, count, thread, threads)
        _meet(barrier, threads)
        _norm_tokens(plan, plan[at + Layer.NORM_2], 0, count, thread, threads)
        _meet(barrier, threads)
        _multiply(plan, matrix + 4 * _MATRIX_SIZE, normed, gate, thin, count, thread, threads)
        _multiply(plan, matrix + 5 * _MATRIX_SIZE, normed, up, thin, count, thread, threads)
        _gate(plan, count, thread, threads)
        _meet(barrier, threads)
        _multiply(plan, matrix + 6 * _MATRIX_SIZE, gate, made, thin, count, thread, threads)
        _add_made(plan, made, count, thread, threads)
        _meet(barrier, threads)
    asked = plan[Head.ASKED]  # the logits of this many tokens at the end
    _norm_tokens(plan, plan[Head.LAST_NORM], count - asked, asked, thread, threads)
    _meet(barrier, threads)
    last = normed + (count - asked) * plan[Head.HIDDEN] * 4
    _multiply(plan, _HEAD, last, plan[Head.LOGITS], thin, asked, thread, threads)
    _meet(barrier, threads)
