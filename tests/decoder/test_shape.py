"""What the fast path knows: a configuration becomes the shape transformers reads in it, or a reason why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_chat.decoder.shape import Shape, UnknownShape, read_shape

PLAIN: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 128,
    "intermediate_size": 192,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 1000,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "max_position_embeddings": 1024,
    "tie_word_embeddings": False,
    "rope_theta": 500_000.0,
}
STRETCHED = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 128,
}


def write(folder: Path, config: object) -> Path:
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in PLAIN.items() if name not in names}


def test_a_plain_llama_is_read_with_all_its_sizes(tmp_path: Path) -> None:
    shape = read_shape(write(tmp_path, PLAIN))
    frequencies = shape.inverse_frequencies
    assert shape == Shape(
        layers=3,
        hidden=128,
        intermediate=192,
        heads=4,
        kv_heads=2,
        head_dim=32,
        vocabulary=1000,
        epsilon=1e-5,
        inverse_frequencies=frequencies,
        context_window=1024,
        tied=False,
        bias=False,
        head_norms=False,
    )
    assert len(frequencies) == 16
    assert shape.cache_bytes == 3 * 2 * 2 * 32 * 4


def test_what_a_configuration_leaves_out_follows_from_the_rest(tmp_path: Path) -> None:
    shape = read_shape(write(tmp_path, without("num_key_value_heads", "max_position_embeddings")))
    assert (shape.kv_heads, shape.context_window) == (4, 2048)


@pytest.mark.parametrize(
    ("kind", "bias", "head_norms"),
    [("llama", False, False), ("mistral", False, False), ("qwen2", True, False), ("qwen3", False, True)],
)
def test_each_kind_has_the_parts_that_its_configuration_does_not_mention(
    kind: str, bias: bool, head_norms: bool, tmp_path: Path
) -> None:
    shape = read_shape(write(tmp_path, {**PLAIN, "model_type": kind, "sliding_window": None}))
    assert (shape.bias, shape.head_norms) == (bias, head_norms)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2", "qwen3"])
def test_a_base_says_whether_its_head_is_its_embedding(kind: str, tied: bool, tmp_path: Path) -> None:
    config = {**PLAIN, "model_type": kind, "tie_word_embeddings": tied, "sliding_window": None}
    assert read_shape(write(tmp_path, config)).tied is tied


def test_a_base_that_does_not_say_whether_it_is_tied_leaves_it_to_its_weights(tmp_path: Path) -> None:
    assert read_shape(write(tmp_path, without("tie_word_embeddings"))).tied is None


def test_a_mistral_that_does_not_name_its_window_has_the_one_transformers_gives_it(tmp_path: Path) -> None:
    from transformers import AutoConfig

    write(tmp_path, {**PLAIN, "model_type": "mistral"})
    assert AutoConfig.from_pretrained(tmp_path).sliding_window == 4096
    with pytest.raises(UnknownShape, match="limited way"):
        read_shape(tmp_path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_type": "opt"}, "^opt is not one of llama, mistral, qwen2, qwen3$"),
        ({"model_type": None}, "not one of"),
        ({"hidden_act": "gelu"}, "^its activation is gelu$"),
        ({"mlp_bias": True}, "biases"),
        ({"attention_bias": True}, "biases"),
        ({"model_type": "qwen3", "attention_bias": True}, "biases"),
        ({"model_type": "qwen2", "use_sliding_window": True}, "limited way"),
        ({"model_type": "mistral", "sliding_window": 64}, "limited way"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "different ways"),
        ({"quantization_config": {"bits": 4}}, "^its weights are quantised$"),
        ({"num_key_value_heads": 3}, "^4 heads do not share 3$"),
        ({"hidden_size": 132}, "do not divide by 32"),
        ({"hidden_size": 64}, "do not divide by 32"),  # heads of 16
        ({"head_dim": 48}, "do not divide by 32"),
        ({"intermediate_size": 200}, "do not divide by 32"),
        ({"partial_rotary_factor": 0.5}, "a part of each head"),
        ({"rope_parameters": {"partial_rotary_factor": 0.25}}, "a part of each head"),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "^its positions are of the kind dynamic$"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "kind yarn"),
        ({"rope_parameters": {"rope_type": "longrope"}}, "kind longrope"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "unusual.*original_max_position_embeddings"),
        ({"rope_scaling": {"type": "linear"}}, "unusual.*factor"),
        ({"rope_scaling": {"type": "linear", "factor": 0}}, "unusual"),
        ({"rope_scaling": [1]}, "unusual"),
        ({"num_attention_heads": 0}, "unusual"),
        ({"hidden_size": None}, "unusual"),
        ({"hidden_size": "wide"}, "unusual"),
        ({"layer_types": 3}, "unusual"),
    ],
)
def test_what_is_not_known_is_refused_with_its_reason(changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    with pytest.raises(UnknownShape, match=reason):
        read_shape(write(tmp_path, {**PLAIN, **changes}))


@pytest.mark.parametrize(
    "name",
    ["model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size",
     "rms_norm_eps"],
)  # fmt: skip
def test_a_configuration_without_what_nothing_follows_from_is_refused_by_that_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnknownShape, match=f"unusual.*{name}"):
        read_shape(write(tmp_path, without(name)))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"model_type": "llama"', b"nonsense"])
def test_a_file_that_is_no_json_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(UnknownShape, match="cannot be read"):
        read_shape(tmp_path)


@pytest.mark.parametrize("content", [[], [1], "llama", 3, None, True])
def test_json_that_is_no_object_is_refused(content: object, tmp_path: Path) -> None:
    with pytest.raises(UnknownShape, match="unusual"):
        read_shape(write(tmp_path, content))


def test_a_folder_without_a_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownShape, match="cannot be read"):
        read_shape(tmp_path)


# Positions: the old form has rope_theta and rope_scaling, the new one rope_parameters with both.

OLD_FORMS: dict[str, dict[str, Any]] = {
    "default": {"rope_scaling": None},
    "linear": {"rope_scaling": {"type": "linear", "factor": 4.0}},
    "linear by its new name": {"rope_scaling": {"rope_type": "linear", "factor": 4.0}},
    "llama3": {"rope_scaling": {"rope_type": "llama3", **STRETCHED}},
}
NEW_FORMS: dict[str, dict[str, Any]] = {
    "default": {"rope_type": "default"},
    "linear": {"rope_type": "linear", "factor": 4.0},
    "llama3": {"rope_type": "llama3", **STRETCHED},
}


def frequencies_of_transformers(folder: Path) -> torch.Tensor:
    from transformers import AutoConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    made: torch.Tensor = LlamaRotaryEmbedding(AutoConfig.from_pretrained(folder)).inv_freq
    return made


def assert_same_frequencies(folder: Path) -> None:
    found = torch.tensor(read_shape(folder).inverse_frequencies)
    torch.testing.assert_close(found, frequencies_of_transformers(folder), rtol=1e-6, atol=0)


@pytest.mark.parametrize("theta", [10_000.0, 500_000.0])
@pytest.mark.parametrize("form", list(OLD_FORMS))
def test_the_old_form_turns_as_in_transformers(form: str, theta: float, tmp_path: Path) -> None:
    assert_same_frequencies(write(tmp_path, {**PLAIN, "rope_theta": theta, **OLD_FORMS[form]}))


@pytest.mark.parametrize("theta", [10_000.0, 500_000.0])
@pytest.mark.parametrize("form", list(NEW_FORMS))
def test_the_new_form_turns_as_in_transformers(form: str, theta: float, tmp_path: Path) -> None:
    rope = {"rope_theta": theta, **NEW_FORMS[form]}
    assert_same_frequencies(write(tmp_path, {**without("rope_theta"), "rope_parameters": rope}))


def test_old_and_new_form_of_the_same_positions_are_the_same(tmp_path: Path) -> None:
    old = read_shape(write(tmp_path, {**PLAIN, **OLD_FORMS["llama3"]}))
    rope = {"rope_theta": PLAIN["rope_theta"], **NEW_FORMS["llama3"]}
    assert read_shape(write(tmp_path, {**without("rope_theta"), "rope_parameters": rope})) == old
    assert read_shape(write(tmp_path, PLAIN)) != old


@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2", "qwen3"])
def test_a_base_that_names_no_theta_has_the_one_of_transformers(kind: str, tmp_path: Path) -> None:
    config = {**without("rope_theta"), "model_type": kind, "sliding_window": None, "head_dim": 32}
    assert_same_frequencies(write(tmp_path, config))


def test_stretched_positions_reach_all_three_parts_of_the_ramp(tmp_path: Path) -> None:
    plain = read_shape(write(tmp_path, PLAIN)).inverse_frequencies
    found = read_shape(write(tmp_path, {**PLAIN, **OLD_FORMS["llama3"]})).inverse_frequencies
    shares = [new / old for new, old in zip(found, plain, strict=True)]
    assert shares[0] == 1
    assert shares[-1] == pytest.approx(1 / 8)
    assert any(1 / 8 < share < 1 for share in shares)


# A configuration is a stranger's: whatever it holds, only UnknownShape comes of it.

ROPES = {"rope_theta", "rope_type", "type", "partial_rotary_factor", *STRETCHED}
NAMES = [*PLAIN, "head_dim", "rope_scaling", "rope_parameters", "partial_rotary_factor", "attention_bias", "mlp_bias",
         "sliding_window", "use_sliding_window", "layer_types", "quantization_config"]  # fmt: skip
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-4, 600),
    st.floats(1e-6, 1e6),
    st.sampled_from(["llama", "qwen3", "silu", "default", "linear", "llama3", "yarn", "64", "", float("nan")]),
    st.text(max_size=5),
)
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.dictionaries(st.sampled_from(sorted(ROPES)), SCALARS, max_size=7),
)
CHANGES = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5)
DROPPED = st.sets(st.sampled_from(NAMES), max_size=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """One for all examples."""
    made = tmp_path_factory.mktemp("configs")
    return lambda: made


@given(changes=CHANGES, dropped=DROPPED)
@settings(max_examples=400, deadline=None)
def test_a_changed_configuration_is_a_sound_shape_or_unknown(
    folder: Callable[[], Path], changes: dict[str, Any], dropped: set[str]
) -> None:
    config = {name: value for name, value in {**PLAIN, **changes}.items() if name not in dropped}
    try:
        shape = read_shape(write(folder(), config))
    except UnknownShape:
        return
    assert len(shape.inverse_frequencies) == shape.head_dim / 2
    assert not any(size % 32 for size in (shape.hidden, shape.intermediate, shape.head_dim))
    assert shape.heads % shape.kv_heads == 0


@given(content=st.one_of(st.binary(max_size=40), st.text('[]{}:,"01eE+-.naul ', max_size=40).map(str.encode)))
@settings(max_examples=200, deadline=None)
def test_no_bytes_at_all_are_a_shape(folder: Callable[[], Path], content: bytes) -> None:
    (folder() / "config.json").write_bytes(content)
    with pytest.raises(UnknownShape):
        read_shape(folder())


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_size": float("inf")},
        {"rms_norm_eps": 10**400},
        {"num_attention_heads": float("-inf")},
        {"rope_theta": 5e-324},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_numbers_beyond_all_bounds_are_unknown(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UnknownShape):
        read_shape(write(tmp_path, {**PLAIN, **changes}))


def test_json_nested_without_end_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(UnknownShape):
        read_shape(tmp_path)


def test_sizes_that_are_no_sizes_are_unknown(tmp_path: Path) -> None:
    negative = {"num_attention_heads": -4, "num_key_value_heads": -4, "head_dim": -32}
    with pytest.raises(UnknownShape):
        read_shape(write(tmp_path, {**PLAIN, **negative}))


def test_positions_that_are_no_real_numbers_are_unknown(tmp_path: Path) -> None:
    with pytest.raises(UnknownShape):
        read_shape(write(tmp_path, {**PLAIN, "rope_theta": -10_000.0}))
