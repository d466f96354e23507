"""``lora-chat serve`` as a process, on a free port, with the tiny Llama or with the scripted engine."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openai import OpenAI

from lora_chat.models.installed import InstalledBase
from lora_chat.paths import Paths, find_paths
from tests.cli.conftest import environment
from tests.conftest import place

SLOW = """
import sys, time
from lora_chat.cli import main
from lora_chat.engine.echo import EchoEngine
from lora_chat.errors import EngineError
from lora_chat.services import Services
loading, delay = float(sys.argv.pop()), float(sys.argv.pop())
FAULTS = {"fails": EngineError("The engine failed (Test): try again."), "breaks": ValueError("xylophone")}
class Slow(EchoEngine):
    def load(self):
        if loading < 0:
            raise EngineError("The base cannot be loaded: it is only a test.")
        time.sleep(loading)
        return super().load()
    def generate(self, request, cancel=None):
        for chunk in super().generate(request, cancel):
            if getattr(chunk, "text", "").strip() in FAULTS:
                raise FAULTS[chunk.text.strip()]
            yield chunk
Services.engine_here = lambda self, base, precision=None: Slow(base, delay=delay)
main()
"""
"""The program with the scripted engine, which takes its time to load and for each word, and fails at two words."""

WAIT_S = 60


@dataclass
class Server:
    """A server that runs."""

    process: subprocess.Popen[str]
    home: Paths
    said: list[str] = field(default_factory=list)
    """Its lines on stderr so far."""

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line.rstrip("\n"))

    def see(self, pattern: str) -> re.Match[str]:
        """Wait for a line that matches."""
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            for line in list(self.said):
                if found := re.search(pattern, line):
                    return found
            time.sleep(0.01)
        raise AssertionError(f"{pattern} was never said: {self.said}")

    @property
    def port(self) -> int:
        return int(self.see(r"^http://\S+?:(\d+)/v1 serves")[1])

    def client(self, key: str = "any", timeout: float = WAIT_S) -> OpenAI:
        return OpenAI(base_url=f"http://127.0.0.1:{self.port}/v1", api_key=key, max_retries=0, timeout=timeout)

    def raw(self, method: str, path: str, body: bytes | None = None, **headers: str) -> http.client.HTTPResponse:
        """One request, as no client library would send it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        return connection.getresponse()

    def interrupt(self, number: int = signal.SIGINT) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for its end; its exit code."""
        code = self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        return code


Start = Callable[..., Server]


def start_server(home: Paths, *words: str, delay: float | None = None, loading: float = 0.0, **more: str) -> Server:
    program = ["-m", "lora_chat"] if delay is None else ["-c", SLOW]
    scripted = [] if delay is None else [str(delay), str(loading)]
    port = [] if "--port" in words else ["--port", "0"]
    process = subprocess.Popen(
        [sys.executable, *program, "serve", *port, *words, *scripted],
        env=environment(home, **more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return Server(process, home)


def new_home(base: InstalledBase, root: Path) -> Paths:
    home = find_paths({"LORA_CHAT_HOME": str(root)})
    place(base, home)
    home.config.write_text('model = "tiny-llama"\nmax_tokens = 12\n', encoding="utf-8")
    for number, name in enumerate(("shop", "bot")):
        write_lora(home.adapters / name, base, number)
    return home


def write_lora(folder: Path, base: InstalledBase, seed: int, **chat: Any) -> None:
    """A random adapter that fits ``base`` and changes what it says."""
    from safetensors.numpy import save_file

    draw = np.random.default_rng(seed)
    tensors = {
        f"base_model.model.{name}.lora_{side}.weight": draw.standard_normal(shape).astype(np.float32)
        for name, (out, into) in base.signature.modules.items()
        for side, shape in (("A", (4, into)), ("B", (out, 4)))
    }
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    targets = sorted({name.rsplit(".", 1)[-1] for name in base.signature.modules})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base.signature.lineage,
        "r": 4,
        "lora_alpha": 1,
        "target_modules": targets,
    }
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    if chat:
        lines = [f"{name} = {json.dumps(value)}" for name, value in chat.items()]
        text = "\n".join(["schema = 1", f'name = "{folder.name}"', "[chat]", *lines])
        (folder / "adapter.toml").write_text(text, encoding="utf-8")


@pytest.fixture(scope="session")
def served_home(tiny_llama: InstalledBase, tmp_path_factory: pytest.TempPathFactory) -> Paths:
    return new_home(tiny_llama, tmp_path_factory.mktemp("served") / "home")


@pytest.fixture(scope="session")
def server(served_home: Paths) -> Iterator[Server]:
    """With the tiny Llama; shared by all tests of a run that leave it as it is."""
    started = start_server(served_home)
    try:
        started.see("^Ready: ")
        yield started
    finally:
        started.process.kill()


@pytest.fixture
def client(server: Server) -> OpenAI:
    return server.client()


@pytest.fixture
def start(tiny_llama: InstalledBase, tmp_path: Path) -> Iterator[Start]:
    """Start one of one's own."""
    started: list[Server] = []

    def start(*words: str, wait: bool = True, **more: Any) -> Server:
        home = new_home(tiny_llama, tmp_path / f"home-{len(started)}")
        server = start_server(home, *words, **({"delay": 0.0} | more))
        started.append(server)
        if wait:
            server.see("^Ready: ")
        return server

    yield start
    for each in started:
        each.process.kill()
        each.end()
