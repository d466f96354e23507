"""Tokens read in compiled code. Owns the plan's numbers, the buffers and the threads; never
allocates per token. [torch]
"""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from lora_chat.decoder.compiled import Kernel
from lora_chat.decoder.keys_values import KeysValues
from lora_chat.decoder.lora import AtScale
from lora_chat.decoder.packing import Form
from lora_chat.decoder.parts import Weights
from lora_chat.decoder.plan import BLOCK, LARGEST_RANK, MATRICES, SHARING, Head, Layer, Matrix
from lora_chat.decoder.quantise import Packed
from lora_chat.decoder.rotary import Rotary
from lora_chat.decoder.shape import Shape
from lora_chat.models.watch import StopAsked

_WORK = 6_000_000_000
"""Multiplications that one call is given."""

_LEAST, _MOST = 8, 128
"""Tokens that one call reads: a large base's weights must be read for several, a small one's buffers end somewhere."""


class Stepper:
    """The compiled step on one base. Not safe for two threads at once: who calls has the floor."""

    def __init__(
        self,
        kernel: Kernel,
        weights: Weights,
        shape: Shape,
        rotary: Rotary,
        form: Form,
        threads: int,
    ) -> None:
        self._shape = shape
        self._rotary = rotary
        self._embedding = weights.embedding
        self._weights = weights, form  # the plan holds their addresses
        self._buffers: dict[Head, torch.Tensor] = {}
        self._plan = np.zeros(Head.LAYER_BLOCKS + shape.layers * Layer.SIZE, dtype=np.int64)
        self._layers = self._plan[Head.LAYER_BLOCKS :].reshape(shape.layers, Layer.SIZE)
        self._matrices = self._layers[:, Layer.MATRICES :].reshape(shape.layers, len(MATRICES), Matrix.SIZE)
        self.most = _tokens_at_once(weights)
        """Tokens that one call reads."""
        self._x = self._buffer(Head.X, self.most * shape.hidden).view(self.most, shape.hidden)
        self._logits = self._buffer(Head.LOGITS, self.most * shape.vocabulary).view(self.most, shape.vocabulary)
        self._worn: AtScale | None = None
        self._room = 0
        self._crew = _Crew(kernel, threads)
        self._write_sizes(threads)
        self._write_weights(weights, form)

    def step(self, ids: Sequence[int], kept: KeysValues, worn: AtScale | None, asked: int = 1) -> torch.Tensor:
        """Read up to ``most`` ids after what is ``kept``; logits after each of the last ``asked``, (asked, vocab).

        The logits' memory is the stepper's: the next call writes over it.
        """
        count = len(ids)
        assert 0 < count <= self.most
        assert 0 < asked <= count
        kept.reserve(kept.length + count)
        self._write_context(kept, count, asked)
        if worn is not self._worn:
            self._matrices[:, :, Matrix.RANK : Matrix.SIZE] = 0 if worn is None else worn.table
            self._worn = worn
        self._x[:count] = self._embedding[torch.tensor(ids)]
        self._crew.run(self._plan.ctypes.data)
        kept.length += count
        return self._logits[:asked]

    def weights(self) -> Iterator[torch.Tensor]:
        """Every tensor that is read."""
        weights, form = self._weights
        yield from (weights.embedding, weights.norm, *form.head.parts)
        for layer, packed in zip(weights.layers, form.layers, strict=True):
            yield from (each for each in (layer.norm_1, layer.norm_2, layer.norm_q, layer.norm_k) if each is not None)
            yield from (each for each in layer.biases if each is not None)
            yield from (part for matrix in packed for part in matrix.parts)

    def close(self) -> None:
        """Let the threads end."""
        self._crew.close()

    def _write_sizes(self, threads: int) -> None:
        shape = self._shape
        wide, narrow = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        sizes = {
            Head.LAYERS: shape.layers,
            Head.HIDDEN: shape.hidden,
            Head.INTERMEDIATE: shape.intermediate,
            Head.HEADS: shape.heads,
            Head.KV_HEADS: shape.kv_heads,
            Head.HEAD_DIM: shape.head_dim,
            Head.THREADS: threads,
        }
        for place, number in sizes.items():
            self._plan[place] = number
        widths = {
            Head.NORMED: shape.hidden,
            Head.Q: wide,
            Head.K: narrow,
            Head.V: narrow,
            Head.ATTENDED: wide,
            Head.GATE: shape.intermediate,
            Head.UP: shape.intermediate,
            Head.MADE: shape.hidden,
        }
        for place, width in widths.items():
            self._buffer(place, self.most * width)
        self._buffer(Head.BARRIER, 64).zero_()
        settings = torch.tensor([shape.epsilon, 1 / math.sqrt(shape.head_dim)])
        self._buffer(Head.SETTINGS, 2).copy_(settings)

    def _write_weights(self, weights: Weights, form: Form) -> None:
        self._plan[Head.LAST_NORM] = weights.norm.data_ptr()
        self._write_matrix(
            self._plan[Head.LAST_MATRIX : Head.LAST_MATRIX + Matrix.SIZE], form.head, self._shape.hidden, None
        )
        for index, layer in enumerate(weights.layers):
            norms = (layer.norm_1, layer.norm_2, layer.norm_q, layer.norm_k)
            self._layers[index, Layer.NORM_1 : Layer.NORM_K + 1] = [_address(each) for each in norms]
            for position, matrix in enumerate(form.layers[index]):
                wide = int(layer.matrices[position].shape[1])
                self._write_matrix(self._matrices[index, position], matrix, wide, layer.biases[position])

    @staticmethod
    def _write_matrix(block: np.ndarray, packed: Packed, wide: int, bias: torch.Tensor | None) -> None:
        block[Matrix.KIND] = packed.kind
        block[Matrix.VALUES] = _address(packed.values)
        block[Matrix.SCALES] = _address(packed.scales)
        block[Matrix.MINIMA] = _address(packed.minima)
        block[Matrix.OUT] = packed.out
        block[Matrix.IN] = wide
        block[Matrix.BIAS] = _address(bias)

    def _write_context(self, kept: KeysValues, count: int, asked: int) -> None:
        strides = np.arange(self._shape.layers) * (kept.keys.stride(0) * kept.keys.itemsize)
        self._layers[:, Layer.KEYS] = kept.keys.data_ptr() + strides
        self._layers[:, Layer.VALUES] = kept.values.data_ptr() + strides
        cos, sin = self._rotary.between(kept.length, kept.length + count)
        self._plan[Head.COUNT], self._plan[Head.ASKED] = count, asked
        self._plan[Head.POSITION], self._plan[Head.CAPACITY] = kept.length, kept.room
        self._plan[Head.COS], self._plan[Head.SIN] = cos.data_ptr(), sin.data_ptr()
        if kept.room > self._room:
            self._room = kept.room
            size = (SHARING * self.most * LARGEST_RANK + BLOCK * self._room + 15) // 16 * 16
            self._plan[Head.SCRATCH_SIZE] = size
            self._buffer(Head.SCRATCH, size * self._crew.threads)

    def _buffer(self, place: Head, size: int) -> torch.Tensor:
        """A float32 buffer whose address stands at ``place``, 64-byte aligned as torch allocates."""
        self._buffers[place] = buffer = torch.empty(size)
        self._plan[place] = buffer.data_ptr()
        return buffer


