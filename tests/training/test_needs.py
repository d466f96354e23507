"""What a base needs: told of its sizes as it is told of the base itself, and never less for a larger one."""

from __future__ import annotations

from lora_chat.models.catalog import CATALOG, resolve
from lora_chat.training.estimate import estimate
from lora_chat.training.events import DatasetReady
from lora_chat.training.needs import EXAMPLES, TOKENS, Build
from lora_chat.training.peak import peak_bytes
from lora_chat.training.recipe import choose_recipe
from tests.training.test_estimate import MODULES, SMOL

COUNTED = DatasetReady(EXAMPLES, EXAMPLES, {}, EXAMPLES * TOKENS, EXAMPLES * TOKENS // 2, 0)


def test_the_embedded_base_needs_what_its_estimate_says() -> None:
    sizes = resolve("smollm2-135m").sizes
    assert sizes is not None
    assert sizes.modules() == MODULES
    build = Build(SMOL.parameters, sizes.modules(), fast=True, wide=True)
    recipe = choose_recipe(EXAMPLES, SMOL.parameters)
    peak = peak_bytes(COUNTED, recipe, SMOL.parameters, SMOL.signature, "unpacked")
    assert build.train_bytes == max(peak, build.chat_bytes)  # a first load takes more than it keeps
    expected = estimate(COUNTED, recipe, SMOL, (), prepared=False, measured=200.0)
    assert build.training_tokens(prepared=False) / 200 == expected.seconds
    assert build.training_tokens(prepared=True) < build.training_tokens(prepared=False)


def test_chatting_alone_takes_what_was_measured_of_it() -> None:
    build = Build(SMOL.parameters, MODULES, fast=True, wide=True)
    assert 0.7e9 < build.chat_bytes < 0.95e9  # 0.93 GB in float32


def test_pages_of_a_file_that_is_not_what_replies_are_made_with_count() -> None:
    narrow, wide = (Build(10**9, MODULES, fast=True, wide=each) for each in (False, True))
    assert narrow.train_bytes > wide.train_bytes + 0.8 * 10**9, "two bytes for each in the upper half"
    assert wide.train_bytes < 1.5 * 10**9
    assert narrow.chat_bytes == wide.chat_bytes < 1.4 * 10**9


def test_the_general_path_holds_every_weight_in_four_bytes() -> None:
    build = Build(10**9, MODULES, fast=False, wide=False)
    assert build.chat_bytes > 4 * 10**9
    assert build.train_bytes > build.chat_bytes


def test_a_larger_base_of_a_family_never_needs_less() -> None:
    for family in ("llama", "qwen3", "gemma3_text"):
        entries = [entry for entry in CATALOG if entry.sizes is not None and entry.sizes.family == family]
        entries.sort(key=lambda entry: entry.parameters)
        builds = [Build(each.parameters, each.sizes.modules(), False, False) for each in entries if each.sizes]
        for needs in ([each.chat_bytes for each in builds], [each.train_bytes for each in builds]):
            assert needs == sorted(needs)
