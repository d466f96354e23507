"""What leaves for other programs: a merged model that transformers loads, and a LoRA as llama.cpp reads it.

That llama.cpp itself makes the same text of it is for ``tests/real/test_export.py`` to show.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from lora_chat.adapters.manifest import BaseClaim, Manifest
from lora_chat.adapters.verify import load_verified
from lora_chat.errors import RefusedError
from lora_chat.models.exports.gguf_lora import export_gguf
from lora_chat.models.exports.llama_cpp import ARCHITECTURES, laid_out, tensor_name
from lora_chat.models.exports.merged import export_merged
from lora_chat.models.installed import InstalledBase
from lora_chat.paths import Paths
from tests.conftest import CHATML, installed, write_tokenizer
from tests.models.conftest import quiet

MANIFEST = Manifest(name="bot", base=BaseClaim("tiny-llama"))
PROMPT = torch.arange(3, 27).reshape(2, 12)


def loaded(folder: Path, **settings: Any) -> Any:
    from transformers import AutoModelForCausalLM

    settings = {"dtype": torch.float32, "local_files_only": True} | settings
    return AutoModelForCausalLM.from_pretrained(folder, **settings).eval()


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=PROMPT).logits.float()
    return found


def adapted(base: InstalledBase, folder: Path, **settings: Any) -> Path:
    """An adapter that real PEFT saved for ``base``, random and strong enough to see."""
    torch.manual_seed(5)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"} | settings
    model = get_peft_model(loaded(base.folder), LoraConfig(task_type="CAUSAL_LM", **settings))
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(str(folder))
    return folder


def worn_by_peft(base: InstalledBase, folder: Path) -> torch.Tensor:
    return logits(PeftModel.from_pretrained(loaded(base.folder), str(folder)).eval())


def merged(base: InstalledBase, folder: Path, into: Path, dtype: str = "") -> Path:
    export_merged(load_verified(folder, base.signature), MANIFEST, base, into, dtype, quiet)
    return into


def checksum(folder: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in sorted(folder.iterdir()))).hexdigest()


@pytest.fixture(scope="session")
def tiny_gpt2(tmp_path_factory: pytest.TempPathFactory) -> InstalledBase:
    """A random GPT-2 of 2 layers: its linear modules keep their weights as (in, out)."""
    from transformers import GPT2Config, GPT2LMHeadModel

    folder = tmp_path_factory.mktemp("gpt2") / "tiny-gpt2"
    size = write_tokenizer(folder, specials=["<|endoftext|>"], eos="<|endoftext|>", template=CHATML)
    torch.manual_seed(3)
    config = GPT2Config(vocab_size=size, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=0, eos_token_id=0)
    GPT2LMHeadModel(config).save_pretrained(folder)
    return installed(folder, tmp_path_factory.mktemp("gpt2-home"))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_rslora": True, "rank_pattern": {"q_proj": 6}, "alpha_pattern": {"q_proj": 5}},
        {"target_modules": ["q_proj"], "layers_to_transform": [1]},
    ],
)
def test_the_merged_model_is_the_base_wearing_it(
    settings: dict[str, Any], tiny_llama: InstalledBase, tmp_path: Path
) -> None:
    before = checksum(tiny_llama.folder)
    folder = adapted(tiny_llama, tmp_path / "bot", **settings)
    found = logits(loaded(merged(tiny_llama, folder, tmp_path / "merged")))
    assert (found - worn_by_peft(tiny_llama, folder)).abs().max() <= 1e-3
    assert (found - logits(loaded(tiny_llama.folder))).abs().max() > 0.05
    assert checksum(tiny_llama.folder) == before


@pytest.mark.parametrize("kind", ["tiny_opt", "tiny_gpt2"])
def test_other_shapes_merge_as_well(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    base = request.getfixturevalue(kind)
    folder = adapted(base, tmp_path / "bot")
    found = logits(loaded(merged(base, folder, tmp_path / "merged")))
    assert (found - worn_by_peft(base, folder)).abs().max() <= 1e-3


def test_a_base_in_several_files_stays_one_and_another_data_type_is_said(
    tiny_llama: InstalledBase, tmp_path: Path
) -> None:
    folder = tmp_path / "pieces"
    loaded(tiny_llama.folder, dtype=torch.bfloat16).save_pretrained(folder, max_shard_size="60KB")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (folder / name).write_bytes((tiny_llama.folder / name).read_bytes())
    base = installed(folder, tmp_path / "home")
    bot = adapted(base, tmp_path / "bot")
    wide, half = merged(base, bot, tmp_path / "wide", "F32"), merged(base, bot, tmp_path / "half")
    assert len(list(half.glob("*.safetensors"))) == len(list(folder.glob("*.safetensors"))) > 1
    assert (logits(loaded(wide)) - worn_by_peft(base, bot)).abs().max() <= 1e-3
    for each, dtype in ((wide, "float32"), (half, "bfloat16")):
        assert json.loads((each / "config.json").read_text())["dtype"] == dtype
        assert next(loaded(each, dtype="auto").parameters()).dtype == getattr(torch, dtype)
        total = json.loads((each / "model.safetensors.index.json").read_text())["metadata"]["total_size"]
        assert 0 < sum(file.stat().st_size for file in each.glob("*.safetensors")) - total < 10_000


def test_what_lora_chat_chats_with_goes_along_and_it_can_be_pulled(tiny_llama: InstalledBase, tmp_path: Path) -> None:
    out = merged(tiny_llama, adapted(tiny_llama, tmp_path / "bot"), tmp_path / "shop-model")
    assert {"config.json", "tokenizer.json", "chat_template.jinja", "README.md"} <= {
        each.name for each in out.iterdir()
    }
    assert "base_model: " in (out / "README.md").read_text()
    base = installed(out, tmp_path / "home")
    assert base.signature.modules == tiny_llama.signature.modules
    assert base.signature.chat_template == tiny_llama.signature.chat_template
    assert base.signature.weights != tiny_llama.signature.weights


def test_memory_holds_one_tensor_at_a_time(tiny_llama: InstalledBase, tmp_path: Path) -> None:
    import tracemalloc

    folder = adapted(tiny_llama, tmp_path / "bot", target_modules=["q_proj"])
    verified = load_verified(folder, tiny_llama.signature)
    largest = 384 * 64 * 4  # the embedding
    tracemalloc.start()
    export_merged(verified, MANIFEST, tiny_llama, tmp_path / "merged", "", quiet)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    weights = (tiny_llama.folder / "model.safetensors").stat().st_size
    assert peak < 3 * largest < weights


def test_an_interrupted_merge_leaves_nothing(
    tiny_llama: InstalledBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified = load_verified(adapted(tiny_llama, tmp_path / "bot"), tiny_llama.signature)

    def press(what: str, done: float, total: float) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_merged(verified, MANIFEST, tiny_llama, tmp_path / "out" / "merged", "", press)
    assert list((tmp_path / "out").iterdir()) == []


def gguf_of(base: InstalledBase, folder: Path, into: Path, dtype: str = "") -> gguf.GGUFReader:
    config = json.loads((base.folder / "config.json").read_text())
    export_gguf(load_verified(folder, base.signature), MANIFEST, config, into, dtype)
    return gguf.GGUFReader(into)


def rows_back(rows: Any, heads: int) -> Any:
    """llama.cpp's order undone by counting: row 2i of a head was i, row 2i+1 was i + half."""
    size = rows.shape[0] // heads
    back = np.empty_like(rows)
    for head in range(heads):
        for row in range(size):
            back[head * size + row // 2 + (row % 2) * (size // 2)] = rows[head * size + row]
    return back


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": {"q_proj": 6}, "alpha_pattern": {"q_proj": 5, "up_proj": 3}},
        {"use_rslora": True, "rank_pattern": {"q_proj": 6}, "alpha_pattern": {"k_proj": 5}},
    ],
)
def test_the_gguf_adds_what_the_adapter_adds(
    settings: dict[str, Any], tiny_llama: InstalledBase, tmp_path: Path
) -> None:
    """Read as ``llama-adapter.cpp`` does: each product scaled by the one alpha over the module's own rank."""
    folder = adapted(tiny_llama, tmp_path / "bot", **settings)
    reader = gguf_of(tiny_llama, folder, tmp_path / "bot.gguf")
    said = {name: field.contents() for name, field in reader.fields.items()}
    assert (said["general.architecture"], said["general.type"], said["adapter.type"]) == ("llama", "adapter", "lora")
    tensors = {tensor.name: np.array(tensor.data) for tensor in reader.tensors}
    layout = load_verified(folder, tiny_llama.signature).layout
    assert len(tensors) == 2 * len(layout.modules)
    peft = PeftModel.from_pretrained(loaded(tiny_llama.folder), str(folder))
    for name, module in peft.get_base_model().named_modules():
        if name in layout.modules:
            a, b = (tensors[f"{tensor_name(name)}.lora_{side}"] for side in "ab")
            delta = said["adapter.lora.alpha"] / a.shape[0] * (b @ a)
            heads = {"q_proj": 4, "k_proj": 2}.get(name.rsplit(".", 1)[-1])
            expected = module.get_delta_weight("default").numpy()
            assert np.allclose(rows_back(delta, heads) if heads else delta, expected, atol=1e-5), name
            if heads:
                assert not np.allclose(delta, expected, atol=1e-2), "not permuted at all"


