"""Tokens through the whole base, as numba compiles it. Owns the order of the work and where the threads meet; never
allocates or locks.

Written for numba (BSD, LLVM): no compiler has to be on the machine. All threads run ``step`` side by side, each on its
share of every matrix's rows, and meet at a barrier where one needs what the others made. The arithmetic is
``matrices.py``'s, ``attention.py``'s and ``vectors.py``'s. An adapter's two thin products are added beside its matrix,
so wearing one costs what its few weights cost and nothing is ever merged.

Imported by ``compiled.py`` alone, and only where there is nothing compiled yet: importing this compiles it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray, cfunc, njit, types

from lora_chat.decoder import intrinsics as llvm
from lora_chat.decoder.attention import attention, prepare_heads
from lora_chat.decoder.matrices import add_thin, ask_for_first, ask_for_second, first_row, make_thin, multiply
from lora_chat.decoder.plan import LARGEST_RANK, SHARING, Head, Layer, Matrix
from lora_chat.decoder.vectors import OPTIONS, exp, norm, vec

_SPINS = 2_000
"""Looks at the barrier before the core is offered to somebody else."""

# Plain integers: numba freezes them into the code.
_LAYER_BLOCKS, _LAYER_SIZE, _MATRICES = int(Head.LAYER_BLOCKS), int(Layer.SIZE), int(Layer.MATRICES)
_MATRIX_SIZE, _HEAD, _THIN = int(Matrix.SIZE), int(Head.LAST_MATRIX), LARGEST_RANK


@njit(**OPTIONS)
def _arrive(barrier: int, threads: int) -> int:
    """Say that this thread is here; what the others are then awaited with."""
    if threads == 1:
        return 0
    generation = barrier + 64
    before: int = llvm.atomic_load(generation)
    if llvm.atomic_add(barrier, 1) == threads - 1:
        llvm.atomic_add(barrier, -threads)
        llvm.atomic_add(generation, 1)
    return before


@njit(**OPTIONS)
def _await(barrier: int, before: int, threads: int) -> None:
    """Wait until all threads have arrived; what each wrote before that is then seen by all."""
    if threads == 1:
        return
    spins = 0
    while llvm.atomic_load(barrier + 64) == before:
        spins += 1
        if spins > _SPINS:
            llvm.offer_core()


@njit(**OPTIONS)
def _meet(barrier: int, threads: int) -> None:
    """Wait until all threads are here; what each wrote before is then seen by all."""
    _await(barrier, _arrive(barrier, threads), threads)


@njit(**OPTIONS)
def _worn(plan: Any, at: int, number: int) -> bool:
    """Whether an adapter is worn beside any of ``number`` matrices from ``at`` on."""
    ranks = 0
    for matrix in range(at, at + number * _MATRIX_SIZE, _MATRIX_SIZE):
        ranks += plan[matrix + Matrix.RANK]
    return ranks > 0


@njit(**OPTIONS)
def _ask_for_first(plan: Any, at: int, number: int, thread: int, threads: int) -> None:
    """Have an adapter's first factors beside ``number`` matrices brought near."""
    for matrix in range(at, at + number * _MATRIX_SIZE, _MATRIX_SIZE):
        if plan[matrix + Matrix.RANK]:
            ask_for_first(plan, matrix, thread, threads)


@njit(**OPTIONS)
def _multiply(
    plan: Any, at: int, inputs: int, outs: Any, next_at: int, next_number: int, count: int, thread: int, threads: int
) -> None:
    """This thread's rows of the matrices from ``at`` on, which share their inputs, and of the adapter beside them.

    What an adapter's first factors make is shared out among the threads like everything else; that all have made
    theirs is waited for when the base's own rows are done, so that hardly anybody ever waits. Meanwhile the first
    factors beside the next matrices come near.
    """
    number = len(outs)
    if next_number:
        _ask_for_first(plan, next_at, next_number, thread, threads)
    thin, step, barrier, before = plan[Head.SCRATCH], count * _THIN * 4, plan[Head.BARRIER], 0
    worn = _worn(plan, at, number)
    if worn:
        for index in range(number):
            matrix = at + index * _MATRIX_SIZE
            if plan[matrix + Matrix.RANK]:
                ask_for_second(plan, matrix, thread, threads)
                make_thin(plan, matrix, inputs, thin + index * step, count, thread, threads)
        before = _arrive(barrier, threads)
    for index in range(number):
        multiply(plan, at + index * _MATRIX_SIZE, inputs, outs[index], count, thread, threads)
    if worn:
        _await(barrier, before, threads)
        for index in range(number):
            add_thin(plan, at + index * _MATRIX_SIZE, thin + index * step, outs[index], count, thread, threads)


