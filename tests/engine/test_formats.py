"""How a base may lie in its folder: what is pulled and chats, what is refused at the pull, and what is never run."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lora_chat.engine.kept import Kept
from lora_chat.engine.local import LocalEngine
from lora_chat.engine.protocol import Request, TextChunk
from lora_chat.errors import LoraChatError, RefusedError
from lora_chat.models.installed import InstalledBase
from tests.conftest import installed
from tests.engine.conftest import GREEDY, QUESTION, user

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
SHARDS = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]


@pytest.fixture
def folder(tiny_llama: InstalledBase, tmp_path: Path) -> Path:
    """A copy of a tiny Llama that a test may lay out otherwise."""
    return Path(shutil.copytree(tiny_llama.folder, tmp_path / "other"))


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """What planted code would make."""
    return tmp_path / "ran"


def said(base: InstalledBase, work: Path) -> str:
    """What ``base`` answers, greedily."""
    engine = LocalEngine(base, Kept(work, work), "fp32")
    chunks = list(engine.generate(Request(user(QUESTION), None, replace(GREEDY, max_tokens=24))))
    engine.close()
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, TextChunk))


def in_type(folder: Path, kind: torch.dtype) -> None:
    tensors = {name: each.to(kind) for name, each in load_file(folder / WEIGHTS).items()}
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})


def in_shards(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    places = {name: SHARDS[number % 2] for number, name in enumerate(sorted(tensors))}
    for shard in SHARDS:
        save_file({name: tensors[name] for name, place in places.items() if place == shard}, folder / shard)
    index = {"metadata": {"total_size": sum(each.nbytes for each in tensors.values())}, "weight_map": places}
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")


def edited(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | values), encoding="utf-8")


class Evil:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return (open, (str(self.path), "w"))


def plant_pickles(folder: Path, ran: Path) -> None:
    data = pickle.dumps(Evil(ran))
    for name in ("pytorch_model.bin", "model.pt", "training_args.bin", "optimizer.pt", "model.pkl", "tf_model.h5"):
        (folder / name).write_bytes(data)
    index = {"weight_map": {"lm_head.weight": "pytorch_model.bin"}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index), encoding="utf-8")


def plant_code(folder: Path, ran: Path) -> None:
    """Code under every name that a configuration can ask for; the model's kind stays the library's."""
    for name in ("planted", "modeling_llama", "tokenization_llama", "configuration_llama", "__init__"):
        (folder / f"{name}.py").write_text(f"open({str(ran)!r}, 'w')\n", encoding="utf-8")
    code = dict.fromkeys(("AutoConfig", "AutoModel", "AutoModelForCausalLM"), "planted.X")
    edited(folder / "config.json", auto_map=code, trust_remote_code=True)
    edited(
        folder / "tokenizer_config.json",
        auto_map={"AutoTokenizer": ["planted.X", "planted.X"]},
        trust_remote_code=True,
    )
    edited(folder / "generation_config.json", custom_generate="planted", trust_remote_code=True)


# What is pulled and chats


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("sharded", [False, True])
def test_weights_of_each_width_whole_or_in_shards_say_what_the_same_numbers_say(
    folder: Path, tmp_path: Path, kind: torch.dtype, sharded: bool
) -> None:
    in_type(folder, kind)
    if sharded:
        in_shards(folder)
    base = installed(folder, tmp_path / "home")
    answer = said(base, tmp_path / "kept")
    plain = Path(shutil.copytree(folder, tmp_path / "plain"))
    if sharded:
        tensors = load_file(plain / SHARDS[0]) | load_file(plain / SHARDS[1])
        save_file(tensors, plain / WEIGHTS, {"format": "pt"})
        for name in (*SHARDS, INDEX):
            (plain / name).unlink()
    in_type(plain, torch.float32)
    assert answer
    assert answer == said(installed(plain, tmp_path / "plain-home"), tmp_path / "plain-kept")


def test_pickles_beside_safetensors_are_never_read(
    folder: Path, tiny_llama: InstalledBase, tmp_path: Path, ran: Path
) -> None:
    plant_pickles(folder, ran)
    assert said(installed(folder, tmp_path / "home"), tmp_path) == said(tiny_llama, tmp_path)
    assert not ran.exists()


def test_code_beside_a_known_model_is_never_run_and_the_librarys_own_class_answers(
    folder: Path, tiny_llama: InstalledBase, tmp_path: Path, ran: Path
) -> None:
    plant_code(folder, ran)
    base = installed(folder, tmp_path / "home")
    assert base.signature.architecture == "LlamaForCausalLM"
    assert said(base, tmp_path) == said(tiny_llama, tmp_path)
    assert not ran.exists()


def test_the_traps_would_spring(folder: Path, ran: Path) -> None:
    plant_pickles(folder, ran)
    with (folder / "pytorch_model.bin").open("rb") as file:
        pickle.load(file).close()
    assert ran.exists()
    ran.unlink()
    plant_code(folder, ran)
    exec((folder / "planted.py").read_text(encoding="utf-8"))
    assert ran.exists()


# What is refused at the pull, before it is a base


def unknown_model(folder: Path, ran: Path) -> None:
    plant_code(folder, ran)
    edited(folder / "config.json", model_type="planted", architectures=["PlantedForCausalLM"])


def unknown_model_without_a_type(folder: Path, ran: Path) -> None:
    plant_code(folder, ran)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del config["model_type"]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def only_pickles(folder: Path, ran: Path) -> None:
    plant_pickles(folder, ran)
    (folder / WEIGHTS).unlink()


def planted_adapter(folder: Path, ran: Path) -> None:
    adapter = {"peft_type": "LORA", "base_model_name_or_path": "evil/base", "auto_mapping": {"parent_library": "evil"}}
    (folder / "adapter_config.json").write_text(json.dumps(adapter), encoding="utf-8")


def no_tokenizer(folder: Path, ran: Path) -> None:
    (folder / "tokenizer.json").unlink()


def shard_missing(folder: Path, ran: Path) -> None:
    in_shards(folder)
    (folder / SHARDS[1]).unlink()


def shard_cut(folder: Path, ran: Path) -> None:
    in_shards(folder)
    (folder / SHARDS[1]).write_bytes((folder / SHARDS[1]).read_bytes()[:-10])


def index_missing(folder: Path, ran: Path) -> None:
    in_shards(folder)
    (folder / INDEX).unlink()


@pytest.mark.parametrize(
    ("lay", "sentence"),
    [
        (unknown_model, "is not a base model lora-chat can use"),
        (unknown_model_without_a_type, "is not a base model lora-chat can use"),
        (only_pickles, "only safetensors weights are loaded, never pickles"),
        (planted_adapter, "holds an adapter_config.json, so it is no plain base model"),
        (no_tokenizer, "has no tokenizer"),
        (shard_missing, f"The weight file .*{SHARDS[1]} is missing"),
        (shard_cut, f"The weight file .*{SHARDS[1]} is damaged or cut short"),
        (index_missing, "has no model.safetensors"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence_and_nothing_of_it_runs(
    folder: Path, tmp_path: Path, ran: Path, lay: Callable[[Path, Path], None], sentence: str
) -> None:
    lay(folder, ran)
    with pytest.raises(RefusedError, match=sentence) as refused:
        installed(folder, tmp_path / "home")
    assert "\n" not in str(refused.value)
    assert not ran.exists()
    assert [path.name for path in (tmp_path / "home" / "models").iterdir()] == [".pull.lock"]


@pytest.mark.parametrize("lay", [planted_adapter, only_pickles, shard_missing, unknown_model])
def test_what_is_planted_after_the_pull_does_not_answer(
    folder: Path, tmp_path: Path, ran: Path, lay: Callable[[Path, Path], None]
) -> None:
    from lora_chat.models.installed import find_base

    base = installed(folder, tmp_path / "home")
    lay(folder, ran)
    with pytest.raises(LoraChatError) as refused:
        said(find_base(tmp_path / "home" / "models", base.name), tmp_path)
    assert "\n" not in str(refused.value)
    assert not ran.exists()