def test_plain_numbers_are_written_as_they_are(tiny_llama: InstalledBase, tmp_path: Path) -> None:
    folder = adapted(tiny_llama, tmp_path / "bot", use_rslora=True)
    verified = load_verified(folder, tiny_llama.signature)
    reader = gguf_of(tiny_llama, folder, tmp_path / "bot.gguf")
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    module = verified.layout.modules["model.layers.0.mlp.up_proj"]
    raw = verified.files.weights[module.b.start : module.b.stop]
    assert tensors["blk.0.ffn_up.weight.lora_b"].data.tobytes() == raw
    for dtype in ("F16", "BF16"):
        half = gguf_of(tiny_llama, folder, tmp_path / f"{dtype}.gguf", dtype)
        assert {tensor.tensor_type.name for tensor in half.tensors} == {dtype}
        assert 2 * (tmp_path / f"{dtype}.gguf").stat().st_size < (tmp_path / "bot.gguf").stat().st_size + 4_000


def test_only_llama_shaped_files_have_their_rows_permuted() -> None:
    rows = np.arange(8).reshape(8, 1)
    for kind, architecture in ARCHITECTURES.items():
        config = {"model_type": kind, "num_attention_heads": 2, "num_key_value_heads": 1}
        moved = laid_out("model.layers.0.self_attn.q_proj", rows, config).ravel().tolist()
        assert moved == ([0, 2, 1, 3, 4, 6, 5, 7] if architecture == "llama" else list(range(8)))
        assert laid_out("model.layers.0.self_attn.v_proj", rows, config) is rows


def test_a_base_or_module_unknown_to_llama_cpp_is_refused_naming_what_is_known(
    tiny_opt: InstalledBase, tmp_path: Path
) -> None:
    folder = adapted(tiny_opt, tmp_path / "bot")
    with pytest.raises(RefusedError, match=r'kind "opt" .* only llama, mistral, qwen2, qwen3 can'):
        gguf_of(tiny_opt, folder, tmp_path / "bot.gguf")
    with pytest.raises(RefusedError, match=r"has no name in llama\.cpp"):
        tensor_name("model.layers.0.self_attn.rotary")
    assert not (tmp_path / "bot.gguf").exists()


def test_a_taken_place_is_refused(tiny_llama: InstalledBase, tmp_path: Path, paths: Paths) -> None:
    folder = adapted(tiny_llama, tmp_path / "bot", target_modules=["q_proj"])
    taken = tmp_path / "taken"
    taken.write_text("mine")
    with pytest.raises(RefusedError, match="is there already"):
        gguf_of(tiny_llama, folder, taken)
    with pytest.raises(RefusedError, match="is there already"):
        merged(tiny_llama, folder, taken)
    assert taken.read_text() == "mine"
