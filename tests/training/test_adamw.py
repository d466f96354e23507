"""AdamW beside torch's own, number for number."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lora_chat.training.adamw import AdamW


def weights() -> list[nn.Parameter]:
    draw = torch.Generator().manual_seed(1)
    return [nn.Parameter(torch.randn(size, generator=draw)) for size in ((3, 5), (7, 2), (4,))]


def gradients(step: int) -> list[torch.Tensor | None]:
    draw = torch.Generator().manual_seed(100 + step)
    found = [torch.randn(size, generator=draw) for size in ((3, 5), (7, 2), (4,))]
    return [found[0], found[1] * 1e-4, None if step == 2 else found[2]]


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_it_steps_as_torchs_does(decay: float) -> None:
    ours, theirs = weights(), weights()
    mine, peer = AdamW(ours, decay), torch.optim.AdamW(theirs, weight_decay=decay, foreach=False)
    for step, rate in enumerate((1e-3, 2e-3, 2e-3, 1e-4)):
        for one, other, gradient in zip(ours, theirs, gradients(step), strict=True):
            one.grad, other.grad = (None if gradient is None else gradient.clone() for _ in range(2))
        for group in peer.param_groups:
            group["lr"] = rate
        mine.step(rate)
        peer.step()
        assert all(each.grad is None for each in ours)
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)


def test_one_that_goes_on_is_one_that_never_stopped() -> None:
    whole, parts = weights(), weights()
    one, other = AdamW(whole, 0.1), AdamW(parts, 0.1)
    for step in range(4):
        for each, part, gradient in zip(whole, parts, gradients(step), strict=True):
            each.grad = part.grad = gradient
        one.step(1e-3)
        again = AdamW(parts, 0.1)
        again.put_back({name: tensor.clone() for name, tensor in other.tensors().items()})
        other = again
        other.step(1e-3)
    assert all(map(torch.equal, whole, parts))
    assert (
        one.tensors().keys()
        == other.tensors().keys()
        == {f"{name}.{i}" for name in ("step", "exp_avg", "exp_avg_sq") for i in range(3)}
    )
