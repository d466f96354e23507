"""What honest tools save is worn as it is: the logits equal those of PEFT's own loader, number by number."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from lora_chat.adapters.install import install_folder
from lora_chat.adapters.verify import check_fit, load_verified
from lora_chat.adapters.weights import read_adapter
from lora_chat.models.attach import wear
from lora_chat.paths import Paths
from tests.adapters.conftest import SIGNATURE

PROMPT = torch.arange(1, 25).reshape(2, 12)
Edit = Callable[[Path], None]


def saved_by_peft(base: Any, folder: Path, **settings: Any) -> Path:
    """Let PEFT make, randomise and save an adapter on its own copy of ``base``."""
    torch.manual_seed(3)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]} | settings
    model = get_peft_model(copy.deepcopy(base), LoraConfig(task_type="CAUSAL_LM", **settings))
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(str(folder))
    return folder


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=PROMPT).logits
    return found


def rewrite_weights(folder: Path, change: Callable[[str, torch.Tensor], tuple[str, torch.Tensor]]) -> None:
    from safetensors.torch import load_file, save_file

    path = str(folder / "adapter_model.safetensors")
    save_file(dict(change(name, tensor) for name, tensor in load_file(path).items()), path)


def rewrite_config(folder: Path, **changes: Any) -> None:
    path = folder / "adapter_config.json"
    value = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: each for key, each in value.items() if each is not ...}))


def as_dtype(dtype: torch.dtype) -> Edit:
    return lambda folder: rewrite_weights(folder, lambda name, tensor: (name, tensor.to(dtype)))


def with_default_infix(folder: Path) -> None:
    rewrite_weights(folder, lambda name, tensor: (name.replace(".weight", ".default.weight"), tensor))


def bare_names(folder: Path) -> None:
    rewrite_weights(folder, lambda name, tensor: (name.removeprefix("base_model.model."), tensor))


def as_unsloth(folder: Path) -> None:
    mapping = {"base_model_class": "LlamaForCausalLM", "parent_library": "os", "unsloth_fixed": True}
    rewrite_config(folder, auto_mapping=mapping, revision="main")


def as_peft_0_10(folder: Path) -> None:
    """The fields that PEFT 0.10 knew."""
    later = ("alora_invocation_tokens", "arrow_config", "corda_config", "ensure_weight_tying", "eva_config",
             "exclude_modules", "kasa_config", "lora_bias", "lora_ga_config", "monteclora_config", "peft_version",
             "qalora_group_size", "target_parameters", "trainable_token_indices", "use_bdlora", "use_qalora",
             "velora_config")  # fmt: skip
    rewrite_config(folder, **dict.fromkeys(later, ...))


_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
_CHECKPOINT = ("adapter_config.json", "adapter_model.safetensors", "optimizer.pt", "rng_state.pth", "scheduler.pt",
               "trainer_state.json", "training_args.bin")  # fmt: skip
LEFT_BY: dict[str, tuple[str, ...]] = {
    # Trainer.save_model and its checkpoints, the card of TRL's create_model_card.
    "TRL": (*_TOKENIZER, "training_args.bin", "README.md", *(f"checkpoint-5/{name}" for name in _CHECKPOINT)),
    # save_pretrained of its FastLanguageModel, after a push of the merged model's config.
    "Unsloth": (*_TOKENIZER, "README.md", "vocab.json", "merges.txt", "added_tokens.json"),
    # QwenLM/Qwen#940 lists one; plot_loss and the evaluation add the rest.
    "LLaMA-Factory": (*_TOKENIZER, "README.md", "all_results.json", "train_results.json", "eval_results.json",
                      "trainer_log.jsonl", "trainer_state.json", "training_args.bin", "training_loss.png",
                      "training_eval_loss.png", "tokenization_qwen.py", "qwen.tiktoken",
                      *(f"checkpoint-5/{name}" for name in _CHECKPOINT)),
    # save_initial_configs writes the model's config beside the adapter; merge-lora and its logs may follow.
    "axolotl": (*_TOKENIZER, "README.md", "config.json", "generation_config.json", "debug.log",
                "model.safetensors.index.json", "merged/config.json", "merged/model.safetensors",
                *(f"checkpoint-5/{name}" for name in _CHECKPOINT)),
}  # fmt: skip
"""What each trainer's output folder holds beside the adapter."""


def beside_what(tool: str) -> Edit:
    def edit(folder: Path) -> None:
        for name in LEFT_BY[tool]:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(b"raise SystemExit('never run')\n")

    return edit


def as_unsloth_saves(folder: Path) -> None:
    as_unsloth(folder)
    beside_what("Unsloth")(folder)


