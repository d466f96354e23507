"""Attention, as numba compiles it. Owns how queries meet the keys and values that are kept; never reads a weight."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from lora_chat.decoder import intrinsics as llvm
from lora_chat.decoder.intrinsics import TOKENS
from lora_chat.decoder.matrices import blocks_of
from lora_chat.decoder.plan import GROUP, Head, Layer
from lora_chat.decoder.vectors import OPTIONS, exp, norm, vec


@njit(**OPTIONS)
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


@njit(**OPTIONS)
def _weigh(scores: Any, seen: int, size: int, scale: Any) -> None:
    """Softmax of the first ``seen`` scores times ``scale``, which is positive, in place; 0 for the rest of ``size``."""
    largest = _largest(scores, seen) * scale
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
    scale = vec(plan[Head.SETTINGS], 2)[1]
    for i in range(count):
        _weigh(vec(scores + i * room * 4, positions), before + i, positions, scale)
    for lanes in range(0, size * 4, GROUP * 4):
        out = plan[Head.ATTENDED] + offset + lanes
        if count == TOKENS:
            llvm.mix_block(values + lanes, 0, scores, out, positions, size * 4, 0, room * 4, step)
        else:
            llvm.mix_one(values + lanes, 0, scores, out, positions, size * 4, 0, room * 4, step)


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
    units = blocks if blocks else count
    for index in range(heads * units * thread // threads, heads * units * (thread + 1) // threads):
        # Heads first: each thread's share then looks back as far.
        head, unit = index // units, index % units
        if blocks:
            _attend(plan, at, head, min(unit * TOKENS, count - TOKENS), TOKENS, scores)
        else:
            _attend(plan, at, head, unit, 1, scores)
