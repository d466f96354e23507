"""Wearing an adapter: exact, side by side, scaled, and never a trace on the base."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch

from lora_chat.adapters.verify import VerifiedAdapter, load_verified
from lora_chat.errors import RefusedError
from lora_chat.models.attach import count_modules, lora_layers, set_scale, twin, wear
from tests.adapters.conftest import MODULES, SIGNATURE, config, llama, original, tensors, write_adapter

__all__ = ["llama", "original"]  # fixtures
PROMPT = torch.arange(1, 25).reshape(2, 12)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=PROMPT).logits
    return found


def fingerprint(model: torch.nn.Module) -> str:
    """Everything of a model that could change: bytes, flags, modules, hooks, config."""
    digest = hashlib.sha256()
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        digest.update(f"{name} {tensor.requires_grad} {tensor.data_ptr()} {tensor.grad is None}".encode())
        digest.update(tensor.detach().numpy().tobytes())
    for name, module in model.named_modules():
        digest.update(f"{name} {type(module)} {module.training} {len(module._forward_hooks)}".encode())
    digest.update(repr(sorted(vars(model))).encode() + repr(getattr(model, "config", "")).encode())
    return digest.hexdigest()


@pytest.fixture
def adapters(tmp_path: Path) -> tuple[VerifiedAdapter, VerifiedAdapter]:
    first = write_adapter(tmp_path / "first")
    second = write_adapter(
        tmp_path / "second",
        config(r=2, target_modules=["up_proj", "o_proj"], use_rslora=True),
        tensors(rank=2, targets=("up_proj", "o_proj"), seed=1),
    )
    return load_verified(first, SIGNATURE), load_verified(second, SIGNATURE)


def test_the_base_is_bit_identical_before_and_after(
    llama: Any, adapters: tuple[VerifiedAdapter, VerifiedAdapter]
) -> None:
    llama.requires_grad_(True)  # PEFT freezes what it wraps; not this
    before, said = fingerprint(llama), logits(llama)
    worn = wear(llama, adapters[0], "x1")
    set_scale(worn, 2.0)
    assert not torch.equal(logits(worn), said)
    assert fingerprint(llama) == before
    assert torch.equal(logits(llama), said)


def test_two_worn_adapters_do_not_mix(llama: Any, adapters: tuple[VerifiedAdapter, VerifiedAdapter]) -> None:
    alone = [logits(wear(llama, adapter, "x1")) for adapter in adapters]
    both = [wear(llama, adapter, "x1") for adapter in adapters]
    for _ in range(3):
        for worn, expected in zip(both, alone, strict=True):
            assert torch.equal(logits(worn), expected)
    assert not torch.equal(alone[0], alone[1])


def test_weights_are_shared_and_everything_is_frozen(
    llama: Any, adapters: tuple[VerifiedAdapter, VerifiedAdapter]
) -> None:
    worn = wear(llama, adapters[0], "x1")
    mine = {parameter.data_ptr() for parameter in worn.parameters()}
    assert {parameter.data_ptr() for parameter in llama.parameters()} <= mine
    assert not any(parameter.requires_grad for parameter in worn.parameters())
    assert not any(module.training for module in worn.modules())


def test_a_twin_keeps_ties_and_leaves_flags_and_gradients_alone(llama: Any) -> None:
    other = twin(llama)
    assert other.lm_head.weight is other.model.embed_tokens.weight
    assert other.lm_head.weight.data_ptr() == llama.lm_head.weight.data_ptr()
    other.requires_grad_(True)
    torch.autograd.backward(other(input_ids=PROMPT).logits.sum())
    assert all(each.grad is None and not each.requires_grad for each in llama.parameters())
    assert torch.equal(logits(other), logits(llama))


def test_scale_0_is_the_base_and_1_comes_back_without_drift(
    llama: Any, adapters: tuple[VerifiedAdapter, VerifiedAdapter]
) -> None:
    for adapter in adapters:
        worn = wear(llama, adapter, "x1")
        full = logits(worn)
        set_scale(worn, 0.0)
        assert torch.equal(logits(worn), logits(llama))
        for scale in (0.3, 0.7, -1.0, 0.3, 1.0):
            set_scale(worn, scale)
        assert torch.equal(logits(worn), full)


def test_scale_one_half_is_peft_with_half_the_scaling(
    llama: Any, adapters: tuple[VerifiedAdapter, VerifiedAdapter]
) -> None:
    from peft import PeftModel

    worn = wear(llama, adapters[0], "x1")
    set_scale(worn, 0.5)
    plain = PeftModel.from_pretrained(copy.deepcopy(llama), str(adapters[0].files.folder)).eval()
    for layer in lora_layers(plain).values():
        layer.scaling["default"] *= 0.5
    assert torch.equal(logits(worn), logits(plain))


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), 1e9])
def test_an_absurd_scale_is_refused(
    scale: float, llama: Any, adapters: tuple[VerifiedAdapter, VerifiedAdapter]
) -> None:
    with pytest.raises(RefusedError, match="scale must lie between"):
        set_scale(wear(llama, adapters[0], "x1"), scale)


def test_wearing_draws_no_random_numbers(llama: Any, adapters: tuple[VerifiedAdapter, VerifiedAdapter]) -> None:
    before = torch.get_rng_state()
    wear(llama, adapters[0], "x1")
    assert torch.equal(torch.get_rng_state(), before)


def test_another_base_than_the_verified_one_is_refused(
    llama: Any, adapters: tuple[VerifiedAdapter, VerifiedAdapter]
) -> None:
    llama.model.layers[1].self_attn.q_proj = torch.nn.Linear(32, 40)
    with pytest.raises(RefusedError, match="where this base needs"):
        wear(llama, adapters[0], "x1")
    llama.model.layers = llama.model.layers[:1]
    with pytest.raises(RefusedError, match="does not fit the loaded base"):
        wear(llama, adapters[0], "x1")


def test_modules_are_counted_as_the_signature_does(
    llama: Any, adapters: tuple[VerifiedAdapter, VerifiedAdapter]
) -> None:
    assert count_modules(llama) == len(MODULES)
    assert count_modules(wear(llama, adapters[0], "x1").get_base_model()) == len(MODULES)
