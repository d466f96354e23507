"""What the remote engine's tests ask: servers of each kind, engines on them, and adapters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from lora_chat.engine.protocol import Engine
from lora_chat.models.installed import InstalledBase
from tests.engine.conftest import adapters
from tests.remote.fake_server import FakeServer
from tests.remote.loading import plugin

__all__ = ["adapters"]

Opened = Callable[..., Engine]


@pytest.fixture
def serve() -> Iterator[Callable[..., FakeServer]]:
    """Start a server that ends with the test."""
    with ExitStack() as stack:
        yield lambda kind="vllm", **more: stack.enter_context(FakeServer(kind, **more))


@pytest.fixture
def opened(tiny_llama: InstalledBase) -> Iterator[Opened]:
    """Open an engine on a server, or on an address, that ends with the test."""
    engines: list[Engine] = []

    def open_on(server: FakeServer | str, environ: dict[str, str] | None = None, **table: Any) -> Engine:
        url = server if isinstance(server, str) else server.url
        engine: Engine = plugin().open_engine({"url": url, "retries": 0, **table}, tiny_llama, environ or {})
        engines.append(engine)
        return engine

    yield open_on
    for engine in engines:
        engine.close()
