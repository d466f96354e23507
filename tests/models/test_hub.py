"""A hub over real HTTP on this machine, with the real client; in child processes, which read HF_ENDPOINT at import."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lora_chat.models.installed import find_base
from lora_chat.paths import Paths
from tests.models.conftest import sha256
from tests.models.hubs import FakeHub

# The client hands bytes on in pieces of 10 MB; the tiny model wants smaller ones to be cut in two.
_CHILD = """
import json, sys
from huggingface_hub import constants
constants.DOWNLOAD_CHUNK_SIZE = 1024
from lora_chat.errors import LoraChatError
from lora_chat.models.catalog import resolve
from lora_chat.models.sources import hub, pull
from lora_chat.paths import find_paths
from pathlib import Path
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


def _start(hub: FakeHub, paths: Paths, repo: str, *, whole: bool, **environ: str) -> subprocess.Popen[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    home = paths.models.parent
    env = clean | {"HF_ENDPOINT": hub.address, "HF_HOME": str(home / "hf"), "NO_PROXY": "127.0.0.1"} | environ
    words = [sys.executable, "-c", _CHILD, str(home), repo, "whole" if whole else "files"]
    return subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _fetch(
    hub: FakeHub, paths: Paths, repo: str = "org/tiny", *, whole: bool = False, **environ: str
) -> dict[str, Any]:
    """Run a pull to its end; nothing may reach stderr, where the client's own bars and warnings would go."""
    with _start(hub, paths, repo, whole=whole, **environ) as child:
        out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    found: dict[str, Any] = json.loads(out)
    return found | {"stderr": err}


_PAGE = "{hub}/org/tiny"
_TOKEN = "give a token of that account in HF_TOKEN or by `hf auth login`."


def _files(paths: Paths) -> Path:
    return paths.models / ".partial-tiny" / "files"


def test_a_model_of_the_hub_becomes_a_base_model(hub: FakeHub, paths: Paths, converted: Path) -> None:
    hub.repos["org/tiny"] |= {
        "pytorch_model.bin": b"pickle",
        "modeling_evil.py": b"raise SystemExit",
        "README.md": b"# card",
        "onnx/model.safetensors": b"other",
        "consolidated.safetensors": b"the same again",
        "base.json": b"{}",
    }
    found = _fetch(hub, paths, whole=True)
    assert (found.get("error"), found["stderr"]) == (None, "")
    base = find_base(paths.models, "tiny")
    assert (base.source, base.signature.lineage) == ("hub", "org/tiny")
    assert sha256(base.folder / "model.safetensors") == sha256(converted / "model.safetensors")
    expected = {file.name for file in converted.iterdir()} | {"base.json"}
    assert {file.name for file in base.folder.iterdir()} == expected
    assert {path.name for path in paths.models.iterdir()} == {"tiny", ".pull.lock"}
    assert sorted(hub.fetched) == sorted(expected - {"base.json"})
    assert find_base(paths.models, "ORG/tiny") == base


def test_progress_counts_the_bytes_of_all_files(hub: FakeHub, paths: Paths) -> None:
    seen = _fetch(hub, paths)["seen"]
    total = sum(map(len, hub.repos["org/tiny"].values()))
    assert {step[2] for step in seen} == {total}
    dones = [step[1] for step in seen]
    assert dones == sorted(dones)
    assert dones[-1] == total
    assert len(dones) > 10


def test_a_broken_connection_is_taken_up_again(hub: FakeHub, paths: Paths) -> None:
    hub.cut_after = 10_000
    found = _fetch(hub, paths)
    assert found.get("error") is None
    assert hub.ranges[0] == ""
    assert len(hub.ranges) == 2
    assert 0 < int(hub.ranges[1].removeprefix("bytes=").rstrip("-")) <= 10_000
    assert (_files(paths) / "model.safetensors").read_bytes() == hub.repos["org/tiny"]["model.safetensors"]


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", ["SIGKILL", "SIGINT"])
def test_a_killed_download_goes_on_where_it_ended(hub: FakeHub, paths: Paths, number: str) -> None:
    hub.stall_after = 12_288
    child = _start(hub, paths, "org/tiny", whole=False)
    assert hub.stalled.wait(20)
    part = _files(paths) / "model.safetensors.part"
    while not (part.exists() and part.stat().st_size >= 8_192):
        assert child.poll() is None
    with child:
        for _ in range(5):
            child.send_signal(getattr(signal, number))
            try:
                child.communicate(timeout=5)
                break
            except subprocess.TimeoutExpired:
                pass  # CPython misses one that comes between its last look and the read that blocks
    assert child.returncode
    hub.go_on.set()
    assert not (_files(paths) / "model.safetensors").exists()
    there = part.stat().st_size
    others = len(hub.fetched) - 1
    assert _fetch(hub, paths).get("error") is None
    assert hub.ranges[1] == f"bytes={there}-"
    assert len(hub.fetched) == others + 2  # only the weights were asked for again
    assert (_files(paths) / "model.safetensors").read_bytes() == hub.repos["org/tiny"]["model.safetensors"]


def test_half_a_download_of_another_commit_is_not_gone_on_with(hub: FakeHub, paths: Paths) -> None:
    _files(paths).mkdir(parents=True)
    (_files(paths).parent / "commit").write_text("0" * 40, encoding="ascii")
    (_files(paths) / "model.safetensors.part").write_bytes(b"of another commit")
    assert _fetch(hub, paths).get("error") is None
    assert hub.ranges == [""]


def test_bytes_unlike_the_hubs_own_hash_are_refused_and_not_kept(hub: FakeHub, paths: Paths) -> None:
    hub.altered = hub.repos["org/tiny"]["model.safetensors"][:-1] + b"\xff"
    found = _fetch(hub, paths)
    assert found["code"] == 4
    assert "arrived damaged" in found["error"]
    assert not list(_files(paths).glob("model.safetensors*"))


@pytest.mark.parametrize(
    ("status", "error_code", "code", "sentence"),
    [
        (401, "GatedRepo", 4, f"org/tiny is gated: accept its licence at {_PAGE}, then {_TOKEN}"),
        (403, "GatedRepo", 4, f"org/tiny is gated: accept its licence at {_PAGE}, then {_TOKEN}"),
        (403, "", 4, f"accept its licence at {_PAGE}, then {_TOKEN}"),
        (401, "", 4, f"if it is gated or private, accept its licence at {_PAGE}, then {_TOKEN}"),
        (404, "RepoNotFound", 3, "The hub has no model org/tiny"),
        (500, "", 5, "The hub answered 500"),
    ],
)
def test_each_answer_of_the_hub_is_one_sentence(
    hub: FakeHub, paths: Paths, status: int, error_code: str, code: int, sentence: str
) -> None:
    hub.status, hub.error_code = status, error_code
    found = _fetch(hub, paths)
    assert found["code"] == code
    assert sentence.format(hub=hub.address) in found["error"]
    assert "\n" not in found["error"]
    assert (hub.address in found["error"]) == (_PAGE in sentence)
    assert not _files(paths).exists()


def test_a_password_in_the_endpoint_is_not_part_of_the_page(hub: FakeHub, paths: Paths) -> None:
    hub.status = 403
    found = _fetch(hub, paths, HF_ENDPOINT=hub.address.replace("http://", "http://me:secret@") + "/")
    assert f"accept its licence at {hub.address}/org/tiny," in found["error"]
    assert "secret" not in found["error"]


@pytest.mark.parametrize(
    ("files", "code", "sentence"),
    [
        ({"pytorch_model.bin": b"x", "config.json": b"{}"}, 4, "no safetensors weights"),
        ({"adapter_config.json": b"{}", "model.safetensors": b"x"}, 4, "is an adapter, no base model"),
        ({}, 4, "no safetensors weights"),
    ],
)
def test_what_is_no_base_model_is_refused_before_a_byte_is_fetched(
    hub: FakeHub, paths: Paths, files: dict[str, bytes], code: int, sentence: str
) -> None:
    hub.repos["org/tiny"] = files
    found = _fetch(hub, paths)
    assert (found["code"], hub.fetched) == (code, [])
    assert sentence in found["error"]


def test_a_model_the_hub_does_not_know_is_not_found(hub: FakeHub, paths: Paths) -> None:
    found = _fetch(hub, paths, "org/other")
    assert found["code"] == 3
    assert "org/other" in found["error"]


def test_a_hub_that_cannot_be_reached_is_said(hub: FakeHub, paths: Paths) -> None:
    found = _fetch(hub, paths, HF_ENDPOINT="http://127.0.0.1:9")
    assert found["code"] == 5
    assert "connection to the hub failed" in found["error"]


def test_offline_mode_is_named(hub: FakeHub, paths: Paths) -> None:
    found = _fetch(hub, paths, HF_HUB_OFFLINE="1")
    assert found["code"] == 5
    assert "HF_HUB_OFFLINE is set" in found["error"]


def test_the_persons_token_is_sent(hub: FakeHub, paths: Paths) -> None:
    _fetch(hub, paths, HF_TOKEN="hf_of_mine")
    assert set(hub.tokens) == {"Bearer hf_of_mine"}


def test_a_token_kept_by_hf_auth_login_is_sent(hub: FakeHub, paths: Paths) -> None:
    kept = paths.models.parent / "hf" / "token"
    kept.parent.mkdir(parents=True)
    kept.write_text("hf_kept", encoding="ascii")
    _fetch(hub, paths)
    assert set(hub.tokens) == {"Bearer hf_kept"}


def test_the_hub_is_asked_for_the_model_and_nothing_else(hub: FakeHub, paths: Paths) -> None:
    assert _fetch(hub, paths).get("error") is None
    assert len(hub.tokens) == 1 + len(hub.repos["org/tiny"])
    assert all("torch" not in agent for agent in hub.agents)


def test_a_model_in_several_files_is_fetched_whole(hub: FakeHub, paths: Paths) -> None:
    files = hub.repos["org/tiny"]
    whole = files.pop("model.safetensors")
    shards = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    files |= dict.fromkeys(shards, whole)
    files["model.safetensors.index.json"] = json.dumps({"weight_map": dict(zip("ab", shards, strict=True))}).encode()
    assert _fetch(hub, paths).get("error") is None
    assert {*shards, "model.safetensors.index.json"} <= {file.name for file in _files(paths).iterdir()}
