"""The fast path says what transformers and plain PEFT say, however its tokens come and whoever wears what."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lora_chat.adapters.verify import load_verified
from lora_chat.config import Precision
from lora_chat.decoder.fast import open_fast
from lora_chat.decoder.keys_values import KeysValues
from lora_chat.decoder.lora import Outfit
from lora_chat.decoder.plan import BLOCK
from lora_chat.decoder.quantise import pack_int8, unpack
from lora_chat.decoder.rotary import Rotary
from lora_chat.decoder.shape import UnknownShape, read_shape
from lora_chat.decoder.step import Stepper
from lora_chat.errors import RefusedError
from lora_chat.models.attach import lora_layers
from lora_chat.models.installed import InstalledBase
from lora_chat.models.watch import StopAsked
from tests.conftest import installed
from tests.decoder.conftest import (
    KINDS,
    Open,
    draw,
    dress,
    load_unpacked,
    logits_of,
    make_parts,
    nothing,
    reference,
    write_base,
)
from tests.engine.conftest import make_adapter

IDS = draw(70)


def one_by_one(context: Any, ids: Sequence[int]) -> torch.Tensor:
    return torch.stack([context.extend([token], nothing).clone() for token in ids])


def in_parts(context: Any, ids: Sequence[int], sizes: Sequence[int]) -> torch.Tensor:
    """The last logits; the last of ``sizes`` may be cut short."""
    logits, start = torch.empty(0), 0
    for size in sizes:
        logits = context.extend(ids[start : start + size], nothing)
        start += size
    assert context.ids == list(ids)
    return logits


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    assert one.shape == other.shape
    assert one.isfinite().all()
    return float((one - other).abs().max())


# The bare base.


def test_the_logits_are_those_of_transformers(base: InstalledBase, opened: Open) -> None:
    parts = opened(base)
    expected = logits_of(reference(base), IDS)
    assert expected.std() > 0.1  # a base that says nothing would prove nothing
    assert apart(parts.read(IDS), expected) <= 1e-4
    assert apart(one_by_one(parts.decoder.begin(None, 1.0), IDS), expected) <= 1e-4
    assert apart(parts.decoder.begin(None, 1.0).extend(IDS, nothing), expected[-1]) <= 1e-4


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_quantised_logits_are_those_of_transformers_with_the_unpacked_weights(
    precision: Precision, base: InstalledBase, opened: Open
) -> None:
    parts, model = opened(base, precision), reference(base)
    bare = logits_of(model, IDS)
    load_unpacked(model, parts.form)
    expected = logits_of(model, IDS)
    assert apart(bare, expected) > 5e-3
    assert apart(parts.read(IDS), expected) <= 1e-3
    assert apart(one_by_one(parts.decoder.begin(None, 1.0), IDS), expected) <= 1e-3


@pytest.mark.parametrize("precision", ["fp32", "int8", "int4"])
def test_a_base_opened_as_the_engine_does_says_the_same(
    precision: Precision, llama: InstalledBase, opened: Open, kernels: Path, tmp_path: Path
) -> None:
    with closing(open_fast(llama.folder, "sha256:it", tmp_path, kernels, precision, never_encoded)) as decoder:
        assert precision in decoder.path
        found = decoder.begin(None, 1.0).extend(IDS, nothing, every=True)
    assert apart(found, opened(llama, precision).read(IDS)) <= 1e-4


def never_encoded(text: str) -> list[int]:
    raise AssertionError("it was measured")


def test_auto_measures_the_base_itself(llama: InstalledBase, kernels: Path, tmp_path: Path) -> None:
    with closing(open_fast(llama.folder, "sha256:it", tmp_path, kernels, "auto", lambda _: draw(600))):
        losses = json.loads((tmp_path / "decoding.json").read_text())["losses"]
    ids = draw(600)[:512]
    logits = logits_of(reference(llama), ids[:-1])
    expected = float(torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:])))
    assert losses["fp32"] == pytest.approx(expected, abs=1e-4)
    assert losses["int4"] != losses["fp32"]


@pytest.mark.parametrize("kind", ["qwen2", "bfloat16"])
def test_a_base_in_several_files_or_half_precision_says_what_transformers_does(
    kind: str, made: Callable[[str], InstalledBase], kernels: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    whole = made(kind)
    for dtype in (torch.float16, torch.bfloat16):
        folder = tmp_path / f"{kind}-{dtype}"
        model = AutoModelForCausalLM.from_pretrained(whole.folder, dtype=dtype)
        model.save_pretrained(folder, max_shard_size="50KB")
        assert len(list(folder.glob("*.safetensors"))) > 2
        expected = logits_of(model.float(), IDS)
        with closing(open_fast(folder, "sha256:it", tmp_path, kernels, "fp32", never_encoded)) as decoder:
            assert apart(decoder.begin(None, 1.0).extend(IDS, nothing, every=True), expected) <= 1e-4


# Worn.


def test_the_logits_of_a_worn_adapter_are_those_of_plain_peft(
    base: InstalledBase, opened: Open, tmp_path: Path
) -> None:
    worn, parts = make_adapter(tmp_path / "red", base, 1), opened(base)
    outfit = dress(parts, base, worn.folder)
    expected = logits_of(reference(base, worn.folder), IDS)
    assert apart(expected, parts.read(IDS)) > 0.1
    assert apart(parts.read(IDS, outfit), expected) <= 1e-4 * max(1.0, float(expected.abs().max()))
    found = one_by_one(parts.decoder.begin(outfit, 1.0), IDS)
    assert apart(found, expected) <= 1e-4 * max(1.0, float(expected.abs().max()))


ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ADAPTERS: dict[str, dict[str, Any]] = {
    "different ranks": {
        "r": 4,
        "lora_alpha": 8,
        "target_modules": ALL,
        "rank_pattern": {"k_proj": 1, "down_proj": 9, "layers.1.mlp.up_proj": 33},
        "alpha_pattern": {"down_proj": 3, "o_proj": 16},
    },
    "rank-stabilised": {"r": 16, "lora_alpha": 8, "target_modules": ALL, "use_rslora": True},
    "some modules": {"r": 4, "lora_alpha": 8, "target_modules": ["v_proj", "gate_proj"]},
    "one layer": {"r": 4, "lora_alpha": 8, "target_modules": ALL, "layers_to_transform": [1]},
    "one module": {"r": 3, "lora_alpha": 6, "target_modules": ["down_proj"], "layers_to_transform": [0]},
    "rank 64": {"r": 64, "lora_alpha": 64, "target_modules": ALL},
    "rank 256": {"r": 256, "lora_alpha": 256, "target_modules": ["q_proj", "o_proj", "up_proj", "down_proj"]},
    "rank 1": {"r": 1, "lora_alpha": 1, "target_modules": ALL},
}


def write_adapter(folder: Path, base: InstalledBase, settings: dict[str, Any], seed: int = 3) -> Path:
    """What PEFT itself saves, with strong random factors."""
    from peft import LoraConfig, get_peft_model

    worn = get_peft_model(reference(base), LoraConfig(task_type="CAUSAL_LM", **settings))
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in worn.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.4 / max(parameter.shape) ** 0.25)
    worn.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
@pytest.mark.parametrize("layout", list(ADAPTERS))
def test_adapters_of_every_layout_say_what_plain_peft_says(
    layout: str, kind: str, made: Callable[[str], InstalledBase], opened: Open, tmp_path: Path
) -> None:
    base = made(kind)
    parts, folder = opened(base), write_adapter(tmp_path / "adapter", base, ADAPTERS[layout])
    outfit = dress(parts, base, folder)
    bare = parts.read(IDS)
    for scale in (1.0, 0.5, -1.0, 0.0):
        expected = logits_of(reference(base, folder, scale), IDS)
        assert (apart(expected, bare) > 1e-2) == (scale != 0)
        tolerance = 1e-4 * max(1.0, float(expected.abs().max()))
        assert apart(parts.read(IDS, outfit, scale), expected) <= tolerance
        assert apart(one_by_one(parts.decoder.begin(outfit, scale), IDS), expected) <= tolerance


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_beside_quantised_weights_an_adapter_is_rounded_as_it_says_and_no_further(
    precision: Precision, llama: InstalledBase, opened: Open, tmp_path: Path
) -> None:
    parts, folder = opened(llama, precision), write_adapter(tmp_path / "adapter", llama, ADAPTERS["different ranks"])
    model = reference(llama, folder, 0.5)
    load_unpacked(model.base_model.model, parts.form)
    for layer in lora_layers(model).values():
        (a,), (b,), (scaling,) = layer.lora_A.values(), layer.lora_B.values(), layer.scaling.values()
        a.weight.data = unpack(pack_int8(a.weight.data))
        b.weight.data = unpack(pack_int8(b.weight.data.T * scaling)).T / scaling
    assert apart(parts.read(IDS, dress(parts, llama, folder), 0.5), logits_of(model, IDS)) <= 1e-3


def test_scale_0_is_the_bare_base_bit_for_bit(llama: InstalledBase, opened: Open, tmp_path: Path) -> None:
    parts, folder = opened(llama), write_adapter(tmp_path / "adapter", llama, ADAPTERS["rank 64"])
    assert torch.equal(parts.read(IDS, dress(parts, llama, folder), 0.0), parts.read(IDS))


@pytest.mark.parametrize("scale", [17.0, float("nan"), float("inf")])
def test_a_scale_that_is_no_strength_is_refused(
    scale: float, llama: InstalledBase, opened: Open, tmp_path: Path
) -> None:
    parts, worn = opened(llama), make_adapter(tmp_path / "red", llama, 1)
    outfit = dress(parts, llama, worn.folder)
    with pytest.raises(RefusedError, match="scale"):
        parts.decoder.begin(outfit, scale)


def test_contexts_of_different_adapters_and_scales_token_by_token_are_those_alone(
    base: InstalledBase, opened: Open, tmp_path: Path
) -> None:
    parts = opened(base)
    outfits: list[tuple[Outfit | None, float]] = [(None, 1.0)]
    for seed, name in enumerate(("red", "green")):
        outfit = dress(parts, base, make_adapter(tmp_path / name, base, seed).folder)
        outfits += [(outfit, scale) for scale in (1.0, 0.5, -1.0)]  # more scales than an outfit remembers
    runs = [draw(40, seed) for seed in range(len(outfits))]
    alone = [one_by_one(parts.decoder.begin(*worn), run) for worn, run in zip(outfits, runs, strict=True)]
    assert min(apart(one, other) for i, one in enumerate(alone) for other in alone[:i]) > 1e-2
    contexts = [parts.decoder.begin(*worn) for worn in outfits]
    found: list[list[torch.Tensor]] = [[] for _ in outfits]
    for token in range(40):
        for logits, context, run in zip(found, contexts, runs, strict=True):
            logits.append(context.extend([run[token]], nothing).clone())
    for logits, expected in zip(found, alone, strict=True):
        assert torch.equal(torch.stack(logits), expected)


# However the tokens come.


def chunkings(length: int, most: int) -> Iterator[list[int]]:
    """At once; all but one, then one; blocks of an odd size; a random split."""
    yield [length]
    if length > 1:
        yield [length - 1, 1]
        yield [1, length - 1]
    sizes: list[int] = []
    draw_size = random.Random(length)
    while sum(sizes) < length:
        sizes.append(min(draw_size.choice((1, 2, 3, 4, 5, 8, 31, most)), length - sum(sizes)))
    yield sizes


def test_prompts_of_every_length_in_any_pieces_agree(llama: InstalledBase, opened: Open) -> None:
    parts = opened(llama)
    most = parts.stepper.most
    ids = draw(2 * most + 3)
    expected = logits_of(reference(llama), ids)
    for length in range(1, len(ids) + 1):
        for sizes in chunkings(length, most):
            found = in_parts(parts.decoder.begin(None, 1.0), ids[:length], sizes)
            assert apart(found, expected[length - 1]) <= 1e-3, (length, sizes)


@pytest.mark.parametrize("precision", ["fp32", "int8", "int4"])
def test_pieces_agree_in_every_precision_and_with_an_adapter(
    precision: Precision, base: InstalledBase, opened: Open, tmp_path: Path
) -> None:
    parts, worn = opened(base, precision), make_adapter(tmp_path / "red", base, 1, rank=5)
    outfit = dress(parts, base, worn.folder)
    most = parts.stepper.most
    ids = draw(most + 9)
    expected = parts.read(ids, outfit)
    tolerance = 1e-3 * max(1.0, float(expected.abs().max()))
    for length in (*range(1, 12), most - 1, most, most + 1, most + 9):
        for sizes in chunkings(length, most):
            found = in_parts(parts.decoder.begin(outfit, 1.0), ids[:length], sizes)
            assert apart(found, expected[length - 1]) <= tolerance, (length, sizes)


def test_equal_pieces_agree_bit_for_bit(base: InstalledBase, opened: Open) -> None:
    parts = opened(base)
    for length in (1, 3, 4, 7, 130, 259):
        for sizes in chunkings(length, parts.stepper.most):
            first, *others = [in_parts(parts.decoder.begin(None, 1.0), draw(length), sizes).clone() for _ in range(3)]
            assert all(torch.equal(first, other) for other in others)


@pytest.mark.parametrize("precision", ["fp32", "int8", "int4"])
def test_what_a_token_says_does_not_hang_on_how_many_are_read_after_it(
    precision: Precision, base: InstalledBase, opened: Open, tmp_path: Path
) -> None:
    parts = opened(base, precision)
    outfit = dress(parts, base, make_adapter(tmp_path / "red", base, 1, rank=5).folder)
    before, ids = draw(40, 2), draw(3 * BLOCK + 1)

    def read(length: int) -> torch.Tensor:
        context = parts.decoder.begin(outfit, 1.0)
        context.extend(before, nothing)
        return context.extend(ids[:length], nothing, every=True)

    expected = read(len(ids))
    for length in range(BLOCK, len(ids)):  # from where on tokens are read in blocks, of which the last is smaller
        assert torch.equal(read(length), expected[:length]), length


@pytest.mark.parametrize("precision", ["fp32", "int4"])
def test_token_by_token_any_number_of_threads_says_the_same_bit_for_bit(
    precision: Precision, base: InstalledBase, opened: Open, tmp_path: Path
) -> None:
    for rank in (1, 6, 9):
        worn = make_adapter(tmp_path / f"red-{rank}", base, 1, rank=rank)
        found = []
        for threads in (1, 2, 3, 5):  # heads that share keys and rows of A fall to one thread or to several
            parts = opened(base, precision, threads)
            found.append(one_by_one(parts.decoder.begin(dress(parts, base, worn.folder), 1.0), IDS[:40]))
        assert all(torch.equal(each, found[0]) for each in found[1:]), rank


def test_every_logits_end_with_the_last_ones(llama: InstalledBase, opened: Open) -> None:
    parts = opened(llama)
    for length in (1, 2, 5, 128, 129, 257):
        every = parts.read(draw(length))
        assert len(every) == length
        assert apart(every[-1], parts.decoder.begin(None, 1.0).extend(draw(length), nothing)) <= 1e-5


@pytest.mark.parametrize("threads", [1, 3, 5])
@pytest.mark.parametrize("precision", ["fp32", "int4"])
def test_any_number_of_threads_says_the_same(
    precision: Precision, threads: int, base: InstalledBase, opened: Open, tmp_path: Path
) -> None:
    worn = make_adapter(tmp_path / "red", base, 1)
    two, parts = opened(base, precision), opened(base, precision, threads)
    expected = two.read(IDS, dress(two, base, worn.folder))
    outfit = dress(parts, base, worn.folder)
    tolerance = 1e-4 * max(1.0, float(expected.abs().max()))
    assert apart(parts.read(IDS, outfit), expected) <= tolerance
    assert apart(one_by_one(parts.decoder.begin(outfit, 1.0), IDS[:20]), expected[:20]) <= tolerance


# Contexts.


def test_a_context_that_was_cut_goes_on_as_if_it_had_never_read_more(base: InstalledBase, opened: Open) -> None:
    parts, other = opened(base), draw(30, seed=5)
    for length in (0, 1, 33, 69, 70):
        context = parts.decoder.begin(None, 1.0)
        context.extend(IDS, nothing)
        assert context.can_cut(length)
        context.cut(length)
        assert context.ids == IDS[:length]
        found = context.extend(other, nothing, every=True)
        assert context.ids == IDS[:length] + other
        assert apart(found, parts.read(IDS[:length] + other)[length:]) <= 1e-4


def test_a_context_cannot_be_cut_to_more_than_it_holds(llama: InstalledBase, opened: Open) -> None:
    context = opened(llama).decoder.begin(None, 1.0)
    context.extend(IDS, nothing)
    assert context.can_cut(len(IDS))
    assert not context.can_cut(len(IDS) + 1)


def test_a_copy_and_what_it_was_copied_from_go_their_own_ways(
    base: InstalledBase, opened: Open, tmp_path: Path
) -> None:
    parts, worn = opened(base), make_adapter(tmp_path / "red", base, 1)
    outfit = dress(parts, base, worn.folder)
    one, other = draw(20, seed=5), draw(20, seed=6)
    for length in (0, 1, 40, 70):
        first = parts.decoder.begin(outfit, 1.0)
        first.extend(IDS, nothing)
        second = first.copy(length)
        assert second.ids == IDS[:length]
        found_one, found_other = [], []
        for a, b in zip(one, other, strict=True):
            found_one.append(first.extend([a], nothing).clone())
            found_other.append(second.extend([b], nothing).clone())
        assert (first.ids, second.ids) == (IDS + one, IDS[:length] + other)
        tolerance = 2e-4 * max(1.0, float(torch.stack([*found_one, *found_other]).abs().max()))
        assert apart(torch.stack(found_one), parts.read(IDS + one, outfit)[len(IDS) :]) <= tolerance
        assert apart(torch.stack(found_other), parts.read(IDS[:length] + other, outfit)[length:]) <= tolerance
        first.cut(0)  # nor does forgetting one reach the other
        first.extend(draw(50, seed=7), nothing)
        again = second.extend([5], nothing).clone()
        assert apart(again, parts.read([*IDS[:length], *other, 5], outfit)[-1]) <= tolerance


def test_a_context_grows_beyond_its_first_room_and_the_bases_window(base: InstalledBase, opened: Open) -> None:
    parts, ids = opened(base), draw(600)
    expected = logits_of(reference(base), ids)
    context = parts.decoder.begin(None, 1.0)
    sizes = [context.bytes]
    found = [context.extend(ids[:250], nothing, every=True)]
    for token in ids[250:270]:
        found.append(context.extend([token], nothing)[None].clone())
    sizes.append(context.bytes)
    found.append(context.extend(ids[270:510], nothing, every=True))
    for token in ids[510:520]:
        found.append(context.extend([token], nothing)[None].clone())
    found.append(context.extend(ids[520:], nothing, every=True))
    sizes.append(context.bytes)
    assert apart(torch.cat(found), expected) <= 2e-4
    assert sizes == sorted(set(sizes))
    context.cut(500)
    assert apart(context.copy(500).extend([7], nothing), logits_of(reference(base), [*ids[:500], 7])[-1]) <= 2e-4


def test_what_is_longer_than_the_bases_window_can_be_copied(llama: InstalledBase, opened: Open) -> None:
    context = opened(llama).decoder.begin(None, 1.0)
    context.extend(draw(600), nothing)
    assert context.copy(600).ids == draw(600)


def test_a_copy_of_a_grown_context_needs_the_memory_of_what_it_holds(llama: InstalledBase, opened: Open) -> None:
    parts = opened(llama)
    context = parts.decoder.begin(None, 1.0)
    fresh = context.bytes
    context.extend(draw(600), nothing)
    assert context.copy(20).bytes == pytest.approx(fresh, rel=0.2)
    assert context.bytes >= 600 * parts.shape.cache_bytes


class Stopped(Exception):
    pass


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("call", [1, 2, 3])
def test_what_a_check_raises_leaves_the_context_as_it_was(
    call: int, every: bool, llama: InstalledBase, opened: Open
) -> None:
    parts = opened(llama)
    context, calls = parts.decoder.begin(None, 1.0), []
    context.extend(IDS, nothing)

    def check() -> None:
        calls.append(1)
        if len(calls) == call:
            raise Stopped

    with pytest.raises(Stopped):
        context.extend(draw(3 * parts.stepper.most, seed=4), check, every=every)
    assert len(calls) == call
    assert context.ids == IDS
    found = context.extend(IDS, nothing, every=True)
    assert context.ids == IDS + IDS
    assert apart(found, parts.read(IDS + IDS)[len(IDS) :]) <= 1e-4


@pytest.mark.parametrize("wrong", [10_000, -1_000_000])
def test_an_id_that_is_nobodys_is_an_error_and_leaves_the_context_as_it_was(
    wrong: int, llama: InstalledBase, opened: Open
) -> None:
    parts = opened(llama)
    context = parts.decoder.begin(None, 1.0)
    context.extend(IDS, nothing)
    with pytest.raises(IndexError):
        context.extend([3, wrong], nothing)
    assert context.ids == IDS
    found = context.extend([5], nothing).clone()  # its memory is the stepper's
    assert apart(found, parts.read([*IDS, 5])[-1]) <= 1e-4


def test_the_check_is_asked_before_each_call_of_the_kernel(
    llama: InstalledBase, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, said = opened(llama), []
    step = parts.stepper.step

    def noted(ids: Sequence[int], *others: Any) -> torch.Tensor:
        said.append(f"read {len(ids)}")
        return step(ids, *others)

    monkeypatch.setattr(parts.stepper, "step", noted)
    most = parts.stepper.most
    parts.decoder.begin(None, 1.0).extend(draw(2 * most + 1), lambda: said.append("check"))
    assert said == ["check", f"read {most}", "check", f"read {most}", "check", "read 1"]


def test_the_logits_of_several_tokens_are_ones_own(llama: InstalledBase, opened: Open) -> None:
    parts = opened(llama)
    found = parts.read(IDS)
    before = found.clone()
    parts.read(draw(70, seed=9))
    assert torch.equal(found, before)


# The base stays what it is, and the threads end.


@pytest.mark.parametrize("precision", ["fp32", "int4"])
def test_nothing_that_is_read_or_worn_writes_to_the_base(
    precision: Precision, base: InstalledBase, opened: Open, tmp_path: Path
) -> None:
    parts = opened(base, precision)
    before = parts.decoder.checksum()
    files = [path.read_bytes() for path in sorted(base.folder.glob("*.safetensors"))]
    outfit = dress(parts, base, make_adapter(tmp_path / "red", base, 1).folder)
    for scale in (1.0, -3.0):
        context = parts.decoder.begin(outfit, scale)
        context.extend(draw(300), nothing)
        context.copy(20).extend(IDS, nothing)
    parts.read(IDS)
    assert parts.decoder.checksum() == before
    assert [path.read_bytes() for path in sorted(base.folder.glob("*.safetensors"))] == files


def test_a_checksum_is_of_every_weight(llama: InstalledBase, kernels: Path, tmp_path: Path) -> None:
    parts = make_parts(llama, tmp_path, kernels)
    with closing(parts.decoder):
        seen = {parts.decoder.checksum()}
        tensors = list(parts.stepper.weights())
        for tensor in tensors:  # the mapping is private: this is no file's
            tensor.view(-1)[-1] += 1
            seen.add(parts.decoder.checksum())
        assert len(seen) == len(tensors) + 1


def test_closing_ends_the_threads(llama: InstalledBase, kernels: Path, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    parts = make_parts(llama, tmp_path, kernels, threads=4)
    crew = set(threading.enumerate()) - before
    assert len(crew) == 3
    parts.read(IDS)
    parts.decoder.close()
    for thread in crew:
        thread.join(10)
    assert not any(thread.is_alive() for thread in crew)


def test_measuring_leaves_no_threads(llama: InstalledBase, kernels: Path, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    open_fast(llama.folder, "sha256:it", tmp_path, kernels, "auto", lambda _: draw(60)).close()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    assert set(threading.enumerate()) <= before


def test_a_step_after_closing_is_refused_rather_than_begun_alone(llama: InstalledBase, opened: Open) -> None:
    """``LocalEngine.close`` comes from another thread: between a reply's check and its step, say."""
    parts, ran = opened(llama), []
    before = set(threading.enumerate())
    rotary = Rotary(parts.shape.inverse_frequencies)
    stepper = Stepper(
        lambda _plan, thread: ran.append(thread), parts.weights, parts.shape, rotary, parts.form, threads=2
    )
    crew = set(threading.enumerate()) - before
    stepper.close()
    for thread in crew:
        thread.join(10)
    with pytest.raises(StopAsked):
        stepper.step([5], KeysValues(parts.shape), None)
    assert ran == []


