"""Each kind of engine on the tiny Llama, for the tests of what all of them keep."""

from __future__ import annotations

from contextlib import ExitStack, closing
from functools import partial

import pytest

from lora_chat.engine.echo import EchoEngine
from lora_chat.engine.kept import Kept
from lora_chat.engine.local import LocalEngine
from lora_chat.engine.process import ProcessEngine
from lora_chat.engine.protocol import Engine
from lora_chat.models.installed import InstalledBase
from tests.engine.conftest import MADE
from tests.remote.fake_server import FakeServer, exports_of
from tests.remote.loading import plugin

KINDS = ["local", "process", "echo"]
REMOTE = ["vllm", "llama-server"]
"""Servers, here fake ones, that the remote engine asks."""


def make(kind: str, base: InstalledBase, kept: Kept, folders: pytest.TempPathFactory, stack: ExitStack) -> Engine:
    """An engine that ends with ``stack``."""
    return stack.enter_context(closing(_made(kind, base, kept, folders, stack)))


def _made(kind: str, base: InstalledBase, kept: Kept, folders: pytest.TempPathFactory, stack: ExitStack) -> Engine:
    if kind in REMOTE:
        server = stack.enter_context(FakeServer(kind, started_with=partial(exports_of, MADE)))
        engine: Engine = plugin().open_engine({"url": server.url}, base, {})
        return engine
    if kind == "local":
        return LocalEngine(base, kept)
    return EchoEngine(base, delay=0.002) if kind == "echo" else ProcessEngine(base, kept, folders.mktemp("logs"))
