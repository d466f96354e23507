"""A hub over real HTTP on this machine, with the real client; in child processes, which read HF_ENDPOINT at import."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_chat.models.installed import find_base
from lora_chat.paths import Paths
from tests.models.conftest import sha256
from tests.models.hubs import FakeHub
from tests.models.pulling import fetch, files_of

_PAGE = "{hub}/org/tiny"
_TOKEN = "give a token of that account in HF_TOKEN or by `hf auth login`."


def test_a_model_of_the_hub_becomes_a_base_model(hub: FakeHub, paths: Paths, converted: Path) -> None:
    hub.repos["org/tiny"] |= {
        "pytorch_model.bin": b"pickle",
        "modeling_evil.py": b"raise SystemExit",
        "README.md": b"# card",
        "onnx/model.safetensors": b"other",
        "consolidated.safetensors": b"the same again",
        "base.json": b"{}",
    }
    found = fetch(hub, paths, whole=True)
    assert found.get("error") is None
    base = find_base(paths.models, "tiny")
    assert (base.source, base.signature.lineage) == ("hub", "org/tiny")
    assert sha256(base.folder / "model.safetensors") == sha256(converted / "model.safetensors")
    expected = {file.name for file in converted.iterdir()} | {"base.json"}
    assert {file.name for file in base.folder.iterdir()} == expected
    assert {path.name for path in paths.models.iterdir()} == {"tiny", ".pull.lock"}
    assert sorted(hub.fetched) == sorted(expected - {"base.json"})
    assert find_base(paths.models, "ORG/tiny") == base


def test_progress_counts_the_bytes_of_all_files(hub: FakeHub, paths: Paths) -> None:
    seen = fetch(hub, paths)["seen"]
    total = sum(map(len, hub.repos["org/tiny"].values()))
    assert {step[2] for step in seen} == {total}
    dones = [step[1] for step in seen]
    assert dones == sorted(dones)
    assert dones[-1] == total
    assert len(dones) > 10


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
    found = fetch(hub, paths)
    assert found["code"] == code
    assert sentence.format(hub=hub.address) in found["error"]
    assert (hub.address in found["error"]) == (_PAGE in sentence)
    assert not files_of(paths).exists()


@pytest.mark.parametrize(("status", "token"), [(401, {}), (403, {"HF_TOKEN": "hf_of_an_account_that_did_not_accept"})])
def test_a_gated_model_that_is_listed_to_all_says_at_its_first_file_what_to_accept_where(
    hub: FakeHub, paths: Paths, status: int, token: dict[str, str]
) -> None:
    """As the real hub does it: the list is public, each file is refused."""
    hub.file_status, hub.error_code = status, "GatedRepo"
    hub.error_message = "Access to model org/tiny is restricted and you are not in the authorized list."
    found = fetch(hub, paths, environ=token)
    assert found["code"] == 4
    page = _PAGE.format(hub=hub.address)
    assert found["error"] == f"org/tiny is gated: accept its licence at {page}, then {_TOKEN}"
    assert hub.fetched == []
    hub.file_status = 200
    assert fetch(hub, paths, HF_TOKEN="hf_of_one_that_did").get("error") is None


def test_a_token_the_hub_does_not_know_is_said_with_where_to_make_one(hub: FakeHub, paths: Paths) -> None:
    hub.status, hub.error_message = 401, "Invalid credentials in Authorization header"
    found = fetch(hub, paths, HF_TOKEN="hf_old")
    assert found["code"] == 5
    assert (
        f"does not know the token that it was given for org/tiny: make one at {hub.address}/settings/tokens"
        in (found["error"])
    )


def test_a_token_that_can_be_none_is_said(hub: FakeHub, paths: Paths) -> None:
    found = fetch(hub, paths, HF_TOKEN="hf_tökén")
    assert (found["code"], hub.asked) == (4, [])
    assert "The token in HF_TOKEN or of `hf auth login` can be none" in found["error"]
    assert "tökén" not in found["error"]


@pytest.mark.parametrize(("status", "sentence"), [(404, "The hub has no model org/tiny"), (503, "answered 503")])
def test_a_file_that_is_not_given_is_said(hub: FakeHub, paths: Paths, status: int, sentence: str) -> None:
    hub.file_status = status
    assert sentence in fetch(hub, paths)["error"]


def test_a_model_may_be_named_with_its_hub(hub: FakeHub, paths: Paths) -> None:
    assert fetch(hub, paths, "HuggingFace:org/tiny").get("error") is None


def test_a_password_in_the_endpoint_is_not_part_of_the_page(hub: FakeHub, paths: Paths) -> None:
    hub.status = 403
    found = fetch(hub, paths, HF_ENDPOINT=hub.address.replace("http://", "http://me:secret@") + "/")
    assert f"accept its licence at {hub.address}/org/tiny," in found["error"]
    assert "secret" not in found["error"]


def test_an_empty_repository_is_no_model(hub: FakeHub, paths: Paths) -> None:
    hub.repos["org/tiny"] = {}
    found = fetch(hub, paths)
    assert (found["code"], "no safetensors weights" in found["error"]) == (4, True)


def test_a_model_the_hub_does_not_know_is_not_found(hub: FakeHub, paths: Paths) -> None:
    found = fetch(hub, paths, "org/other")
    assert found["code"] == 3
    assert "org/other" in found["error"]


def test_a_hub_that_cannot_be_reached_is_said(hub: FakeHub, paths: Paths) -> None:
    found = fetch(hub, paths, HF_ENDPOINT="http://127.0.0.1:9")
    assert found["code"] == 5
    assert "connection to the hub failed" in found["error"]


def test_offline_mode_is_named(hub: FakeHub, paths: Paths) -> None:
    found = fetch(hub, paths, HF_HUB_OFFLINE="1")
    assert found["code"] == 5
    assert "HF_HUB_OFFLINE is set" in found["error"]


def test_the_persons_token_is_sent(hub: FakeHub, paths: Paths) -> None:
    fetch(hub, paths, HF_TOKEN="hf_of_mine")
    assert set(hub.tokens) == {"Bearer hf_of_mine"}


def test_a_token_kept_by_hf_auth_login_is_sent(hub: FakeHub, paths: Paths) -> None:
    kept = paths.models.parent / "hf" / "token"
    kept.parent.mkdir(parents=True)
    kept.write_text("hf_kept", encoding="ascii")
    fetch(hub, paths)
    assert set(hub.tokens) == {"Bearer hf_kept"}


def test_the_hub_is_asked_for_the_model_and_nothing_else(hub: FakeHub, paths: Paths) -> None:
    assert fetch(hub, paths).get("error") is None
    assert len(hub.tokens) == 1 + len(hub.repos["org/tiny"])
    assert all("torch" not in agent for agent in hub.agents)