# What the fast path does not take.


def copied(base: InstalledBase, folder: Path) -> Path:
    folder.mkdir()
    for path in base.folder.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


def unknown(folder: Path, kernels: Path) -> str:
    with pytest.raises(UnknownShape) as caught:
        open_fast(folder, "sha256:it", folder / "kept", kernels, "fp32", never_encoded).close()
    return str(caught.value)


Tensors = dict[str, torch.Tensor]


def without_a_norm(tensors: Tensors) -> None:
    del tensors["model.norm.weight"]


def with_another_shape(tensors: Tensors) -> None:
    tensors["model.layers.1.mlp.up_proj.weight"] = torch.zeros(32, 32)


def with_a_bias(tensors: Tensors) -> None:
    tensors["model.layers.0.self_attn.o_proj.bias"] = torch.zeros(96)


def with_a_third_layer(tensors: Tensors) -> None:
    tensors["model.layers.2.mlp.up_proj.weight"] = torch.zeros(32, 32)


def in_integers(tensors: Tensors) -> None:
    name = "model.layers.0.self_attn.q_proj.weight"
    tensors[name] = tensors[name].to(torch.int8)


def in_double_precision(tensors: Tensors) -> None:
    tensors["model.norm.weight"] = tensors["model.norm.weight"].double()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (without_a_norm, "model.norm.weight"),
        (with_another_shape, "layers.1.mlp.up_proj"),
        (with_a_bias, "o_proj.bias"),
        (with_a_third_layer, "layers.2"),
        (in_integers, "q_proj"),
        (in_double_precision, "model.norm.weight"),
    ],
)
def test_a_base_whose_tensors_are_not_the_known_ones_is_unknown(
    change: Callable[[Tensors], None], named: str, llama: InstalledBase, kernels: Path, tmp_path: Path
) -> None:
    folder = copied(llama, tmp_path / "base")
    tensors = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    assert named in unknown(folder, kernels)


