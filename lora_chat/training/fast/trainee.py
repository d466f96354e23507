"""A base that the fast path knows, with pairs that learn. Owns the way through its layers, there and back. [torch]

Written out by hand, without autograd but for the losses: what a way back needs is kept, and nothing else; each matrix
is unpacked while it multiplies (``stored``). The output head goes over its rows in blocks, for as many
predictions at once as there is room for, so that it is read twice for all of them and not twice for each piece.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

import torch
from torch import nn
from torch.nn import functional

from lora_chat.models.watch import Check
from lora_chat.training.dataset import Batch
from lora_chat.training.fast.attention import Attention, Turns, normed, normed_back
from lora_chat.training.fast.base import FastBase, module_name
from lora_chat.training.fast.block import Block
from lora_chat.training.fast.pair import Pair
from lora_chat.training.fast.reading import FastReading
from lora_chat.training.fast.tape import Kept, Tape, apart
from lora_chat.training.layout import Ids, Layout, lay_in_tree, padded, supervised_places
from lora_chat.training.lower import Lower
from lora_chat.training.recipe import LONG
from lora_chat.training.trainee import LossOf, NewLayer, Reading

HEAD_BYTES = 13_000_000
"""Of logits that are in memory at once: those of 64 predictions of the default base."""

_STEP = 64
"""A way there and back has this many tokens, or twice, three or four times as many, or one of four sizes to each
doubling: bfloat16's products are compiled for their sizes by torch's library, which keeps 10 MB for each of them."""
_HEAD_STEP = 32
"""Likewise the predictions that go back through the head at once."""
_PROMPT_STEP = 16
"""Likewise the longest prompt of those that are answered together."""


class FastTrainee:
    """``Trainee`` on the fast path."""

    made_with = ("torch",)

    def __init__(self, base: FastBase, pairs: Mapping[str, Pair], check: Check, *, use_rslora: bool = False) -> None:
        """``pairs`` by the names of the modules; ``check`` runs before each product and each piece of the losses."""
        self.use_rslora = use_rslora
        self._base, self._pairs, self._check = base, pairs, check
        self._rotary = base.rotary()
        self._stored, self._logits = base.stored(), torch.empty(0)
        layers, matrices = len(base.weights.layers), range(7)
        own = [{i: pairs[name] for i in matrices if (name := module_name(at, i)) in pairs} for at in range(layers)]
        self._blocks = [
            Block(base.shape, weights, beside, check) for weights, beside in zip(base.weights.layers, own, strict=True)
        ]
        self._first = next((at for at, beside in enumerate(own) if beside), 0)
        """The lowest layer that is trained."""
        self._tape = Tape(base.shape, layers - self._first, base.products)
        self.lower = Lower(
            self._first, f"layers={self._first} torch.float32 cpu, fast path", let_go=self._stored.let_go
        )

    @property
    def weights(self) -> list[nn.Parameter]:
        """See ``Trainee.weights``."""
        return [each for pair in self._pairs.values() for each in (pair.a, pair.b)]

    @property
    def layers(self) -> Mapping[str, NewLayer]:
        """See ``Trainee.layers``."""
        return {name: NewLayer(pair.a.detach(), pair.b.detach(), pair.alpha) for name, pair in self._pairs.items()}

    @property
    def parameters(self) -> tuple[int, int]:
        """See ``Trainee.parameters``."""
        trained = sum(each.numel() for each in self.weights)
        return trained, self._base.parameters + trained

    def look(self, batch: Batch) -> None:
        """See ``Trainee.look``: the shape said it all."""

    @torch.no_grad()
    def hidden(self, batch: Batch) -> torch.Tensor:
        """See ``Trainee.hidden``."""
        layout = _lay(batch.sequences)
        states = self._upward(layout, batch.sequences, None)
        return self._normed(states[supervised_places(layout, batch)])

    @torch.no_grad()
    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """See ``Trainee.logits``."""
        return self._logits_into(hidden.new_empty(len(hidden), self._base.shape.vocabulary), hidden)

    def _logits_into(self, made: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        for rows, block in self._stored.head(torch.float32):
            self._check()
            torch.mm(hidden, block.t(), out=made[:, rows])
        return made

    @torch.no_grad()
    def backward(self, batch: Batch, sizes: Sequence[int], loss_of: LossOf) -> None:
        """See ``Trainee.backward``."""
        layout, tape = self._lay(batch.sequences), list[Kept | torch.Tensor]()
        states = self._upward(layout, batch.sequences, tape)
        places = supervised_places(layout, batch)
        found = states[places]
        grad = self._losses_back(self._normed(found), sizes, loss_of)
        grad = normed_back(grad, found, self._base.weights.norm, self._base.shape.epsilon)
        self._downward(layout, tape, torch.zeros_like(states).index_add_(0, places, grad))

    def reading(self) -> FastReading:
        """See ``Trainee.reading``."""
        return FastReading(self._base.shape)

    @torch.no_grad()
    def likeliest(self, ids: Sequence[int], reading: Reading, last: int) -> list[int]:
        """See ``Trainee.likeliest``."""
        assert isinstance(reading, FastReading)
        real = torch.ones(1, len(ids), dtype=torch.bool)
        states = self._read(torch.tensor([list(ids)]), real, reading, torch.float32)
        found: list[int] = self.logits(states[0, -last:]).argmax(-1).tolist()
        return found

    @torch.no_grad()
    def answers(self, prompts: Sequence[Sequence[int]], most: int, ends: frozenset[int]) -> list[list[int]]:
        """See ``Trainee.answers``."""
        longest, ending = _size_above(max(map(len, prompts)), _PROMPT_STEP), torch.tensor(sorted(ends))
        ids = torch.tensor([[0] * (longest - len(each)) + list(each) for each in prompts])
        real = torch.arange(longest) >= torch.tensor([[longest - len(each)] for each in prompts])
        reading, said = FastReading(self._base.shape, len(prompts)), list[torch.Tensor]()
        ended = torch.zeros(len(prompts), dtype=torch.bool)
        while len(said) < most and not bool(ended.all()):
            said.append(self.logits(self._read(ids, real, reading, self._base.products)[:, -1]).argmax(-1))
            ended |= torch.isin(said[-1], ending)
            ids, real = said[-1][:, None], torch.ones(len(prompts), 1, dtype=torch.bool)
        found: list[list[int]] = torch.stack(said, 1).tolist()
        return found

    # Through the layers

    def _lay(self, sequences: Sequence[Ids]) -> Layout:
        """For a way there and back, of a size that comes again."""
        layout = _lay(sequences)
        if self._base.products == torch.float32:
            return layout
        return padded(layout, _size_above(layout.inputs["input_ids"].shape[1]))

    def _upward(self, layout: Layout, sequences: Sequence[Ids], tape: list[Kept | torch.Tensor] | None) -> torch.Tensor:
        """What the layers make, (tokens, hidden); the lower ones are only run for sequences not known.

        What the way back needs goes onto the ``tape``, layer by layer: of many tokens only what came in.
        """
        if not self.lower.count:
            return self._through(
                layout, self._stored.embedded(layout.inputs["input_ids"][0]), 0, len(self._blocks), tape
            )
        below = layout.put(self.lower.states(sequences, self._below)).flatten(0, 1)
        return self._through(layout, below, self._first, len(self._blocks), tape)

    def _below(self, sequences: Sequence[Ids]) -> list[torch.Tensor]:
        """What the lower layers make of ``sequences``, (len, hidden) each."""
        layout = _lay(sequences)
        return layout.of(
            self._through(layout, self._stored.embedded(layout.inputs["input_ids"][0]), 0, self._first, None)[None]
        )

    def _through(
        self, layout: Layout, states: torch.Tensor, first: int, last: int, tape: list[Kept | torch.Tensor] | None
    ) -> torch.Tensor:
        kind = torch.float32 if tape is None else self._base.products
        turns, mask = self._turns(layout.inputs["position_ids"][0]), self._mask(layout, kind)
        for at in range(first, last):
            attention = Attention(self._base.shape, self._base.weights.layers[at], turns, mask)
            kept = None
            if tape is not None and len(states) <= LONG:
                kept = self._tape.room(at - self._first, len(states))
            if tape is not None:
                tape.append(kept or states)
            states = self._blocks[at].forward(states, self._stored.layer(at, kind), attention.attend, kept)
        return states

    def _downward(self, layout: Layout, tape: list[Kept | torch.Tensor], grad: torch.Tensor) -> None:
        """Go back through the layers on the ``tape``, which ends empty."""
        kind = self._base.products
        turns, mask = self._turns(layout.inputs["position_ids"][0]), self._mask(layout, kind)
        back: torch.Tensor | None = grad
        for at in reversed(range(self._first, len(self._blocks))):
            attention = Attention(self._base.shape, self._base.weights.layers[at], turns, mask)
            block, kept, matrices = self._blocks[at], tape.pop(), self._stored.layer(at, kind)
            if isinstance(kept, torch.Tensor):
                came, kept = kept, apart(self._base.shape, len(kept), kind)
                block.forward(came, matrices, attention.attend, kept)
            assert back is not None
            back = block.backward(back, kept, matrices, attention, lowest=at == self._first)

    def _read(self, ids: torch.Tensor, real: torch.Tensor, reading: FastReading, kind: torch.dtype) -> torch.Tensor:
        """What goes into the head after ``ids`` (rows, new), of which ``real`` are tokens: (rows, new, hidden)."""
        places, sees = reading.begin(real)
        turns, states = self._turns(places.flatten()), self._stored.embedded(ids.flatten())
        for at, block in enumerate(self._blocks):
            attention = Attention(self._base.shape, self._base.weights.layers[at], turns, None)
            states = block.forward(states, self._stored.layer(at, kind), reading.attend(at, attention, sees))
        read: torch.Tensor = self._normed(states).unflatten(0, ids.shape)
        return read

    def _mask(self, layout: Layout, kind: torch.dtype) -> torch.Tensor | None:
        """What is added to the scores, (tokens, tokens); None for one sequence, which sees what stands before."""
        mask = layout.inputs.get("attention_mask")
        return None if mask is None else mask[0, 0].to(torch.float32 if self._base.shape.bias else kind)

    def _turns(self, places: torch.Tensor) -> Turns:
        cos, sin = self._rotary.between(0, int(places.max()) + 1)
        return Turns(cos[places][:, None], sin[places][:, None])

    # The output head

    def _normed(self, states: torch.Tensor) -> torch.Tensor:
        return normed(states, self._base.weights.norm, self._base.shape.epsilon)

    def _losses_back(self, hidden: torch.Tensor, sizes: Sequence[int], loss_of: LossOf) -> torch.Tensor:
        """The gradient of ``hidden`` (supervised, hidden), of the losses of its pieces."""
        most = max(1, HEAD_BYTES // (4 * self._base.shape.vocabulary))
        most = max(most // _HEAD_STEP * _HEAD_STEP, min(most, _HEAD_STEP))
        grad, bounds = torch.zeros_like(hidden), [0, *accumulate(sizes)]
        first = 0
        while first < len(sizes):
            last = first + 1
            while last < len(sizes) and bounds[last + 1] - bounds[first] <= most:
                last += 1
            rows = slice(bounds[first], bounds[last])
            logits = self._logits_into(self._room(rows.stop - rows.start, most), hidden[rows])
            for index, piece in enumerate(logits.split(list(sizes[first:last])), first):
                self._check()
                with torch.enable_grad():
                    leaf = piece.detach().requires_grad_()
                    [slope] = torch.autograd.grad(loss_of(index, leaf), [leaf])
                if slope.data_ptr() != piece.data_ptr():
                    piece.copy_(slope)
            self._add_through_head(grad[rows], logits)
            first = last
        return grad

    def _room(self, predictions: int, most: int) -> torch.Tensor:
        """For the logits of so many, (predictions, vocab), which stays: the system would clear it each time."""
        vocabulary = self._base.shape.vocabulary
        if self._logits.numel() < predictions * vocabulary:
            self._logits = torch.empty(max(predictions, most) * vocabulary)
        return self._logits[: predictions * vocabulary].view(predictions, vocabulary)

    def _add_through_head(self, grad: torch.Tensor, slopes: torch.Tensor) -> None:
        """Add to ``grad`` (rows, hidden) what the head makes of ``slopes`` (rows, vocab) on the way back."""
        kind, rows = self._base.products, len(grad)
        added = self._added(rows)
        for columns, block in self._stored.head(kind):
            self._check()
            grad += (functional.pad(slopes[:, columns].to(kind), (0, 0, 0, added)) @ block)[:rows]

    def _added(self, predictions: int) -> int:
        """How many rows of zeros make a size that comes again."""
        return 0 if self._base.products == torch.float32 else -predictions % _HEAD_STEP


def _size_above(tokens: int, least: int = _STEP) -> int:
    """The smallest size that holds so many, a multiple of ``least`` at least."""
    step = max(least, 1 << max(0, (tokens - 1).bit_length() - 3))
    return -(-tokens // step) * step


def _lay(sequences: Sequence[Ids]) -> Layout:
    """As a tree; a long one alone gets no mask, which would have its length squared."""
    if len(sequences) > 1 or len(sequences[0]) <= LONG:
        return lay_in_tree(sequences, torch.float32, torch.device("cpu"))
    [ids] = sequences
    places = torch.arange(len(ids))
    return Layout({"input_ids": torch.tensor([ids]), "position_ids": places[None]}, (places,))
