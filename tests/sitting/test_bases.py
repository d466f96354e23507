"""The bases to choose from: figures that follow from what was measured, and the one that is recommended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lora_chat.engine.kept import kept_for
from lora_chat.engine.speed import Speed
from lora_chat.models import catalog
from lora_chat.models.catalog import resolve
from lora_chat.models.entry import FolderSource, GgufSource
from lora_chat.models.installed import InstalledBase
from lora_chat.paths import Paths
from lora_chat.services import Services, open_services
from lora_chat.sitting.advice import FLUENT, recommend
from lora_chat.sitting.bases import Choice, Choices, Figure, Room, describe, list_choices
from lora_chat.training.pace import Pace
from tests.conftest import place

BIG = Room(64 * 10**9, 64 * 10**9)


@pytest.fixture
def base(tiny_llama: InstalledBase, home: Paths) -> InstalledBase:
    return place(tiny_llama, home)


@pytest.fixture
def services(base: InstalledBase) -> Iterator[Services]:
    with open_services() as opened:
        yield opened


def of(choices: Choices, name: str) -> Choice:
    return next(each for each in choices.bases if each.name == name)


def measure(services: Services, base: InstalledBase, *, speed: float = 0, pace: float = 0, path: str = "fast") -> None:
    kept = kept_for(base, services.paths)
    if speed:
        Speed(kept.speed, base.signature.weights, f"{path} path, int4").reply(50, speed)
    if pace:
        steps = Pace(kept.pace, base.signature.weights)
        for _ in range(3):
            steps.step(int(pace), 1.0)


def test_what_is_here_comes_first_and_the_rest_by_size(services: Services, base: InstalledBase) -> None:
    choices = list_choices(services, BIG)
    assert choices.bases[0].base == base
    rest = [each.parameters for each in choices.bases[1:]]
    assert rest == sorted(rest)
    assert {each.name for each in choices.bases[1:]} == {entry.name for entry in catalog.CATALOG}


def test_nothing_measured_means_no_figure(services: Services) -> None:
    choices = list_choices(services, BIG)
    assert all(each.speed is None and each.seconds is None for each in choices.bases)
    best, why = recommend(choices)
    assert best is not None
    assert best.name == choices.bases[0].name
    assert "no answer was timed" in why


def test_a_measured_speed_is_its_own_and_the_others_follow_by_size(services: Services, base: InstalledBase) -> None:
    measure(services, base, speed=40.0)
    choices = list_choices(services, BIG)
    assert choices.bases[0].speed == Figure(40.0, base.name, measured=True)
    qwen = of(choices, "qwen3-0.6b")
    assert qwen.speed is not None
    assert qwen.speed == Figure(40.0 * base.parameters / qwen.parameters, base.name, measured=False)
    gemma = of(choices, "gemma-3-270m")
    assert gemma.speed is not None
    assert gemma.speed.bound == "under"


def test_a_speed_of_the_general_path_is_a_lower_bound_for_the_fast_one(services: Services, base: InstalledBase) -> None:
    measure(services, base, speed=40.0, path="general")
    qwen = of(list_choices(services, BIG), "qwen3-0.6b")
    assert qwen.speed is not None
    assert qwen.speed.bound == "over"


def test_the_nearest_in_size_of_those_that_decode_alike_is_asked(
    services: Services, base: InstalledBase, home: Paths
) -> None:
    other = home.models / "larger"
    (home.models / base.name).rename(other)
    record = json.loads((other / "base.json").read_text(encoding="utf-8"))
    place(base, home)
    record |= {"parameters": 500_000_000}
    (other / "base.json").write_text(json.dumps(record), encoding="utf-8")
    larger = replace(base, name="larger", parameters=500_000_000)
    measure(services, base, speed=40.0)
    measure(services, larger, speed=10.0)
    qwen = of(list_choices(services, BIG), "qwen3-0.6b")
    assert qwen.speed is not None
    assert (qwen.speed.of, round(qwen.speed.value, 1)) == ("larger", round(10.0 * 500_000_000 / qwen.parameters, 1))


def test_minutes_follow_from_the_pace_of_a_training_here(services: Services, base: InstalledBase) -> None:
    measure(services, base, pace=200.0)
    choices = list_choices(services, BIG)
    here, qwen = choices.bases[0].seconds, of(choices, "qwen3-0.6b").seconds
    assert here is not None
    assert qwen is not None
    assert (here.measured, qwen.measured, qwen.of) == (True, False, base.name)
    assert qwen.value == pytest.approx(here.value * 596_049_920 / base.parameters, rel=0.01)
    kept = kept_for(base, services.paths)
    kept.general_answers.touch()
    shorter = list_choices(services, BIG).bases[0].seconds
    assert shorter is not None
    assert shorter.value < here.value


def test_another_machine_s_figures_are_none(
    services: Services, base: InstalledBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(services, base, speed=40.0, pace=200.0)
    monkeypatch.setattr("os.cpu_count", lambda: 1000)
    assert all(each.speed is None and each.seconds is None for each in list_choices(services, BIG).bases)


@pytest.mark.parametrize(("needed", "fit"), [(0, ""), (5, "fits"), (6, "tight"), (10, "tight"), (11, "no")])
def test_what_fits(needed: int, fit: str) -> None:
    assert Room(5, 10).fit(needed) == fit


def choice(name: str, speed: float, *, bound: str = "", seconds: float = 600.0) -> Choice:
    """A catalog base that fits, of that speed."""
    entry = resolve(name)
    return Choice(
        name=name,
        lineage=entry.lineage,
        source="hub",
        entry=entry,
        base=None,
        default=False,
        parameters=entry.parameters,
        fast=True,
        chat_bytes=10**9,
        train_bytes=2 * 10**9,
        chat="fits",
        train="fits",
        speed=Figure(speed, "smollm2-135m", False, bound) if speed else None,  # type: ignore[arg-type]
        seconds=Figure(seconds, "smollm2-135m", False),
        adapters=(),
    )


def found(choice: Choice, quantisation: str = "") -> Choice:
    """The same, lying in another program's folder."""
    assert choice.entry is not None
    source = GgufSource(Path("/it")) if quantisation else FolderSource(Path("/it"))
    place = "Ollama" if quantisation else "Hugging Face's cache"
    entry = replace(choice.entry, source=source, place=place, quantisation=quantisation, download_bytes=0)
    return replace(choice, entry=entry)