def _tokens_at_once(weights: Weights) -> int:
    """So many that one call takes some 100 ms, within which a cancel has to wait."""
    multiplied = weights.head.numel() + sum(matrix.numel() for layer in weights.layers for matrix in layer.matrices)
    return max(_LEAST, min(_MOST, _WORK // multiplied // 4 * 4))


def _address(tensor: torch.Tensor | None) -> int:
    if tensor is None:
        return 0
    assert tensor.is_contiguous()
    return tensor.data_ptr()


class _Crew:
    """Threads that run the same step side by side; the caller's is the first of them."""

    def __init__(self, kernel: Kernel, threads: int) -> None:
        self.threads = threads
        self._kernel = kernel
        self._running = threading.Lock()
        self._dismissed = False
        self._calls: list[queue.SimpleQueue[int | None]] = [queue.SimpleQueue() for _ in range(threads - 1)]
        for index, calls in enumerate(self._calls, 1):
            threading.Thread(target=self._serve, args=(index, calls), name=f"decode-{index}", daemon=True).start()

    def run(self, plan: int) -> None:
        """Run the step to its end.

        Raises:
            StopAsked: the crew was dismissed; alone, a step would wait at its first barrier for ever.
        """
        with self._running:
            if self._dismissed:
                raise StopAsked
            for calls in self._calls:
                calls.put(plan)
            self._kernel(plan, 0)

    def close(self) -> None:
        """End the threads, after the step that runs."""
        with self._running:
            self._dismissed = True
            for calls in self._calls:
                calls.put(None)

    def _serve(self, index: int, calls: queue.SimpleQueue[int | None]) -> None:
        while (plan := calls.get()) is not None:
            self._kernel(plan, index)
