"""ModelScope over real HTTP on this machine: what it alone does. What lines and disks do is in ``test_line``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from lora_chat.config import Config, load_config
from lora_chat.errors import NotFoundError, RefusedError
from lora_chat.hub import hub_called, split_hub
from lora_chat.models.catalog import CATALOG, EMBEDDED, resolve
from lora_chat.models.entry import HubSource
from lora_chat.models.hubs import hub_of, placed
from lora_chat.models.installed import find_base
from lora_chat.models.own import find_entry, read_own
from lora_chat.paths import Paths
from lora_chat.sitting.base_offer import question
from tests.models.conftest import sha256
from tests.models.hubs import FakeHub, FakeModelScope, on
from tests.models.pulling import fetch, files_of

MINE = {"MODELSCOPE_API_TOKEN": "ms-mine"}


@pytest.fixture
def scope(converted: Path) -> Iterator[FakeModelScope]:
    """A ModelScope that serves the tiny model."""
    served = FakeModelScope({"org/tiny": {file.name: file.read_bytes() for file in converted.iterdir()}})
    with on(served):
        yield served


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may use ModelScope."""
    for name in ("ENDPOINT", "DOMAIN", "API_TOKEN", "PREFER_AI_SITE"):
        monkeypatch.delenv(f"MODELSCOPE_{name}", raising=False)