def best(*choices: Choice) -> tuple[str, str]:
    found, why = recommend(Choices(choices, (), BIG))
    return found.name if found is not None else "", why


def test_the_largest_quick_one_is_recommended() -> None:
    small, middle, large = choice("smollm2-135m", 48), choice("qwen3-0.6b", FLUENT), choice("qwen3-4b", FLUENT - 1)
    name, why = best(small, middle, large)
    assert name == "qwen3-0.6b"
    assert "about 8 tokens/s" in why
    assert "2.0 GB of 64.0 GB" in why
    assert "\n" not in why


def test_what_takes_hours_to_train_or_does_not_fit_is_not() -> None:
    small = choice("smollm2-135m", 48)
    assert best(small, choice("qwen3-4b", 20, seconds=4000))[0] == "smollm2-135m"
    assert best(small, replace(choice("qwen3-4b", 20), train="tight"))[0] == "smollm2-135m"
    assert best(small, replace(choice("qwen3-4b", 20), chat="no"))[0] == "smollm2-135m"
    assert best(small, choice("qwen3-4b", 20, bound="under"))[0] == "smollm2-135m"


def test_what_needs_an_account_or_a_conversion_by_hand_is_not() -> None:
    small = choice("smollm2-135m", 48)
    assert best(small, choice("llama-3.2-1b", 20), choice("opt-125m", 40))[0] == "smollm2-135m"


def test_of_two_of_one_size_the_one_that_lies_here_is_recommended_and_it_is_said() -> None:
    small = choice("smollm2-135m", 48)
    near, far = found(choice("qwen3-0.6b", 20)), choice("qwen3-0.6b", 20)
    for order in ((small, near, far), (far, near, small)):
        chosen, why = recommend(Choices(order, (), BIG))
        assert chosen is near
        assert why.endswith(" It lies in Hugging Face's cache: nothing is downloaded.")
    gguf = found(choice("qwen3-0.6b", 20), "Q4_K_M")
    assert recommend(Choices((gguf, near), (), BIG))[0] is near
    assert recommend(Choices((far, gguf), (), BIG))[0] is gguf
    here = replace(far, base=object())  # type: ignore[arg-type]
    assert recommend(Choices((near, here), (), BIG))[0] is here


def test_what_lies_here_but_is_strange_or_coarse_is_not_recommended() -> None:
    small = choice("smollm2-135m", 48)
    assert best(small, found(choice("qwen3-0.6b", 20), "IQ2_XXS"))[0] == "smollm2-135m"
    strange = found(choice("qwen3-0.6b", 20))
    assert strange.entry is not None
    strange = replace(strange, entry=replace(strange.entry, lineage="somebody/finetune"))
    assert best(small, strange)[0] == "smollm2-135m"


def test_a_gated_base_that_lies_here_needs_no_account() -> None:
    gated = choice("llama-3.2-1b", 20)
    assert best(choice("smollm2-135m", 48), gated)[0] == "smollm2-135m"
    near = found(gated)
    assert near.entry is not None
    near = replace(near, entry=replace(near.entry, gated=False))
    assert best(choice("smollm2-135m", 48), near)[0] == "llama-3.2-1b"


def test_a_slow_machine_gets_the_smallest_and_a_small_one_none() -> None:
    name, why = best(choice("smollm2-360m", 1), choice("smollm2-135m", 2))
    assert (name, "as none is known to answer" in why) == ("smollm2-135m", True)
    name, why = best(replace(choice("smollm2-135m", 48), train="no"))
    assert (name, "No base can be recommended" in why) == ("", True)


def test_adapters_that_fit_are_named(services: Services, base: InstalledBase, tmp_path: Path) -> None:
    shipped = {each.name for each in services.adapters().adapters}
    assert shipped
    assert set(describe(services, None, resolve("smollm2-135m")).adapters) == shipped
    assert describe(services, None, resolve("qwen3-0.6b")).adapters == ()
    assert describe(services, base, None).adapters == ()


def test_an_own_entry_without_parameters_has_no_figures(services: Services, base: InstalledBase) -> None:
    measure(services, base, speed=40.0, pace=200.0)
    services.paths.config.write_text(
        '[bases.mine]\nsource = "a/b"\n[bases.told]\nsource = "a/c"\nparameters = 1_000_000_000\n'
    )
    choices = list_choices(services, BIG)
    mine, told = of(choices, "mine"), of(choices, "told")
    assert (mine.chat_bytes, mine.train_bytes, mine.chat, mine.speed, mine.seconds) == (0, 0, "", None, None)
    assert told.train_bytes > told.chat_bytes > 10**9
    assert told.speed is not None
