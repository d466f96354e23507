"""A converted model turns its positions as the file says: against the frequencies that transformers then computes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from lora_chat.errors import RefusedError
from lora_chat.models.convert import convert_gguf
from lora_chat.models.convertible import check_convertible
from lora_chat.models.rope import FACTORS, restore_rope
from lora_chat.models.sources.gguf import GgufHead
from tests.models.conftest import quiet, write_gguf

HIDDEN, HALF = 64, 8
PLAIN = 10_000.0 ** (-torch.arange(HALF, dtype=torch.float64) / HALF)
FILE = Path("it.gguf")


def _frequencies(folder: Path) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    found: torch.Tensor = model.model.rotary_emb.inv_freq.double()
    return found


def _llama3(factor: float) -> list[float]:
    """As llama.cpp's converter writes them, for its base of 10,000 here."""
    factors = []
    for frequency in PLAIN.tolist():
        wave = 2 * math.pi / frequency
        smooth = (8192 / wave - 1) / 3
        between = 1 / ((1 - smooth) / factor + smooth)
        factors.append(1.0 if wave < 8192 / 4 else factor if wave > 8192 else between)
    return factors


def test_a_plain_one_stays_plain(tmp_path: Path) -> None:
    convert_gguf(write_gguf(tmp_path / "it.gguf", hidden=HIDDEN), tmp_path / "out", quiet)
    torch.testing.assert_close(_frequencies(tmp_path / "out"), PLAIN, rtol=1e-6, atol=0)


@pytest.mark.parametrize("factor", [8.0, 32.0])
def test_llama_3_keeps_the_factors_of_its_frequencies(tmp_path: Path, factor: float) -> None:
    factors = _llama3(factor)
    assert len({round(each, 3) for each in factors}) == 3  # none, some in between, the whole
    file = write_gguf(tmp_path / "it.gguf", hidden=HIDDEN, more={FACTORS: np.array(factors, np.float32)})
    convert_gguf(file, tmp_path / "out", quiet)
    expected = PLAIN / torch.tensor(factors, dtype=torch.float64)
    torch.testing.assert_close(_frequencies(tmp_path / "out"), expected, rtol=1e-6, atol=0)


def test_factors_of_another_kind_are_refused(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "it.gguf", hidden=HIDDEN, more={FACTORS: np.linspace(1, 9, HALF, dtype=np.float32)})
    with pytest.raises(RefusedError, match=r"factors unlike Llama 3's, .*: pull the model's safetensors instead\."):
        convert_gguf(file, tmp_path / "out", quiet)
    assert not list((tmp_path / "out").iterdir())


def test_a_linear_stretch_is_kept(tmp_path: Path) -> None:
    fields: dict[str, str | float] = {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}
    convert_gguf(write_gguf(tmp_path / "it.gguf", hidden=HIDDEN, fields=fields), tmp_path / "out", quiet)
    torch.testing.assert_close(_frequencies(tmp_path / "out"), PLAIN / 4, rtol=1e-6, atol=0)


def test_gemma_3_stretches_its_full_layers_alone() -> None:
    """As its 4B, 12B and 27B do."""
    config = AutoConfig.for_model("gemma3_text")
    fields = {"rope.scaling.type": "linear", "rope.scaling.factor": 8.0, "rope.freq_base": 1e6}
    restore_rope(FILE, config, _head("gemma3", **fields))
    assert config.rope_parameters == {
        "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
        "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
    }


def test_a_base_frequency_that_transformers_leaves_out_is_kept() -> None:
    config = AutoConfig.for_model("starcoder2", bos_token_id=0, eos_token_id=0)
    restore_rope(FILE, config, _head("starcoder2", **{"rope.freq_base": 999_999.4375}))
    assert config.rope_parameters["rope_theta"] == 999_999.4375


@pytest.mark.parametrize(
    ("architecture", "fields", "kind"),
    [
        ("qwen2", {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0}, "yarn"),
        ("phi3", {"rope.scaling.attn_factor": 1.19}, "longrope"),
        ("llama", {"rope.scaling.type": "\x1b[31mred"}, r"\[31mred"),
    ],
)
def test_what_would_be_lost_is_refused_from_the_head(architecture: str, fields: dict[str, object], kind: str) -> None:
    with pytest.raises(RefusedError, match=rf"it\.gguf has a rotary embedding of the kind {kind}, which"):
        check_convertible(FILE, _head(architecture, **fields))


@pytest.mark.parametrize(
    ("architecture", "fields"),
    [
        ("llama", {}),
        ("qwen3", {"rope.scaling.type": "none"}),
        ("gemma3", {"rope.scaling.type": "linear", "rope.scaling.factor": 8.0}),
        ("phi3", {"rope.scaling.original_context_length": 4096}),
        ("gpt-oss", {"rope.scaling.type": "yarn"}),
    ],
)
def test_what_is_kept_passes(architecture: str, fields: dict[str, object]) -> None:
    check_convertible(FILE, _head(architecture, **fields))


def _head(architecture: str, **fields: object) -> GgufHead:
    named = {f"{architecture}.{name}": value for name, value in fields.items()}
    return GgufHead({"general.architecture": architecture, **named}, 1, {0: "it"})  # type: ignore[dict-item]
