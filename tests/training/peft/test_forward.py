"""Layers and head apart: the same losses and gradients as all at once, with few logits in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.nn import functional

from lora_chat.models.attach import twin
from lora_chat.models.base_model import BaseModel, load_base_model
from lora_chat.models.installed import InstalledBase
from lora_chat.models.prompt import Example
from lora_chat.models.watch import StopAsked, find_layers
from lora_chat.training.dataset import HEAD_ROWS, Batch, in_pieces, pad, supervised_targets
from lora_chat.training.peft.forward import Forward, supervised_logits
from tests.training.preparing import learn, nothing

LONG = 64
CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=["tiny_llama", "tiny_opt"])
def base(request: pytest.FixtureRequest) -> BaseModel:
    installed: InstalledBase = request.getfixturevalue(request.param)
    return load_base_model(installed.name, installed.folder, CPU)


@pytest.fixture(autouse=True)
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of this length is a long sequence here: the tiny bases have short windows."""
    monkeypatch.setattr("lora_chat.training.peft.forward.LONG", LONG)


def batch_of(*lengths: int) -> Batch:
    draw = torch.Generator().manual_seed(sum(lengths))
    examples = []
    for length in lengths:
        ids = torch.randint(3, 90, (length,), generator=draw).tolist()
        examples.append(Example(tuple(ids), tuple(index >= length // 3 for index in range(length))))
    return pad(examples, CPU)


def lessons_of(*lengths: int) -> Batch:
    """As ``batch_of``, but a system prompt stands before each, and the last two ask the same."""
    system, draw = tuple(range(3, 23)), torch.Generator().manual_seed(0)
    rows = [(*system, *torch.randint(3, 90, (length,), generator=draw).tolist()) for length in lengths]
    rows.append((*rows[-1][:-2], 5, 6, 7))
    return pad([Example(row, tuple(index >= len(system) + 3 for index in range(len(row)))) for row in rows], CPU)


def trainable(base: BaseModel) -> Any:
    """With an adapter that already does something."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return get_peft_model(
            twin(base.tree),
            LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False),
        ).eval()


def gradients(tree: Any) -> Iterator[torch.Tensor]:
    for parameter in tree.parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None
            yield parameter.grad


BATCHES = [(40,), (12, 15, 20), (LONG + 40,), (100, 90, 100)]


@pytest.mark.parametrize("lengths", BATCHES, ids=str)
def test_loss_and_gradients_are_those_of_all_logits_at_once(base: BaseModel, lengths: tuple[int, ...]) -> None:
    batch = batch_of(*lengths)
    plain, apart = trainable(base), trainable(base)
    expected = functional.cross_entropy(supervised_logits(plain, batch), supervised_targets(batch), reduction="sum")
    torch.autograd.backward(expected)
    found = learn(Forward(apart, nothing), batch)
    assert found == pytest.approx(float(expected.detach()), rel=1e-5)
    for one, other in zip(gradients(plain), gradients(apart), strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4 * float(one.abs().max()))


def test_what_lessons_share_goes_through_the_layers_once_and_no_gradient_changes(base: BaseModel) -> None:
    batch = lessons_of(12, 9, 20)
    plain, shared, seen = trainable(base), trainable(base), list[int]()
    expected = functional.cross_entropy(supervised_logits(plain, batch), supervised_targets(batch), reduction="sum")
    torch.autograd.backward(expected)
    forward = Forward(shared, nothing)
    with torch.no_grad():
        forward.hidden(batch)  # looks at what the base can do
    find_layers(shared)[0].register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].shape[:2].numel()))
    assert learn(forward, batch) == pytest.approx(float(expected.detach()), rel=1e-5)
    assert seen == [20 + 12 + 9 + 20 + 3]
    assert batch.ids.numel() == 4 * 41
    for one, other in zip(gradients(plain), gradients(shared), strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4 * float(one.abs().max()))


def test_lessons_longer_than_a_window_for_text_beside_pictures_attend_as_far_as_that(base: BaseModel) -> None:
    """What is looked at is shorter than the window, so that it cannot tell."""
    shared, batch = trainable(base), lessons_of(100, 90)
    config = shared.get_base_model().config
    forward = Forward(shared, nothing)
    with torch.no_grad():
        forward.hidden(batch)
    assert "position_ids" in forward._layout(batch.sequences).inputs
    config.get_text_config = lambda: SimpleNamespace(sliding_window=80)
    try:
        rows = forward._layout(batch.sequences).inputs
        config.get_text_config = lambda: SimpleNamespace(sliding_window=120)
        tree = forward._layout(batch.sequences).inputs
    finally:
        del config.get_text_config
    assert "position_ids" not in rows
    assert "position_ids" in tree


class Unmoved(torch.nn.Module):
    """A decoder that goes its own way with positions."""

    def __init__(self, decoder: Any) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, input_ids: Any, position_ids: Any = None, **named: Any) -> Any:
        if position_ids is not None:
            named["position_ids"] = torch.arange(input_ids.shape[1])[None]
        return self.decoder(input_ids=input_ids, **named)


def test_a_base_that_cannot_run_a_tree_runs_rows(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, plain, other = lessons_of(12, 9, 20), trainable(base), trainable(base)
    expected = functional.cross_entropy(supervised_logits(plain, batch), supervised_targets(batch), reduction="sum")
    causal = other.get_base_model()
    unmoved = Unmoved(causal.get_decoder())
    monkeypatch.setattr(causal, "get_decoder", lambda: unmoved)
    assert learn(Forward(other, nothing), batch) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_no_more_than_a_few_rows_of_logits_are_made_at_once(base: BaseModel) -> None:
    tree, seen = trainable(base), list[int]()
    forward = Forward(tree, nothing)
    learn(forward, batch_of(20))  # looks at what the base can do
    tree.get_output_embeddings().register_forward_hook(lambda _module, _inputs, output: seen.append(output.numel()))
    batch = batch_of(120, 90, 60)
    learn(forward, batch)
    vocabulary = tree.get_output_embeddings().weight.shape[0]
    assert max(seen) <= HEAD_ROWS * vocabulary
    assert sum(seen) == len(supervised_targets(batch)) * vocabulary, "and each once"


def test_of_a_long_sequence_only_what_goes_into_each_layer_is_kept(base: BaseModel) -> None:
    forward = Forward(trainable(base), nothing)
    forward.hidden(batch_of(20))

    def kept(batch: Batch) -> float:
        """Numbers that the backward holds, for each token."""
        sizes = dict[int, int]()

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            if not isinstance(tensor, torch.nn.Parameter):
                sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes() // 4
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            hidden = forward.hidden(batch)
        assert hidden.requires_grad
        return sum(sizes.values()) / batch.tokens

    assert kept(batch_of(LONG + 10)) < kept(batch_of(LONG - 10)) / 2


class Capped(torch.nn.Module):
    """A base whose logits are more than its head's product, as Gemma's are."""

    def __init__(self, tree: Any) -> None:
        super().__init__()
        self.tree = tree

    def forward(self, **named: Any) -> Any:
        out = self.tree(**named)
        out.logits = torch.tanh(out.logits * 3) * 2
        return out

    def get_decoder(self) -> Any:
        return self.tree.get_decoder()

    def get_output_embeddings(self) -> Any:
        return self.tree.get_output_embeddings()


class Whole(torch.nn.Module):
    """A base that does not say what its parts are."""

    def __init__(self, tree: Any) -> None:
        super().__init__()
        self.tree = tree

    def forward(self, **named: Any) -> Any:
        return self.tree(**named)


@pytest.mark.parametrize("around", [Capped, Whole])
def test_a_base_whose_logits_are_no_plain_product_is_run_as_one(
    base: BaseModel, around: Callable[[Any], torch.nn.Module]
) -> None:
    plain, other = trainable(base), trainable(base)
    batch = batch_of(50, 30)
    expected = functional.cross_entropy(
        supervised_logits(around(plain), batch), supervised_targets(batch), reduction="sum"
    )
    torch.autograd.backward(expected)
    assert learn(Forward(around(other), nothing), batch) == pytest.approx(float(expected.detach()), rel=1e-5)
    for one, found in zip(gradients(plain), gradients(other), strict=True):
        assert torch.allclose(one, found, rtol=1e-3, atol=1e-4 * float(one.abs().max()))


def test_it_can_be_stopped_between_two_pieces(base: BaseModel) -> None:
    batch, calls = batch_of(120, 120), list[int]()

    def check() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise StopAsked

    with pytest.raises(StopAsked):
        learn(Forward(trainable(base), check), batch)
    assert len(calls) == 3


def test_pieces_are_all_of_it() -> None:
    for count in (0, 1, HEAD_ROWS, HEAD_ROWS + 1, 5 * HEAD_ROWS - 1):
        assert sum(in_pieces(count)) == count
        assert all(0 < size <= HEAD_ROWS for size in in_pieces(count))


def test_a_piece_is_as_large_as_the_next() -> None:
    assert in_pieces(HEAD_ROWS + 1) == [HEAD_ROWS // 2, HEAD_ROWS // 2 + 1]
    assert in_pieces(3 * HEAD_ROWS) == [HEAD_ROWS] * 3
