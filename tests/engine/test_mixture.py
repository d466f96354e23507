"""A mixture is worn as the sum that it is, on both paths, and leaves no trace on what is worn after it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lora_chat.adapters.mixture import mixed
from lora_chat.adapters.weights import read_adapter
from lora_chat.engine.kept import Kept
from lora_chat.engine.local import LocalEngine
from lora_chat.engine.protocol import Worn
from lora_chat.models.installed import InstalledBase
from tests.adapters.conftest import write_adapter
from tests.engine.conftest import Two, ask, make_adapter

IDS = list(range(3, 40))


def worn_logits(engine: LocalEngine, adapter: Worn | None) -> torch.Tensor:
    loaded = engine._load()
    with loaded.context(adapter, IDS) as context:
        return context.extend(IDS[len(context.ids) :], lambda: None).clone()


def merged(base: InstalledBase, parts: list[Worn]) -> torch.Tensor:
    """transformers' logits after each one's product was added to the weights."""
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(base.folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        for part in parts:
            files = read_adapter(part.folder)
            for name, module in files.layout.modules.items():
                delta = files.numbers(module.b) @ files.numbers(module.a)
                weight = model.get_submodule(name).weight
                weight += torch.from_numpy(np.float32(part.scale * module.scaling) * delta)
        logits: torch.Tensor = model(input_ids=torch.tensor([IDS])).logits[0, -1]
        return logits


@pytest.mark.parametrize(("name", "tolerance"), [("tiny_llama", 1e-3), ("tiny_opt", 1e-3)])
def test_the_logits_are_those_of_the_merged_sum(
    name: str, tolerance: float, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    base: InstalledBase = request.getfixturevalue(name)
    first = replace(make_adapter(tmp_path / "one", base, 1, rank=4, strength=0.1), scale=0.7)
    second = replace(make_adapter(tmp_path / "two", base, 2, rank=3, strength=0.1), scale=-0.4)
    engine = LocalEngine(base, Kept(tmp_path, tmp_path), "fp32")
    found = worn_logits(engine, replace(first, beside=(second,)))
    assert (found - merged(base, [first, second])).abs().max() <= tolerance
    assert (found - merged(base, [first])).abs().max() > 10 * tolerance
    engine.close()


def test_saved_it_answers_as_it_did_when_it_was_mixed(two: Two, tmp_path: Path) -> None:
    one, other = (make_adapter(tmp_path / name, two.base, seed) for seed, name in enumerate(("one", "other")))
    sum_of_both = mixed([(read_adapter(one.folder), 0.7), (read_adapter(other.folder), 0.3)], "both")
    folder = write_adapter(tmp_path / "both", sum_of_both.config, sum_of_both.weights)
    saved = Worn("both", folder, sum_of_both.sha256)
    mixture = replace(one, scale=0.7, beside=(replace(other, scale=0.3),))
    assert torch.equal(worn_logits(two.engine, mixture), worn_logits(two.other, saved))


def test_after_a_mixture_its_parts_and_the_base_are_what_they_were(two: Two, tmp_path: Path) -> None:
    one, other = (make_adapter(tmp_path / name, two.base, seed) for seed, name in enumerate(("one", "other")))
    before = two.engine.checksum()
    ask(two.engine, adapter=replace(one, scale=0.7, beside=(replace(other, scale=0.3),)))
    for worn in (None, one, other, replace(one, scale=0.7), replace(other, scale=0.3)):
        assert torch.equal(worn_logits(two.engine, worn), worn_logits(two.other, worn))
    assert two.engine.checksum() == before