def test_a_machine_that_numba_does_not_know_is_unknown(
    llama: InstalledBase, kernels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_folder: Path) -> None:
        raise RuntimeError("no target")

    monkeypatch.setattr("lora_chat.decoder.fast.load_kernel", fail)
    assert "no target" in unknown(llama.folder, kernels)


def test_an_adapter_that_reaches_another_module_is_refused(llama: InstalledBase, opened: Open, tmp_path: Path) -> None:
    checked = load_verified(write_adapter(tmp_path / "a", llama, ADAPTERS["one layer"]), llama.signature)
    with pytest.raises(RefusedError, match="does not fit"):
        Outfit(checked, replace(opened(llama).shape, layers=1), packed=False)


def test_a_base_that_does_not_say_it_is_untied_uses_its_own_head(
    made: Callable[[str], InstalledBase], kernels: Path, tmp_path: Path
) -> None:
    base = made("qwen2")
    folder = copied(base, tmp_path / "base")
    config = json.loads((folder / "config.json").read_text())
    assert config.pop("tie_word_embeddings") is False
    (folder / "config.json").write_text(json.dumps(config))
    with closing(open_fast(folder, "sha256:it", tmp_path, kernels, "fp32", never_encoded)) as decoder:
        found = decoder.begin(None, 1.0).extend(IDS, nothing, every=True)
    assert apart(found, logits_of(reference(base), IDS)) <= 1e-4


def test_memory_that_runs_out_while_growing_leaves_keys_and_values_alike(
    llama: InstalledBase, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = KeysValues(opened(llama).shape)
    empty, calls = kept._empty, []

    def short(room: int) -> torch.Tensor:
        calls.append(room)
        if len(calls) == 2:
            raise MemoryError
        return empty(room)

    monkeypatch.setattr(kept, "_empty", short)
    with pytest.raises(MemoryError):
        kept.reserve(300)
    assert kept.keys.shape == kept.values.shape


def test_the_tiny_bases_differ_in_what_the_fast_path_can_tell_apart(made: Callable[[str], InstalledBase]) -> None:
    shapes = [read_shape(made(kind).folder) for kind in KINDS]
    for name in ("tied", "bias", "head_norms"):
        assert {getattr(shape, name) for shape in shapes} == {True, False}
    assert any(shape.hidden != shape.heads * shape.head_dim for shape in shapes)
    assert any(shape.heads != shape.kv_heads for shape in shapes)


def test_the_same_base_written_twice_is_the_same(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_base(tmp_path / name, "llama")
    assert (
        installed(tmp_path / "a", tmp_path / "h").signature.weights
        == installed(tmp_path / "b", tmp_path / "i").signature.weights
    )
