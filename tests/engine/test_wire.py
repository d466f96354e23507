"""Every message crosses the pipe as it was, whatever floats and characters are in it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_chat import errors
from lora_chat.chat.conversation import Role, Turn
from lora_chat.engine import wire
from lora_chat.engine.kept import Kept
from lora_chat.engine.protocol import BaseInfo, Finished, Probe, Request, Sampling, TextChunk, Worn
from lora_chat.models.installed import InstalledBase
from lora_chat.training.events import (
    Cancelled,
    DatasetReady,
    Evaluated,
    Failed,
    Installed,
    Preparing,
    Report,
    Sampled,
    StepDone,
    Trained,
)

ANY = st.characters() | st.sampled_from("\ud800\udfff\n\r\0\u2028\x1b🙂")
TEXT = st.text(ANY, max_size=20)
WHOLE = st.integers(0, 2**63 - 1)
FLOAT = st.floats()
MAYBE = st.none() | FLOAT
REASON = st.sampled_from(["unrated", "rated bad", "too old"])
"""The program's own words, so no surrogates."""
PATH = st.text("ab/é .", min_size=1, max_size=12).map(Path)

REPORT = st.builds(
    Report, seconds=FLOAT, steps=WHOLE, tokens=WHOLE, tokens_per_second=FLOAT, trainable_parameters=WHOLE,
    total_parameters=WHOLE, trainable_percent=FLOAT, heldout_loss_before=MAYBE, heldout_loss_after=MAYBE,
    general_loss_before=MAYBE, general_loss_after=MAYBE, train_loss_after=FLOAT, stopped_because=TEXT,
    general_kl_before=MAYBE, general_kl_after=MAYBE, general_kl_bound=MAYBE, text_loss_before=MAYBE,
    text_loss_after=MAYBE, forgot=TEXT,
)  # fmt: skip
WORN = st.builds(Worn, TEXT, PATH, TEXT, FLOAT)
TURNS = st.lists(st.builds(Turn, st.sampled_from(Role), TEXT), max_size=4).map(tuple)
SAMPLING = st.builds(
    Sampling, temperature=FLOAT, top_p=FLOAT, top_k=WHOLE, repetition_penalty=FLOAT, max_tokens=WHOLE,
    seed=st.none() | WHOLE, stop=st.lists(TEXT, max_size=3).map(tuple),
)  # fmt: skip
CALLS = st.one_of(
    st.just(wire.Load()),
    st.builds(wire.Generate, st.builds(Request, TURNS, st.none() | WORN, SAMPLING)),
    st.builds(wire.ProbeAdapter, WORN),
    st.builds(wire.CountTokens, TURNS),
    st.builds(wire.Train, PATH),
    st.just(wire.Cancel()),
    st.builds(wire.Pause, st.booleans()),
)
ITEMS = st.one_of(
    st.builds(TextChunk, TEXT),
    st.builds(
        Finished, reason=st.sampled_from(["stop", "length", "cancelled"]), prompt_tokens=WHOLE, cached_tokens=WHOLE,
        generated_tokens=WHOLE, first_token_ms=MAYBE, tokens_per_second=MAYBE, seed=WHOLE,
    ),
    st.builds(BaseInfo, TEXT, TEXT, WHOLE, WHOLE, TEXT, TEXT, WHOLE, FLOAT),
    st.builds(Probe, FLOAT, st.booleans(), WHOLE, WHOLE),
    st.builds(DatasetReady, WHOLE, WHOLE, st.dictionaries(REASON, WHOLE, max_size=3), WHOLE, WHOLE, WHOLE),
    st.builds(Preparing, TEXT, FLOAT),
    st.builds(StepDone, WHOLE, WHOLE, FLOAT, FLOAT, FLOAT, WHOLE),
    st.builds(Evaluated, WHOLE, FLOAT),
    st.builds(Sampled, WHOLE, TEXT, TEXT, st.booleans(), st.booleans()),
    st.builds(Trained, TEXT, REPORT),
    st.builds(Installed, TEXT, TEXT, REPORT),
    st.builds(Cancelled, WHOLE),
    st.builds(Failed, TEXT),
    WHOLE,
)  # fmt: skip


def same(one: Any, other: Any) -> bool:
    """Equal, with NaN equal to NaN and an integer told from a float."""
    return repr(one) == repr(other)


@settings(max_examples=300, deadline=None)
@given(number=WHOLE, call=CALLS)
def test_a_call_arrives_as_it_was_sent(number: int, call: wire.Call) -> None:
    asked = wire.Asked(number, call)
    line = wire.write(asked)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert same(wire.read_asked(line), asked)


@settings(max_examples=500, deadline=None)
@given(number=WHOLE, item=ITEMS)
def test_an_item_arrives_as_it_was_sent(number: int, item: wire.Item) -> None:
    told = wire.Told(number, item)
    line = wire.write(told)
    assert line.count(b"\n") == 1
    assert same(wire.read_told(line), told)


def test_the_setup_arrives_as_it_was_sent(tiny_llama: InstalledBase) -> None:
    setup = wire.Setup(tiny_llama, Kept(Path("/somewhere/é"), Path("/else")), "int8")
    assert wire.read_setup(wire.write(setup)) == setup


def test_a_training_whose_loss_is_no_number_is_heard_of() -> None:
    lost = wire.Told(1, StepDone(1, 4, math.nan, math.inf, -math.inf))
    assert same(wire.read_told(wire.write(lost)), lost)


@pytest.mark.parametrize(
    "kind",
    [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.LoraChatError)],
)
def test_an_error_keeps_its_kind_and_its_sentence(kind: type[errors.LoraChatError]) -> None:
    found = wire.raised(wire.read_told(wire.write(wire.describe(3, kind("It is so: é\ud800.")))))
    assert type(found) is kind
    assert str(found) == "It is so: é.", "what no terminal can show is left out"


def test_a_strangers_exception_becomes_the_engines_failure_in_one_line() -> None:
    told = wire.describe(3, RuntimeError("first\nsecond" + "x" * 10_000))
    assert "\n" not in told.error
    assert len(told.error) < 400
    assert type(wire.raised(told)) is errors.EngineError
    assert type(wire.raised(replace(told, kind="os"))) is errors.EngineError
    assert type(wire.raised(replace(told, kind="annotations"))) is errors.EngineError
