"""Attention, as numba compiles it. Owns how queries meet the keys and values that are kept; never reads a weight."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from lora_chat.decoder import intrinsics as llvm
from lora_chat.decoder.intrinsics import HALF, QUARTER, TOKENS
from lora_chat.decoder.matrices import blocks_of, in_block
from lora_chat.decoder.plan import BLOCK, GROUP, Head, Layer
from lora_chat.decoder.vectors import OPTIONS, exp, norm, vec


@njit(**OPTIONS)
def _turn(head: Any, cos: Any, sin: Any, half: int) -> None:
    """Rotary position embedding of one head, in place; halves as in Llama's transformers form."""
    for i in range(half):
        low, high = head[i], head[i + half]
        head[i] = low * cos[i] - high * sin[i]
        head[i + half] = high * cos[i] + low * sin[i]


@njit(**OPTIONS)
def _weigh(address: int, seen: int, size: int, scale: Any) -> None:
    """Softmax of the first ``seen`` of ``size`` scores times ``scale``, which is positive, in place; 0 for the rest."""
    scores = vec(address, size)
    largest = llvm.largest(address, seen) * scale
    total = np.float32(0)
    for i in range(seen):
        weight = exp(scores[i] * scale - largest)
        scores[i] = weight
        total += weight
    factor = np.float32(1) / total
    for i in range(seen):
        scores[i] *= factor
    for i in range(seen, size):
        scores[i] = np.float32(0)


@njit(**OPTIONS)
def _mix(
    lanes: int, weights: int, out: int, rows: int, next_row: int, next_weights: int, next_out: int, count: int
) -> None:
    """32 lanes of ``rows``, mixed with the weights of one token or of a block of ``count``."""
    if count == TOKENS:
        llvm.mix_block(lanes, 0, weights, out, rows, next_row, 0, next_weights, next_out)
    elif count == HALF:
        llvm.mix_half(lanes, 0, weights, out, rows, next_row, 0, next_weights, next_out)
    elif count == QUARTER:
        llvm.mix_quarter(lanes, 0, weights, out, rows, next_row, 0, next_weights, next_out)
    else:
        llvm.mix_one(lanes, 0, weights, out, rows, next_row, 0, next_weights, next_out)


@njit(**OPTIONS)
def _attend(plan: Any, at: int, head: int, token: int, count: int, beside: int, scores: int) -> None:
    """One head of a block of tokens, or ``beside`` heads of one: softmax(queries · keys * scale) · values.

    Heads of one token have the same keys and values, which come from far: each piece of them meets one head after the
    other while it is near.
    """
    size, heads, room = plan[Head.HEAD_DIM], plan[Head.HEADS], plan[Head.CAPACITY]
    place = head // (heads // plan[Head.KV_HEADS]) * room * size * 4
    keys, values = plan[at + Layer.KEYS] + place, plan[at + Layer.VALUES] + place
    step, offset, row = heads * size * 4, (token * heads + head) * size * 4, room * 4
    before = plan[Head.POSITION] + token + 1
    positions = before + count - 1
    for first in range(0, positions, GROUP):  # the last tile may be filled in part: what its rest makes is not read
        tile = keys + first * size * 4
        for other in range(beside):
            query, out = plan[Head.Q] + offset + other * size * 4, scores + other * row + first * 4
            _mix(tile, query, out, size, GROUP * 4, step, row, count)
    scale = vec(plan[Head.SETTINGS], 2)[1]
    for i in range(count):
        _weigh(scores + i * row, before + i, positions, scale)
    for other in range(1, beside):
        _weigh(scores + other * row, before, positions, scale)
    for lanes in range(0, size * 4, GROUP * 4):
        for other in range(beside):
            out = plan[Head.ATTENDED] + offset + other * size * 4 + lanes
            _mix(values + lanes, scores + other * row, out, positions, size * 4, row, step, count)


@njit(**OPTIONS)
def prepare_heads(plan: Any, at: int, count: int, thread: int, threads: int) -> None:
    """Norm and turn this thread's heads of the queries and keys, and keep keys and values in the cache."""
    size, heads, kv_heads = plan[Head.HEAD_DIM], plan[Head.HEADS], plan[Head.KV_HEADS]
    epsilon = vec(plan[Head.SETTINGS], 2)[0]
    norm_q, norm_k = plan[at + Layer.NORM_Q], plan[at + Layer.NORM_K]
    room = plan[Head.CAPACITY]
    for token in range(count):
        turn = token * (size // 2) * 4
        cos, sin = vec(plan[Head.COS] + turn, size // 2), vec(plan[Head.SIN] + turn, size // 2)
        for head in range(heads * thread // threads, heads * (thread + 1) // threads):
            query = vec(plan[Head.Q] + (token * heads + head) * size * 4, size)
            if norm_q:
                norm(query, vec(norm_q, size), size, epsilon, query)
            _turn(query, cos, sin, size // 2)
        for head in range(kv_heads * thread // threads, kv_heads * (thread + 1) // threads):
            key = vec(plan[Head.K] + (token * kv_heads + head) * size * 4, size)
            value = vec(plan[Head.V] + (token * kv_heads + head) * size * 4, size)
            if norm_k:
                norm(key, vec(norm_k, size), size, epsilon, key)
            _turn(key, cos, sin, size // 2)
            position = head * room + plan[Head.POSITION] + token
            lane = position % GROUP
            tile = vec(plan[at + Layer.KEYS] + (position - lane) * size * 4, size * GROUP)
            kept_value = vec(plan[at + Layer.VALUES] + position * size * 4, size)
            for i in range(size):
                tile[i * GROUP + lane] = key[i]
                kept_value[i] = value[i]


@njit(**OPTIONS)
def attention(plan: Any, at: int, scores: int, count: int, thread: int, threads: int) -> None:
    """This thread's share of the heads of all tokens; of tokens that two blocks share both make the same."""
    heads, blocks = plan[Head.HEADS], blocks_of(count)
    units, sharing = blocks if blocks else count, heads // plan[Head.KV_HEADS]
    index, last = heads * units * thread // threads, heads * units * (thread + 1) // threads
    while index < last:
        # Heads first: each thread's share then looks back as far.
        head, unit, beside = index // units, index % units, 1
        if blocks:
            tokens = in_block(unit, count)
            _attend(plan, at, head, min(unit * TOKENS, count - tokens), tokens, 1, scores)
        else:
            if count == 1:
                beside = min(last - head, sharing - head % sharing, BLOCK)
            _attend(plan, at, head, unit, 1, beside, scores)
        index += beside
