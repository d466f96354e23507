"""Layers below the first trained one: run once for each known sequence, and no loss or gradient changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.nn import functional

from lora_chat.models.attach import twin
from lora_chat.models.base_model import BaseModel, load_base_model
from lora_chat.models.installed import InstalledBase
from lora_chat.models.prompt import Example
from lora_chat.models.watch import StopAsked, find_layers, watch_layers
from lora_chat.training import lower
from lora_chat.training.dataset import pad, supervised_targets
from lora_chat.training.lower_file import LowerFile
from lora_chat.training.peft.forward import Forward, supervised_logits
from lora_chat.training.peft.lower_layers import LowerLayers
from tests.training.preparing import learn, nothing

CPU = torch.device("cpu")
SYSTEM = tuple(range(3, 23))


@pytest.fixture(scope="module", params=["tiny_llama", "tiny_opt"])
def base(request: pytest.FixtureRequest) -> BaseModel:
    installed: InstalledBase = request.getfixturevalue(request.param)
    return load_base_model(installed.name, installed.folder, CPU)


def lesson(length: int) -> Example:
    draw = torch.Generator().manual_seed(length)
    ids = (*SYSTEM, *torch.randint(23, 90, (length,), generator=draw).tolist())
    return Example(ids, tuple(index >= len(SYSTEM) + 3 for index in range(len(ids))))


LESSONS = [lesson(12), lesson(9), lesson(20)]


def trainable(base: BaseModel) -> Any:
    """With an adapter on the last layer that already does something."""
    last = len(find_layers(base.tree)) - 1
    assert last > 0
    config = LoraConfig(
        r=4,
        target_modules=[name for name, each in base.tree.named_modules() if _is_linear(each) and f".{last}." in name],
        task_type="CAUSAL_LM",
        init_lora_weights=False,
    )
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return get_peft_model(twin(base.tree), config).eval()


def _is_linear(module: torch.nn.Module) -> bool:
    return isinstance(module, torch.nn.Linear)


def forward_of(tree: Any, *known: Example) -> Forward:
    """That has looked at what the base can do."""
    forward = Forward(tree, nothing)
    forward.look(pad([lesson(5), lesson(6)], CPU))
    forward.lower.know([each.ids for each in known], 60)
    return forward


def taken(tree: Any) -> list[torch.Tensor]:
    """The gradients, which are cleared."""
    weights = [each for each in tree.parameters() if each.requires_grad]
    found = [each.grad.clone() for each in weights if each.grad is not None]
    assert len(found) == len(weights)
    for each in weights:
        each.grad = None
    return found


def lowest_runs(tree: Any) -> list[int]:
    """Fills with the number of tokens, padding included, that go through the lowest layer, at each run of it."""
    seen: list[int] = []
    lowest: Any = find_layers(tree)[0]
    lowest.self_attn.register_forward_hook(lambda _module, _inputs, output: seen.append(output[0].shape[:-1].numel()))
    return seen


@pytest.mark.parametrize("known", [LESSONS, LESSONS[:2], []], ids=["all", "some", "none"])
def test_loss_and_gradients_are_those_of_all_layers_at_every_step(base: BaseModel, known: list[Example]) -> None:
    plain, tree = trainable(base), trainable(base)
    forward = forward_of(tree, *known)
    for lessons in (LESSONS, LESSONS[1:], LESSONS[2:], LESSONS):
        batch = pad(lessons, CPU)
        expected = functional.cross_entropy(supervised_logits(plain, batch), supervised_targets(batch), reduction="sum")
        torch.autograd.backward(expected)
        assert learn(forward, batch) == pytest.approx(float(expected.detach()), rel=1e-5)
        for one, other in zip(taken(plain), taken(tree), strict=True):
            assert torch.allclose(one, other, rtol=1e-3, atol=1e-4 * float(one.abs().max()))


def test_what_is_known_goes_through_the_lower_layers_once(base: BaseModel) -> None:
    tree = trainable(base)
    forward, seen = forward_of(tree, *LESSONS), lowest_runs(tree)
    learn(forward, pad(LESSONS[:1], CPU))
    assert len(seen) == 1
    learn(forward, pad(LESSONS, CPU))
    first_of_all = list(seen)
    for _ in range(3):
        learn(forward, pad(LESSONS[::-1], CPU))
    assert seen == first_of_all
    learn(forward, pad([LESSONS[0], lesson(30)], CPU))
    assert seen == [*first_of_all, len(lesson(30).ids)]


def test_more_than_can_be_kept_is_made_again(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lower, "HELD_TOKENS", len(LESSONS[0].ids))
    tree = trainable(base)
    forward, seen = forward_of(tree, *LESSONS), lowest_runs(tree)
    for _ in range(3):
        learn(forward, pad(LESSONS[:1], CPU))
    assert len(seen) == 1
    for _ in range(3):
        learn(forward, pad(LESSONS[:2], CPU))
    assert len(seen) == 4


def test_what_cannot_be_read_back_is_made_again(
    base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = trainable(base)
    forward, seen = forward_of(tree), lowest_runs(tree)
    forward.lower.keep_in(tmp_path)
    forward.lower.know([each.ids for each in LESSONS], 60)
    before = forward.hidden(pad(LESSONS, CPU)).detach()
    made = len(seen)
    assert torch.equal(forward.hidden(pad(LESSONS, CPU)), before)
    assert len(seen) == made

    def fails(*_: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(LowerFile, "_read", fails)
    assert torch.equal(forward.hidden(pad(LESSONS, CPU)), before)
    assert len(seen) > made


def test_states_do_not_depend_on_what_was_asked_for_before(base: BaseModel) -> None:
    """Or a training that goes on would find other bits than one that never stopped."""
    found = []
    for order in ([LESSONS], [LESSONS[1:2], LESSONS[2:], LESSONS], [LESSONS[::-1], LESSONS]):
        forward = forward_of(trainable(base), *LESSONS)
        for lessons in order:
            hidden = forward.hidden(pad(lessons, CPU))
        found.append(hidden.detach())
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_stopped_in_the_lower_layers_it_can_be_asked_again(base: BaseModel) -> None:
    tree, stops = trainable(base), [True]

    def check() -> None:
        if stops[0]:
            raise StopAsked

    expected = forward_of(trainable(base), *LESSONS).hidden(pad(LESSONS, CPU))
    forward = forward_of(tree, *LESSONS)
    watch_layers(tree, check)
    with pytest.raises(StopAsked):
        forward.hidden(pad(LESSONS, CPU))
    stops[0] = False
    assert torch.equal(forward.hidden(pad(LESSONS, CPU)), expected)


def test_where_an_upper_layer_needs_more_of_the_lower_ones_all_are_run(base: BaseModel) -> None:
    """Some bases hand keys, or the first layer's values, past the layers between."""
    plain, tree = trainable(base), trainable(base)
    for each in (plain, tree):
        passed: dict[str, torch.Tensor] = {}
        decoder: Any = each.get_base_model().get_decoder()
        layers: list[Any] = [*find_layers(decoder)]
        decoder.register_forward_pre_hook(lambda _module, _inputs, passed=passed: passed.clear())
        layers[0].self_attn.register_forward_hook(
            lambda _module, _inputs, output, passed=passed: passed.update(values=output[0])
        )
        layers[-1].self_attn.register_forward_hook(
            lambda _module, _inputs, output, passed=passed: (output[0] + passed["values"], *output[1:])
        )
    batch = pad(LESSONS, CPU)
    expected = functional.cross_entropy(supervised_logits(plain, batch), supervised_targets(batch), reduction="sum")
    forward, seen = forward_of(tree, *LESSONS), lowest_runs(tree)
    for _ in range(2):
        assert learn(forward, batch) == pytest.approx(float(expected.detach()), rel=1e-5)
    assert len(seen) == 2


def test_an_adapter_of_every_layer_has_none_below(base: BaseModel) -> None:
    config = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    assert LowerLayers(find_layers(get_peft_model(twin(base.tree), config))).count == 0
    assert LowerLayers(find_layers(base.tree)).count == 0
