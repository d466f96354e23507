"""What the compiled step is told. Owns the numbers' places in the plan; computes nothing and imports nothing heavy.

A plan is a flat array of int64: sizes, addresses of float32 buffers, then one block for each layer. The kernels read
it, ``step.py`` writes it; both know the places by these names. Addresses are bytes, everything else counts elements.
"""

from __future__ import annotations

from enum import IntEnum

GROUP = 32
"""Weights that share a scale in the quantised kinds."""

BLOCK = 8
"""Most tokens whose products are made together: more would not stay in registers."""

LARGEST_RANK = 256
"""Of an adapter, as adapters are accepted."""


SHARING = 3
"""Most matrices that share their inputs: query, key and value."""


class Kind(IntEnum):
    """How a matrix lies in memory, (out, in) row by row."""

    F32 = 0
    """float32."""
    INT8 = 1
    """int8, and a float16 scale for each group."""
    INT4 = 2
    """Two to a byte (the group's first half low), and a float16 scale and minimum for each group."""
    BF16 = 3
    """bfloat16, as many bases come: exactly the same numbers as in float32, in half the memory."""


MATRICES = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
)
"""Of one layer, in the plan's order; these are the modules' names below the layer."""

_IN_A_LAYER = len(MATRICES)


class Matrix(IntEnum):
    """Places in the block of one matrix."""

    KIND = 0
    VALUES = 1
    SCALES = 2
    MINIMA = 3
    OUT = 4
    IN = 5
    BIAS = 6
    """0: none."""
    RANK = 7
    """Of the adapter worn beside it; 0: none."""
    A = 8
    """(rank, in), of the kind THIN_KIND."""
    A_SCALES = 9
    B = 10
    """(out / 32, rank, 32), of the same kind: as it is read, row by row of the output; times the adapter's scaling."""
    B_SCALES = 11
    THIN_KIND = 12
    SIZE = 13


class Head(IntEnum):
    """Places before the layers' blocks."""

    LAYERS = 0
    HIDDEN = 1
    INTERMEDIATE = 2
    HEADS = 3
    KV_HEADS = 4
    HEAD_DIM = 5
    THREADS = 6
    BARRIER = 7
    """Two int64 counters, 64 bytes apart."""
    SETTINGS = 8
    """float32: epsilon of the norms, scale of the attention scores."""
    COUNT = 9
    """Tokens that are read."""
    ASKED = 10
    """Tokens at their end whose logits are wanted."""
    POSITION = 11
    """Of the first token, from 0."""
    CAPACITY = 12
    """Positions the cache has room for."""
    COS = 13
    SIN = 14
    """(count, head_dim / 2), from the first token's position on."""
    X = 15
    """The residual stream, (count, hidden): the tokens' embeddings go in."""
    NORMED = 16
    Q = 17
    K = 18
    V = 19
    ATTENDED = 20
    GATE = 21
    UP = 22
    MADE = 23
    LOGITS = 24
    """(asked, vocab) comes out."""
    SCRATCH = 25
    """Every thread's own: room for attention scores; behind the first one's lie the adapter's thin products."""
    SCRATCH_SIZE = 26
    """float32 for each thread."""
    LAST_NORM = 27
    LAST_MATRIX = 28
    """A matrix block: the output head."""
    LAYER_BLOCKS = LAST_MATRIX + Matrix.SIZE
    """Where the first layer's block begins."""


class Layer(IntEnum):
    """Places in the block of one layer."""

    KEYS = 0
    VALUES = 1
    """(kv_heads, capacity, head_dim)."""
    NORM_1 = 2
    NORM_2 = 3
    NORM_Q = 4
    NORM_K = 5
    """0: none."""
    MATRICES = 6
    """The blocks of q, k, v, o, gate, up, down."""
    SIZE = MATRICES + _IN_A_LAYER * Matrix.SIZE