@njit(**OPTIONS)
def _add_made(plan: Any, made: int, count: int, thread: int, threads: int) -> None:
    """Add this thread's rows of what a matrix made to the residual stream."""
    rows = plan[Head.HIDDEN]
    for token in range(count):
        x, y = vec(plan[Head.X] + token * rows * 4, rows), vec(made + token * rows * 4, rows)
        for row in range(first_row(rows, thread, threads), first_row(rows, thread + 1, threads)):
            x[row] += y[row]


@njit(**OPTIONS)
def _gate(plan: Any, count: int, thread: int, threads: int) -> None:
    """silu(gate) * up, this thread's rows, into gate."""
    rows = plan[Head.INTERMEDIATE]
    for token in range(count):
        gate, up = vec(plan[Head.GATE] + token * rows * 4, rows), vec(plan[Head.UP] + token * rows * 4, rows)
        for row in range(first_row(rows, thread, threads), first_row(rows, thread + 1, threads)):
            gate[row] = gate[row] / (np.float32(1) + exp(-gate[row])) * up[row]


@njit(**OPTIONS)
def _norm_tokens(plan: Any, weight: int, first: int, count: int, thread: int, threads: int) -> None:
    """RMSNorm of this thread's share of the tokens from ``first`` on, into the inputs of the next matrices."""
    hidden, epsilon = plan[Head.HIDDEN], vec(plan[Head.SETTINGS], 2)[0]
    for token in range(first + count * thread // threads, first + count * (thread + 1) // threads):
        x, normed = plan[Head.X] + token * hidden * 4, plan[Head.NORMED] + token * hidden * 4
        norm(vec(x, hidden), vec(weight, hidden), hidden, epsilon, vec(normed, hidden))


@cfunc(types.void(types.int64, types.int64), **OPTIONS)
def step(address: int, thread: int) -> None:
    """Read the plan's tokens: this thread's part of it, side by side with the others'."""
    head = carray(llvm.pointer(address), _LAYER_BLOCKS, np.int64)
    plan = carray(llvm.pointer(address), _LAYER_BLOCKS + head[Head.LAYERS] * _LAYER_SIZE, np.int64)
    threads, count, barrier = plan[Head.THREADS], plan[Head.COUNT], plan[Head.BARRIER]
    scores = plan[Head.SCRATCH] + (thread * plan[Head.SCRATCH_SIZE] + SHARING * count * _THIN) * 4
    normed, q, k, v = plan[Head.NORMED], plan[Head.Q], plan[Head.K], plan[Head.V]
    attended, gate, up, made = plan[Head.ATTENDED], plan[Head.GATE], plan[Head.UP], plan[Head.MADE]
    layers = plan[Head.LAYERS]
    _ask_for_first(plan, _LAYER_BLOCKS + _MATRICES, 3, thread, threads)
    for layer in range(layers):
        at = _LAYER_BLOCKS + layer * _LAYER_SIZE
        matrix = at + _MATRICES
        _norm_tokens(plan, plan[at + Layer.NORM_1], 0, count, thread, threads)
        _meet(barrier, threads)
        o, gates, down = matrix + 3 * _MATRIX_SIZE, matrix + 4 * _MATRIX_SIZE, matrix + 6 * _MATRIX_SIZE
        _multiply(plan, matrix, normed, (q, k, v), o, 1, count, thread, threads)
        _meet(barrier, threads)
        prepare_heads(plan, at, count, thread, threads)
        _meet(barrier, threads)
        attention(plan, at, scores, count, thread, threads)
        _meet(barrier, threads)
        _multiply(plan, o, attended, (made,), gates, 2, count, thread, threads)
        _add_made(plan, made, count, thread, threads)
        _meet(barrier, threads)
        _norm_tokens(plan, plan[at + Layer.NORM_2], 0, count, thread, threads)
        _meet(barrier, threads)
        _multiply(plan, gates, normed, (gate, up), down, 1, count, thread, threads)
        _gate(plan, count, thread, threads)
        _meet(barrier, threads)
        left = 3 if layer + 1 < layers else 0
        _multiply(plan, down, gate, (made,), matrix + _LAYER_SIZE, left, count, thread, threads)
        _add_made(plan, made, count, thread, threads)
        _meet(barrier, threads)
    asked = plan[Head.ASKED]  # the logits of this many tokens at the end
    _norm_tokens(plan, plan[Head.LAST_NORM], count - asked, asked, thread, threads)
    _meet(barrier, threads)
    last = normed + (count - asked) * plan[Head.HIDDEN] * 4
    multiply(plan, _HEAD, last, plan[Head.LOGITS], asked, thread, threads)
    _meet(barrier, threads)