def config(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


# A pull


def test_a_model_of_modelscope_becomes_a_base_model(scope: FakeModelScope, paths: Paths, converted: Path) -> None:
    scope.repos["org/tiny"] |= {
        "pytorch_model.bin": b"pickle",
        "modeling_evil.py": b"raise SystemExit",
        "README.md": b"# card",
        "onnx/model.safetensors": b"other",
        "configuration.json": b'{"framework": "pytorch"}',
        "base.json": b"{}",
    }
    found = fetch(scope, paths, whole=True)
    assert found.get("error") is None
    base = find_base(paths.models, "tiny")
    assert (base.source, base.signature.lineage) == ("hub", "org/tiny")
    assert sha256(base.folder / "model.safetensors") == sha256(converted / "model.safetensors")
    expected = {file.name for file in converted.iterdir()} | {"base.json", "configuration.json"}
    assert {file.name for file in base.folder.iterdir()} == expected
    assert {path.name for path in paths.models.iterdir()} == {"tiny", ".pull.lock"}
    assert scope.listed == [{"Revision": ["master"], "Recursive": ["True"]}]
    assert len(scope.asked) == len(expected)  # the list, and each file but base.json, once
    total = sum(len(scope.repos["org/tiny"][name]) for name in expected - {"base.json"})
    downloads = [step[1:] for step in found["seen"] if step[0] == "Downloading tiny"]
    assert downloads[-1] == [total, total]


def test_the_persons_token_is_sent_and_only_then(scope: FakeModelScope, paths: Paths) -> None:
    fetch(scope, paths, environ=MINE)
    assert (set(scope.tokens), set(scope.cookies)) == ({"Bearer ms-mine"}, {"m_session_id=ms-mine"})
    scope.tokens.clear()
    scope.cookies.clear()
    fetch(scope, paths, HF_TOKEN="hf_mine")
    assert (set(scope.tokens), set(scope.cookies)) == ({""}, {""})
    assert set(scope.agents) == {"lora-chat"}


@pytest.mark.parametrize("token", ["ms mine", "ms;mine", "ms\nmine", "ms-m\u00efne", "x" * 600])
def test_what_can_be_no_token_is_said_and_not_shown(scope: FakeModelScope, paths: Paths, token: str) -> None:
    found = fetch(scope, paths, MODELSCOPE_API_TOKEN=token)
    assert (found["code"], scope.asked) == (4, [])
    assert found["error"] == "What MODELSCOPE_API_TOKEN holds can be no token: set it again, or unset it."


@pytest.mark.parametrize("name", ["MODELSCOPE_ENDPOINT", "MODELSCOPE_DOMAIN"])
def test_both_names_of_the_endpoint_are_honoured(scope: FakeModelScope, paths: Paths, name: str) -> None:
    ends = {"MODELSCOPE_ENDPOINT": "", name: scope.address}
    assert fetch(scope, paths, environ=ends).get("error") is None


def test_where_it_is_without_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = hub_called("modelscope")
    assert hub.page("a/b") == "https://modelscope.cn/models/a/b"
    monkeypatch.setenv("MODELSCOPE_PREFER_AI_SITE", "true")
    assert hub.page("a/b") == "https://www.modelscope.ai/models/a/b"
    monkeypatch.setenv("MODELSCOPE_DOMAIN", "mirror.example")
    assert hub.page("a/b") == "https://mirror.example/models/a/b"
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", "http://me:secret@other.example/ms/")
    assert hub.page("a/b") == "http://other.example/ms/models/a/b"


# Each answer


@pytest.mark.parametrize(
    ("status", "code", "said", "token", "exit_code", "sentence"),
    [
        (404, 10010205001, "record not found", {}, 3, "ModelScope has no model org/tiny: check the name, org/name."),
        (200, 10010205001, "record not found", {}, 3, "ModelScope has no model org/tiny: check the name, org/name."),
        (401, 401, "", {}, 4, "give a token of that account in MODELSCOPE_API_TOKEN."),
        (403, 403, "", {}, 4, "if it is gated or private, accept its licence at {page}, then give a token"),
        (200, 403, "no permission", {}, 4, "ModelScope does not show org/tiny to you: check the name"),
        (401, 401, "", MINE, 4, "not show org/tiny to the account of MODELSCOPE_API_TOKEN: ask for access at {page}"),
        (403, 403, "", MINE, 4, "ask for access at {page}, or give another token."),
        (500, 500, "", {}, 5, "ModelScope answered 500 for org/tiny: try again later."),
        (200, 10010, "\x1b[31mbusy.\nwait", {}, 5, 'ModelScope refused org/tiny ("[31mbusy. wait"): try again later'),
        (200, 10010, "", {}, 5, 'ModelScope refused org/tiny ("10010"): try again later'),
    ],
)  # fmt: skip
def test_each_answer_is_one_sentence(
    scope: FakeModelScope,
    paths: Paths,
    status: int,
    code: int,
    said: str,
    token: dict[str, str],
    exit_code: int,
    sentence: str,
) -> None:
    scope.status, scope.code, scope.message = status, code, said
    found = fetch(scope, paths, environ=token)
    assert found["code"] == exit_code
    assert sentence.format(page=f"{scope.address}/models/org/tiny") in found["error"]
    assert "ms-mine" not in found["error"]
    assert "\x1b" not in found["error"]
    assert not files_of(paths).exists()


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_file_that_is_refused_is_one_sentence_too(scope: FakeModelScope, paths: Paths, status: int) -> None:
    scope.file_status = status
    found = fetch(scope, paths)
    assert "ModelScope" in found["error"]
    assert found["code"] == {401: 4, 403: 4, 404: 3, 500: 5}[status]


def test_a_model_that_is_not_there_is_not_found(scope: FakeModelScope, paths: Paths) -> None:
    found = fetch(scope, paths, "modelscope:org/other")
    assert (found["code"], found["error"]) == (3, "ModelScope has no model org/other: check the name, org/name.")


def test_a_repository_with_no_files_is_said(scope: FakeModelScope, paths: Paths) -> None:
    scope.repos["org/tiny"] = {}
    found = fetch(scope, paths)
    assert (found["code"], found["error"]) == (3, "ModelScope lists no files of org/tiny: choose another model.")


def test_a_branch_that_is_there_is_fetched_and_another_is_said(
    scope: FakeModelScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope.branches = ("master", "v1 beta")
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", scope.address)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub = hub_called("modelscope")
    assert hub.list_files("org/tiny", "v1 beta").revision == "v1 beta"
    assert "Revision=v1+beta&FilePath=a%2Fb.json" in hub.address(hub.list_files("org/tiny", "v1 beta"), "a/b.json")
    with pytest.raises(NotFoundError, match="org/tiny has no such revision: leave it out"):
        hub.list_files("org/tiny", "v2")
    assert hub.list_files("org/tiny", None).commit != hub.list_files("org/tiny", "v1 beta").commit


@pytest.mark.parametrize("missing", [None, ""])
def test_weights_without_a_hash_are_refused_before_a_byte_is_fetched(
    scope: FakeModelScope, paths: Paths, missing: str | None
) -> None:
    scope.lies = {"Sha256": missing}
    found = fetch(scope, paths)
    assert (found["code"], scope.fetched) == (4, [])
    assert "ModelScope names no SHA-256 of model.safetensors in org/tiny, so it could not be checked" in found["error"]


def test_a_hash_in_capitals_is_the_same(scope: FakeModelScope, paths: Paths, converted: Path) -> None:
    scope.lies = {"Sha256": sha256(converted / "model.safetensors").upper()}
    assert fetch(scope, paths).get("error") is None


@pytest.mark.parametrize(
    "lie", [{"Size": "5"}, {"Size": -1}, {"Size": None}, {"Size": True}, {"Path": 5}, {"Sha256": "x"}, {"Sha256": 5}]
)
def test_a_list_that_is_none_is_said(scope: FakeModelScope, paths: Paths, lie: dict[str, Any]) -> None:
    scope.lies = lie
    found = fetch(scope, paths)
    assert (found["code"], scope.fetched) == (5, [])
    assert "What answered for org/tiny is no ModelScope" in found["error"]


@pytest.mark.parametrize(
    "data", ['{"Code": 200, "Data": {"Files": 5}}', '{"Code": 200, "Data": null}', '{"Code": 200}']
)
def test_an_envelope_without_a_list_is_said(scope: FakeModelScope, paths: Paths, data: str) -> None:
    scope.body = data.encode()
    found = fetch(scope, paths)
    assert (found["code"], "is no ModelScope" in found["error"]) == (5, True)


def test_it_is_pulled_and_listed_by_whoever_typed_it(scope: FakeModelScope, paths: Paths) -> None:
    paths.config.parent.mkdir(parents=True)
    paths.config.write_text('hub = "modelscope"\n[bases.mine]\nsource = "org/tiny"\n', encoding="utf-8")
    environ = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
    environ |= {"MODELSCOPE_ENDPOINT": scope.address, "NO_PROXY": "127.0.0.1", "HF_ENDPOINT": "http://127.0.0.1:9"}
    for words in (["pull", "mine", "--yes"], ["pull", "modelscope:org/tiny", "--yes"], ["list", "--json"]):
        command = [sys.executable, "-m", "lora_chat", "model", *words]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    here = {each["name"]: each["base_model"] for each in json.loads(done.stdout)["models"] if each["installed"]}
    assert here == {"mine": "org/tiny"}  # the same model: the second pull finds it there
    assert len(scope.listed) == 1
    llama = next(each for each in json.loads(done.stdout)["models"] if each["name"] == "llama-3.2-1b")
    assert not llama["gated"]


def test_the_question_names_modelscope_and_no_other_hub() -> None:
    assert "Qwen/Qwen3-0.6B) from ModelScope: about" in question(resolve("modelscope:qwen3-0.6b"))
    assert "Qwen/Qwen3-0.6B): about" in question(resolve("qwen3-0.6b"))


def test_an_answer_that_calls_itself_a_failure_is_one_whatever_its_code(scope: FakeModelScope, paths: Paths) -> None:
    scope.body = b'{"Code": 200, "Success": false, "Message": "being moved", "Data": {"Files": []}}'
    found = fetch(scope, paths)
    assert (found["code"], 'ModelScope refused org/tiny ("being moved")' in found["error"]) == (5, True)


# What a person writes


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("modelscope:a/b", ("modelscope", "a/b")),
        ("ModelScope:a/b", ("modelscope", "a/b")),
        ("huggingface:a/b", ("huggingface", "a/b")),
        ("a/b", (None, "a/b")),
        ("other:a/b", (None, "other:a/b")),
        ("modelscope", (None, "modelscope")),
    ],
)
def test_a_hub_stands_before_a_colon(text: str, split: tuple[str | None, str]) -> None:
    assert split_hub(text) == split