VARIANTS: dict[str, tuple[dict[str, Any], Edit | None]] = {
    "plain": ({}, None),
    "rslora": ({"use_rslora": True}, None),
    "rank pattern": ({"rank_pattern": {"layers.1.self_attn.q_proj": 7, "v_proj": 2}}, None),
    "alpha pattern": (
        {"alpha_pattern": {"^model.layers.0.self_attn.q_proj": 32, "layers.1.self_attn.v_proj": 3}},
        None,
    ),
    "both patterns with rslora": (
        {"rank_pattern": {"q_proj": 6}, "alpha_pattern": {"q_proj": 5}, "use_rslora": True},
        None,
    ),
    "all-linear": ({"target_modules": "all-linear", "r": 8}, None),
    "regex targets": ({"target_modules": r".*layers\.[01]\.(self_attn\.q_proj|mlp\.(up|down)_proj)"}, None),
    "full names": ({"target_modules": ["model.layers.0.mlp.gate_proj", "model.layers.1.self_attn.o_proj"]}, None),
    "one layer": ({"layers_to_transform": [1]}, None),
    "excluded": ({"exclude_modules": ["layers.0.self_attn.v_proj"]}, None),
    "gaussian init": ({"init_lora_weights": "gaussian"}, None),
    "orthogonal init": ({"init_lora_weights": "orthogonal"}, None),
    "float alpha": ({"lora_alpha": 2.5}, None),
    "dropout": ({"lora_dropout": 0.3}, None),
    "rank 1": ({"r": 1}, None),
    "fp16": ({}, as_dtype(torch.float16)),
    "bf16": ({"target_modules": "all-linear"}, as_dtype(torch.bfloat16)),
    "unsloth's auto_mapping": ({}, as_unsloth),
    "peft 0.10": ({}, as_peft_0_10),
    "TRL's folder": ({}, beside_what("TRL")),
    "Unsloth's folder": ({}, as_unsloth_saves),
    "LLaMA-Factory's folder": (
        {"target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]},
        beside_what("LLaMA-Factory"),
    ),
    "axolotl's folder": ({"target_modules": "all-linear", "lora_dropout": 0.05}, beside_what("axolotl")),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_equal_plain_peft(variant: str, llama: Any, tmp_path: Path) -> None:
    settings, edit = VARIANTS[variant]
    folder = saved_by_peft(llama, tmp_path / "adapter", **settings)
    if edit is not None:
        edit(folder)
    expected = logits(PeftModel.from_pretrained(copy.deepcopy(llama), str(folder)).eval())
    worn = wear(llama, load_verified(folder, SIGNATURE), "a1b2c3")
    assert torch.equal(logits(worn), expected)
    assert not torch.equal(expected, logits(llama))


@pytest.mark.parametrize("edit", [bare_names, with_default_infix])
def test_other_spellings_of_tensor_names_mean_the_same(edit: Edit, llama: Any, tmp_path: Path) -> None:
    """PEFT itself drops these in silence, so the reference is the folder before the edit."""
    folder = saved_by_peft(llama, tmp_path / "adapter")
    expected = logits(PeftModel.from_pretrained(copy.deepcopy(llama), str(folder)).eval())
    edit(folder)
    assert torch.equal(logits(wear(llama, load_verified(folder, SIGNATURE), "a1b2c3")), expected)


def test_what_is_ignored_is_listed(llama: Any, tmp_path: Path) -> None:
    folder = saved_by_peft(llama, tmp_path / "adapter")
    as_unsloth(folder)
    files = read_adapter(folder)
    assert {"auto_mapping", "revision", "peft_version", "megatron_core"} <= set(files.settings.ignored)
    assert any("auto_mapping, revision" in warning for warning in files.warnings)


def test_zero_b_fits_and_says_that_it_changes_nothing(llama: Any, tmp_path: Path) -> None:
    folder = saved_by_peft(llama, tmp_path / "adapter")
    rewrite_weights(folder, lambda name, tensor: (name, tensor * (0.0 if "lora_B" in name else 1.0)))
    verdict = check_fit(read_adapter(folder), SIGNATURE)
    assert verdict.ok
    assert any("changes nothing" in warning for warning in verdict.warnings)


@pytest.mark.parametrize("form", ["folder", "zip", "tar", "gztar", "xztar"])
@pytest.mark.parametrize("tool", LEFT_BY)
def test_a_trainers_folder_installs_to_the_same_bytes_in_any_form(
    tool: str, form: str, llama: Any, tmp_path: Path, paths: Paths
) -> None:
    folder = saved_by_peft(llama, tmp_path / "sent" / "adapter")
    beside_what(tool)(folder)
    source = folder
    if form != "folder":
        source = Path(shutil.make_archive(str(tmp_path / "adapter"), form, folder.parent, "adapter"))
    done = install_folder(source, paths, signature=SIGNATURE)
    assert done.adapter.name == "adapter"
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (done.adapter.path / name).read_bytes() == (folder / name).read_bytes()
    assert set(done.ignored) == {name.split("/")[0] for name in LEFT_BY[tool]} - {"README.md"}
    assert install_folder(folder, paths).already
