"""A weighted sum of adapters is one adapter, to the last bit of float32 that the sum allows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lora_chat.adapters.mixture import Share, is_mixture, mixed, read_shares, written
from lora_chat.adapters.verify import verified
from lora_chat.adapters.weights import AdapterFiles, read_adapter
from lora_chat.errors import RefusedError
from lora_chat.models.attach import wear
from tests.adapters.conftest import MODULES, SIGNATURE, config, tensors, write_adapter
from tests.adapters.test_honest import as_dtype, logits, saved_by_peft


def deltas(files: AdapterFiles) -> dict[str, np.ndarray[Any, Any]]:
    """What it adds to each module's weight, (out, in), in float64."""
    return {
        name: module.scaling * files.numbers(module.b).astype(np.float64) @ files.numbers(module.a).astype(np.float64)
        for name, module in files.layout.modules.items()
    }


def test_it_changes_each_module_by_the_weighted_sum(llama: Any, tmp_path: Path) -> None:
    one = saved_by_peft(llama, tmp_path / "one", r=4, lora_alpha=8)
    two = saved_by_peft(llama, tmp_path / "two", r=7, use_rslora=True, target_modules=["v_proj", "up_proj"])
    three = saved_by_peft(llama, tmp_path / "three", rank_pattern={"q_proj": 2}, alpha_pattern={"v_proj": 3})
    as_dtype(torch.bfloat16)(two)
    parts = [(read_adapter(one), 0.7), (read_adapter(two), -0.25), (read_adapter(three), 1.5)]
    mixture = mixed(parts, "mix")
    expected = {name: np.zeros(shape) for name, shape in MODULES.items()}
    for files, weight in parts:
        for name, delta in deltas(files).items():
            expected[name] += weight * delta
    found = deltas(mixture)
    assert set(found) == {name for name, delta in expected.items() if delta.any()}
    for name, delta in found.items():
        assert np.abs(delta - expected[name]).max() < 1e-5 * np.abs(expected[name]).max()


def test_worn_it_answers_as_the_sum_of_merged_weights(llama: Any, tmp_path: Path) -> None:
    one = read_adapter(saved_by_peft(llama, tmp_path / "one", target_modules="all-linear"))
    two = read_adapter(saved_by_peft(llama, tmp_path / "two", r=2))
    mixture = mixed([(one, 0.5), (two, 2.0)], "mix")
    worn = logits(wear(llama, verified(mixture, SIGNATURE), "a1b2c3"))
    for files, weight in ((one, 0.5), (two, 2.0)):
        for name, delta in deltas(files).items():
            llama.get_submodule(name).weight += torch.tensor(weight * delta, dtype=torch.float32)
    assert (worn - logits(llama)).abs().max() < 1e-4


def test_peft_loads_what_was_mixed(llama: Any, tmp_path: Path) -> None:
    from peft import PeftModel

    parts = [(read_adapter(saved_by_peft(llama, tmp_path / "one", r=4)), 0.7)]
    parts.append((read_adapter(saved_by_peft(llama, tmp_path / "two", r=3, target_modules=["v_proj"])), 0.3))
    mixture = mixed(parts, "mix")
    folder = write_adapter(tmp_path / "mixed", mixture.config, mixture.weights)
    worn = logits(wear(llama, verified(mixture, SIGNATURE), "a1b2c3"))
    assert np.array_equal(worn.numpy(), logits(PeftModel.from_pretrained(llama, str(folder)).eval()).numpy())


def test_the_same_parts_make_the_same_bytes(tmp_path: Path) -> None:
    parts = [
        (read_adapter(write_adapter(tmp_path / name, None, tensors(seed=seed))), 0.5)
        for seed, name in enumerate(("one", "two"))
    ]
    assert mixed(parts, "mix").sha256 == mixed(parts, "mix").sha256
    assert mixed(parts, "mix").config == mixed(parts, "mix").config


def test_ranks_that_are_too_many_together_are_refused(tmp_path: Path) -> None:
    rank = config(r=200)
    parts = [(read_adapter(write_adapter(tmp_path / name, rank, tensors(200))), 0.5) for name in ("one", "two")]
    with pytest.raises(RefusedError, match="one, two have the rank 400 together, where at most 256 can be worn"):
        mixed(parts, "mix")


def test_adapters_for_different_bases_are_refused(tmp_path: Path) -> None:
    wide = {
        name: (dtype, tuple(each * 2 if each != 4 else each for each in shape), data * 2)
        for name, (dtype, shape, data) in tensors().items()
    }
    parts = [
        (read_adapter(write_adapter(tmp_path / "one")), 0.5),
        (read_adapter(write_adapter(tmp_path / "two", None, wide)), 0.5),
    ]
    with pytest.raises(RefusedError, match='"one" and "two" cannot be mixed'):
        mixed(parts, "mix")


@pytest.mark.parametrize("text", ["a=0.7 b=0.3", "a=0.7+b=0.3", "a=0.7, b=0.3", " a=7e-1  +  b=.3 ", "a=0.7\nb=3e-1"])
def test_shares_are_read(text: str) -> None:
    assert read_shares(text) == (Share("a", 0.7), Share("b", 0.3))


def test_what_is_written_is_read_again() -> None:
    shares = (Share("a", 1 / 3), Share("b-2.x", -0.5), Share("c", 1e-9), Share("d", 12345.678e-3))
    assert read_shares(written(shares)) == shares
    assert written(read_shares("a=0.7 b=0.3")) == "a=0.7+b=0.3"
    assert is_mixture(written(shares))


@pytest.mark.parametrize("name", ["a", "a=0.7", "a=1e+1", "support-bot", "a+", ""])
def test_one_adapter_is_no_mixture(name: str) -> None:
    assert not is_mixture(name)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a=0.7", "two adapters or more"),
        ("", "two adapters or more"),
        ("a=0.7 a=0.3", "twice"),
        ("a b", '"a" is no share'),
        ("a=0.7 b=x", '"b=x" is no share'),
        ("a=0.7 b=nan", '"b=nan" is no share'),
        ("a=0.7 b=17", "a number from -16 to 16"),
        ("a=0.7 b=17", '"b=17" is no share'),
        (" ".join(f"a{number}=1" for number in range(9)), "at most 8"),
    ],
)
def test_what_is_no_mixture_is_refused(text: str, why: str) -> None:
    with pytest.raises(RefusedError, match=why) as refused:
        read_shares(text)
    assert str(refused.value).endswith(".")


def test_the_config_is_json_that_names_every_module(tmp_path: Path) -> None:
    parts = [(read_adapter(write_adapter(tmp_path / name)), 0.5) for name in ("one", "two")]
    found = json.loads(mixed(parts, "mix").config)
    assert found["r"] == found["lora_alpha"] == 8
    assert found["rank_pattern"] == {}
    assert found["target_modules"] == sorted(name for name in MODULES if name.endswith(("q_proj", "v_proj")))
