"""The frozen matrices of a base, from what replies are made with or from its file: the same bits either way."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lora_chat.decoder.compiled import load_unpack
from lora_chat.decoder.quantise import Packed, pack_int4, pack_int8, unpack
from lora_chat.engine.kept import Kept
from lora_chat.engine.loaded import Loaded
from lora_chat.models.installed import InstalledBase
from lora_chat.training.fast import stored
from lora_chat.training.fast.base import FastBase
from lora_chat.training.fast.stored import AsStored, FromPacked, Stored
from lora_chat.training.opening import trainee
from lora_chat.training.recipe import choose_recipe
from lora_chat.training.trainee import Trainee
from tests.conftest import installed
from tests.decoder.conftest import write_base
from tests.training.fast.test_trainee import lessons
from tests.training.preparing import learn, nothing

KINDS = (torch.float32, torch.bfloat16)


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kernels")


def without_loss(weight: torch.Tensor) -> torch.Tensor:
    """What packing in four bits makes of it, which packing again changes no more."""
    return unpack(pack_int4(weight))


@pytest.fixture(scope="module")
def quantised(tmp_path_factory: pytest.TempPathFactory) -> InstalledBase:
    """A base that was quantised once, as the embedded one was."""
    root = tmp_path_factory.mktemp("quantised")
    write_base(root / "tiny-once", "llama")
    file = root / "tiny-once" / "model.safetensors"
    tensors = load_file(file)
    for name, each in tensors.items():
        if "_proj" in name:
            tensors[name] = without_loss(each)
        if name == "lm_head.weight":
            tensors[name] = unpack(pack_int8(each))
    save_file(tensors, file, {"format": "pt"})
    return installed(root / "tiny-once", root / "home")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> InstalledBase:
    root = tmp_path_factory.mktemp("plain")
    write_base(root / "tiny-plain", "llama")
    return installed(root / "tiny-plain", root / "home")


def layer_of(stored: Stored, at: int, kind: torch.dtype = torch.float32) -> list[torch.Tensor]:
    """Its matrices, each of its own."""
    matrices = stored.layer(at, kind)
    return [matrices[place].clone() for place in range(7)]


def opened(base: InstalledBase, kernels: Path, folder: Path, precision: str = "auto") -> FastBase:
    found = Loaded(base, Kept(folder, kernels), precision).training_base()  # type: ignore[arg-type]
    assert isinstance(found, FastBase)
    return found


@pytest.mark.parametrize("pack", [pack_int4, pack_int8])
@pytest.mark.parametrize("shape", [(1, 32), (7, 96), (64, 576)])
def test_unpacking_gives_the_bits_that_packing_promised(
    kernels: Path, pack: Callable[[torch.Tensor], Packed], shape: tuple[int, int]
) -> None:
    weight = torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))
    weight[0, :16] *= 1000  # groups of very different size
    packed = pack(weight)
    assert packed.scales is not None
    minima = 0 if packed.minima is None else packed.minima.data_ptr()
    for kind in KINDS:
        made = torch.full(shape, float("nan"), dtype=kind)
        addresses = packed.values.data_ptr(), packed.scales.data_ptr(), minima, made.data_ptr()
        load_unpack(kernels)(int(packed.kind), *addresses, made.numel() // 32, made.element_size())
        assert torch.equal(made, unpack(packed).to(kind))
    assert [file.name.partition("-")[0] for file in kernels.iterdir()].count("unpack") == 1


def test_a_base_that_was_quantised_once_is_read_from_what_replies_are_made_with(
    quantised: InstalledBase, kernels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "HEAD_BLOCK", 10)
    base = opened(quantised, kernels, tmp_path)
    packed, mapped = base.stored(), AsStored(base.weights)
    assert isinstance(packed, FromPacked)
    order = list(range(base.shape.layers)) * 2
    random.Random(1).shuffle(order)
    for at in order:
        for kind in KINDS:
            assert all(map(torch.equal, layer_of(packed, at, kind), layer_of(mapped, at, kind)))
    for kind in KINDS:
        blocks = [(rows, block.clone()) for rows, block in packed.head(kind)]
        for (rows, block), (other_rows, other) in zip(blocks, mapped.head(kind), strict=True):
            assert rows == other_rows
            assert torch.equal(block, other)
        assert torch.equal(torch.cat([block for _, block in blocks]), base.weights.head.to(kind))
    ids = torch.tensor([4, 0, 4, 88])
    assert torch.equal(packed.embedded(ids), base.weights.embedding[ids])


@pytest.mark.parametrize("precision", ["auto", "int8", "int4", "fp32"])
def test_any_other_is_read_as_it_is_stored(plain: InstalledBase, kernels: Path, tmp_path: Path, precision: str) -> None:
    base = opened(plain, kernels, tmp_path, precision)
    assert isinstance(base.stored(), AsStored)
    assert base.stored().layer(0, torch.float32)[0].data_ptr() == base.weights.layers[0].matrices[0].data_ptr()


def test_weights_that_were_changed_since_are_not_taken_for_the_packed_ones(
    quantised: InstalledBase, kernels: Path, tmp_path: Path
) -> None:
    base = opened(quantised, kernels, tmp_path / "kept")
    assert base.exact is not None
    root = tmp_path / "tiny-once"
    root.mkdir()
    for file in quantised.folder.iterdir():
        (root / file.name).write_bytes(file.read_bytes())
    tensors = load_file(root / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight"][0, 3] += 0.25
    save_file(tensors, root / "model.safetensors", {"format": "pt"})
    changed = replace(quantised, folder=root)  # and its hash is still the other's
    assert opened(changed, kernels, tmp_path / "kept").exact is None


def test_without_a_compiler_it_is_read_from_the_file(
    quantised: InstalledBase, kernels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = opened(quantised, kernels, tmp_path)

    def fails(_: Path) -> None:
        raise RuntimeError("no such processor")

    monkeypatch.setattr(stored, "load_unpack", fails)
    assert isinstance(base.stored(), AsStored)


def gradients_of(learner: Trainee) -> list[torch.Tensor]:
    """Those of one step."""
    learn(learner, lessons(20, 12))
    return [each.grad for each in learner.weights if each.grad is not None]


@pytest.mark.parametrize("products", KINDS)
def test_a_step_is_the_same_to_the_bit(
    quantised: InstalledBase, kernels: Path, tmp_path: Path, products: torch.dtype
) -> None:
    base, recipe = replace(opened(quantised, kernels, tmp_path), products=products), choose_recipe(3, 1000)
    ways = [base, replace(base, exact=None)]
    assert [type(each.stored()) for each in ways] == [FromPacked, AsStored]
    one, other = (gradients_of(trainee(each, quantised.signature, recipe, None, nothing)) for each in ways)
    assert len(one) == len(other) > 0
    assert all(map(torch.equal, one, other))


def test_what_is_not_needed_goes_from_memory_and_comes_again(
    plain: InstalledBase, kernels: Path, tmp_path: Path
) -> None:
    base = opened(plain, kernels, tmp_path, "fp32")
    mapped = AsStored(base.weights)
    before = layer_of(mapped, 1)
    mapped.let_go()
    assert all(map(torch.equal, layer_of(mapped, 1), before))


def test_some_rows_of_a_packed_matrix_are_those_rows() -> None:
    packed = pack_int4(torch.randn(6, 64))
    assert torch.equal(unpack(packed.between(slice(2, 5))), unpack(packed)[2:5])
    whole = pack_int8(torch.randn(3, 32))
    assert torch.equal(unpack(whole.between(slice(1))), unpack(whole)[:1])