@pytest.mark.parametrize("text", ["modelscope:Qwen/Qwen3-0.6B", "modelscope:qwen3-0.6b", "ModelScope:qwen/qwen3-0.6b"])
def test_the_same_model_keeps_all_that_the_catalog_knows_of_it(text: str) -> None:
    entry = resolve(text)
    known = resolve("qwen3-0.6b")
    assert (entry.name, entry.lineage, entry.sizes, entry.licence) == (
        known.name, known.lineage, known.sizes, known.licence
    )  # fmt: skip
    assert entry.source == HubSource("Qwen/Qwen3-0.6B", hub="modelscope")


@pytest.mark.parametrize(
    "text", ["modelscope:LLM-Research/Llama-3.2-1B-Instruct", "modelscope:llama-3.2-1b",
             "modelscope:meta-llama/Llama-3.2-1B-Instruct"],
)  # fmt: skip
def test_what_another_organisation_keeps_there_is_the_catalogs_own(text: str) -> None:
    entry = resolve(text)
    assert (entry.name, entry.lineage) == ("llama-3.2-1b", "meta-llama/Llama-3.2-1B-Instruct")
    assert entry.source == HubSource("LLM-Research/Llama-3.2-1B-Instruct", hub="modelscope")
    assert "LLM-Research/Llama-3.2-1B-Instruct" in entry.aliases  # adapters made on it name it so
    assert not entry.gated


