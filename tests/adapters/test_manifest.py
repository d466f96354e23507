"""``adapter.toml``: what is written is read back, and what is foreign is checked and cleaned."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_chat.adapters.manifest import (
    BaseClaim,
    ChatSettings,
    Manifest,
    WeightsClaim,
    checked_name,
    read_manifest,
    to_toml,
)
from lora_chat.errors import LoraChatError, RefusedError

FULL = Manifest(
    name="support-bot",
    version="1.2.0",
    description="Answers shop questions briefly and politely.",
    license="MIT",
    authors=("Ada", "Grace"),
    private=True,
    base=BaseClaim("org/Base", "sha256:" + "a" * 64, "sha256:" + "b" * 64, "sha256:" + "c" * 64),
    chat=ChatSettings("You sell shoes.\nBe brief.", 0.2, ("How do I return an order?",)),
    weights=WeightsClaim("d" * 64, "e" * 64, 8, 2442240, 4900000),
    training={"examples": 20, "seed": 1, "recipe": {"lr": 2e-3, "targets": ["up_proj"]}},
    evaluation={"heldout_loss_before": 3.5, "heldout_loss_after": 0.25},
)


def test_a_full_manifest_comes_back_as_it_was() -> None:
    assert read_manifest(to_toml(FULL).encode()) == FULL


def test_an_empty_one_is_all_defaults() -> None:
    assert read_manifest(b"") == Manifest()
    assert read_manifest(to_toml(Manifest()).encode()) == Manifest()


def test_the_example_of_the_readme_is_read() -> None:
    text = """
        schema = 1
        name = "support-bot"
        version = "1.0.0"
        authors = []
        private = false
        [base]
        model = "HuggingFaceTB/SmolLM2-135M-Instruct"
        [chat]
        temperature = 0
        starters = ["How do I return an order?"]
        [training]
        steps = 40
    """
    manifest = read_manifest(text.encode())
    assert manifest.base.model == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert manifest.chat.temperature == 0.0
    assert manifest.training == {"steps": 40}


def test_unknown_keys_are_named_and_dropped() -> None:
    manifest = read_manifest(b'colour = "red"\n[chat]\nshoutiness = 3\n[sparkle]\nx = 1\n')
    assert manifest.ignored == ("colour", "sparkle", "chat.shoutiness")
    assert "sparkle" not in to_toml(manifest)


def test_foreign_text_is_cleaned_and_cut() -> None:
    text = 'description = "a\\u001b[31mb\\u202Ec\\nd"\n[training]\n"\\u001b]52;k" = "x\\u0007y"\nwhen = 2026-01-01\n'
    manifest = read_manifest(text.encode())
    assert manifest.description == "a[31mbc d"
    assert manifest.training == {"]52;k": "xy", "when": "2026-01-01"}
    assert len(read_manifest(b'description = "' + b"x" * 5000 + b'"').description) == 300


@pytest.mark.parametrize(
    "text",
    [
        "name = 1", "private = 1", "authors = 'me'", "authors = [1]", "chat = 1", "chat.temperature = true",
        "chat.temperature = inf", "chat.temperature = 9", "weights.rank = -1", "weights.sha256 = 'abc'",
        "base.fingerprint = 5", "schema = 2", "schema = '1'", "[", "a = 1\na = 2", "x = '\\x00",
    ],
)  # fmt: skip
def test_a_wrong_kind_is_refused_by_name(text: str) -> None:
    with pytest.raises(RefusedError, match=r"adapter\.toml"):
        read_manifest(text.encode())


HUGE = "0x" + "F" * 6_000
"""Of more digits than Python writes."""


@pytest.mark.parametrize("key", ["schema", "name", "chat.temperature", "weights.rank", "authors"])
def test_a_number_of_thousands_of_digits_is_refused_by_name(key: str) -> None:
    with pytest.raises(RefusedError, match=rf'its "?{key.removeprefix("weights.")}'):
        read_manifest(f"{key} = {HUGE}".encode())


def test_a_huge_number_that_is_only_kept_is_kept_as_text() -> None:
    text = f"training.seed = {HUGE}\ntraining.most = {2**63 - 1}\ntraining.on = true\n"
    text += f"evaluation.a.b.c.d = [{HUGE}, 1]\nevaluation.more = {-(2**63) - 1}"
    manifest = read_manifest(text.encode())
    assert (manifest.training["most"], manifest.training["on"]) == (2**63 - 1, True)
    assert manifest.training["seed"].startswith("0xffff")
    assert manifest.evaluation["more"] == str(-(2**63) - 1)
    assert "too long" in manifest.evaluation["a"]["b"]["c"]["d"]
    assert read_manifest(to_toml(manifest).encode()) == manifest


def test_slow_toml_is_refused_at_once() -> None:
    heading = "[" + "a." * 6000 + "a]\n" + "".join(f"k{number}=1\n" for number in range(500))
    keys = "\n".join("a." * 90 + f"k{number}=1" for number in range(80))
    one_key = "a." * 8000 + "a = 1"
    for text in (heading, keys, one_key, "a = " + "[" * 16_000, "a = " + "{x=" * 5000):
        began = time.process_time()
        with contextlib.suppress(LoraChatError):
            read_manifest(text.encode())
        assert time.process_time() - began < 2


@given(st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with contextlib.suppress(LoraChatError):
        assert read_manifest(to_toml(read_manifest(raw)).encode()) is not None


@pytest.mark.parametrize("name", ["a", "support-bot", "a.b_c-1", "0x", "a" * 64, "console", "com10"])
def test_good_names(name: str) -> None:
    assert checked_name(name) == name
