"""Pulling from a fake hub in a child process: the client reads ``HF_ENDPOINT`` once, at import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_chat.paths import Paths
from tests.models.hubs import FakeModelScope, FakeServer

# The client hands bytes on in pieces of 10 MB; the tiny model wants smaller ones to be cut in two.
_CHILD = """
import json, os, shutil, sys
from types import SimpleNamespace
try:
    from huggingface_hub import constants
    constants.DOWNLOAD_CHUNK_SIZE = 1024
except ValueError:  # an endpoint that is no address
    pass
from lora_chat.errors import LoraChatError
import lora_chat.hub.download
from lora_chat.models.catalog import resolve
from lora_chat.models.sources import hub, pull
from lora_chat.paths import find_paths
from collections.abc import Mapping
from pathlib import Path
sys.modules["lora_chat.hub.download"]._WAIT_S = 0.01
if "FREE" in os.environ:
    shutil.disk_usage = lambda _: SimpleNamespace(free=int(os.environ["FREE"]))
seen = []
def progress(what, done, total):
    seen.append((what, done, total))
home, repo, whole = sys.argv[1:]
try:
    if whole == "whole":
        pull(resolve(repo), find_paths({"LORA_CHAT_HOME": home}), progress)
    else:  # without torch
        (Path(home) / "models").mkdir(parents=True, exist_ok=True)
        hub.fetch_hub(resolve(repo).source, Path(home) / "models" / ".partial-tiny", "tiny", progress)
    print(json.dumps({"seen": seen}))
except LoraChatError as error:
    print(json.dumps({"error": str(error), "code": error.exit_code, "seen": seen}))
"""


def start(hub: FakeServer, paths: Paths, repo: str, *, whole: bool, **environ: str) -> subprocess.Popen[str]:
    """Begin to pull ``repo`` from ``hub``: the files alone, or the ``whole`` way to a base model."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "MODELSCOPE_"))}
    home = paths.models.parent
    env = clean | {"HF_HOME": str(home / "hf"), "NO_PROXY": "127.0.0.1"}
    env[endpoint_name(hub)] = hub.address + hub.prefix
    words = [sys.executable, "-c", _CHILD, str(home), repo, "whole" if whole else "files"]
    return subprocess.Popen(words, env=env | environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def fetch(
    hub: FakeServer,
    paths: Paths,
    repo: str = "",
    *,
    whole: bool = False,
    environ: Mapping[str, str] | None = None,
    **more: str,
) -> dict[str, Any]:
    """Pull ``repo`` to its end; nothing may reach stderr, where the client's own bars and warnings would go."""
    with start(hub, paths, repo or tiny(hub), whole=whole, **{**(environ or {}), **more}) as child:
        out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    assert "\n" not in found.get("error", "")
    return found


def tiny(hub: FakeServer) -> str:
    """How a person names the tiny model of ``hub``."""
    return "modelscope:org/tiny" if isinstance(hub, FakeModelScope) else "org/tiny"


def endpoint_name(hub: FakeServer) -> str:
    """The variable that says where ``hub`` is."""
    return "MODELSCOPE_ENDPOINT" if isinstance(hub, FakeModelScope) else "HF_ENDPOINT"


def files_of(paths: Paths) -> Path:
    """Where the files of a pull of ``tiny`` lie until all have come."""
    return paths.models / ".partial-tiny" / "files"