def test_any_other_model_there_is_taken_at_its_word() -> None:
    entry = resolve("modelscope:Some.Org/My_Model-2B")
    assert (entry.name, entry.lineage) == ("my_model-2b", "Some.Org/My_Model-2B")
    assert entry.source == HubSource("Some.Org/My_Model-2B", hub="modelscope")
    for text in ("modelscope:", "modelscope:a", "modelscope:a/b/c", "modelscope:../b", "modelscope:huggingface:a/b"):
        with pytest.raises(NotFoundError):
            resolve(text)


def test_the_embedded_base_from_a_hub_is_its_repository() -> None:
    entry = resolve("modelscope:smollm2-135m")
    assert entry.source == HubSource(EMBEDDED.lineage, hub="modelscope")
    assert (entry.lineage, entry.download_bytes) == (EMBEDDED.lineage, 2 * EMBEDDED.parameters)
    assert resolve("huggingface:smollm2-135m").source == HubSource(EMBEDDED.lineage, hub="huggingface")


def test_the_setting_moves_every_base_that_a_hub_has_and_no_other(tmp_path: Path) -> None:
    path = config(tmp_path, 'hub = "modelscope"\n[bases.mine]\nsource = "a/b"\n[bases.here]\nsource = "/x/y"\n')
    assert load_config(path) == Config(hub="modelscope")
    assert find_entry("phi-4-mini", path).source == HubSource("LLM-Research/Phi-4-mini-instruct", hub="modelscope")
    assert find_entry("mine", path).source == HubSource("a/b", hub="modelscope")
    assert find_entry("c/d", path).source == HubSource("c/d", hub="modelscope")
    assert find_entry("huggingface:c/d", path).source == HubSource("c/d", hub="huggingface")
    assert find_entry("huggingface:phi-4-mini", path).source.repo == "microsoft/Phi-4-mini-instruct"  # type: ignore[union-attr]
    assert find_entry("smollm2-135m", path) is EMBEDDED
    assert find_entry("here", path).source_kind == "folder"
    assert find_entry("LLM-Research/gemma-3-1b-it", path).lineage == "google/gemma-3-1b-it"
    for entry in CATALOG:
        moved = placed(entry, "modelscope")
        assert (moved.lineage, moved.name) == (entry.lineage, entry.name)
        assert not moved.gated
        assert placed(entry, "huggingface") is entry


def test_a_hub_that_is_none_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r'"hub" in .* must be huggingface or modelscope'):
        load_config(config(tmp_path, 'hub = "modelscoop"'))


def test_an_own_entry_may_name_its_hub(tmp_path: Path) -> None:
    text = """
[bases.one]
source = "modelscope:a/b"
revision = "v1"
parameters = 1_000_000
gated = true
[bases.two]
source = "modelscope:LLM-Research/Llama-3.2-1B-Instruct"
[bases.wrong]
source = "modelscope:a"
"""
    path = config(tmp_path, text)
    own = read_own(path)
    one, two = own.entries
    assert one.source == HubSource("a/b", "v1", "modelscope")
    assert (one.lineage, one.download_bytes, one.gated) == ("a/b", 2_000_000, True)
    assert two.lineage == "meta-llama/Llama-3.2-1B-Instruct"
    assert find_entry("one", path) == one
    (problem,) = own.problems
    assert problem.name == "wrong"
    step = hub_of(one).licence_step("a/b")
    assert step == (
        "accept its licence at https://modelscope.cn/models/a/b, then give a token of that account in "
        "MODELSCOPE_API_TOKEN"
    )


def test_half_a_download_from_one_hub_is_not_gone_on_with_from_another(scope: FakeModelScope, paths: Paths) -> None:
    scope.cuts, scope.reset = [8192] + [0] * 20, True
    assert "error" in fetch(scope, paths)
    other = FakeHub(scope.repos)
    with on(other):
        assert fetch(other, paths).get("error") is None
    assert other.ranges == [""]
