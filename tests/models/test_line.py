"""What a line, a disk and a hub can do to a download: the same for each hub, over real HTTP, with the real client."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lora_chat.paths import Paths
from tests.models.hubs import FakeHub, FakeModelScope, FakeServer, on
from tests.models.pulling import endpoint_name, fetch, files_of, start, tiny

WEIGHTS = "model.safetensors"


@pytest.fixture(params=[FakeHub, FakeModelScope])
def hub(request: pytest.FixtureRequest, converted: Path) -> Iterator[FakeServer]:
    """Each of the hubs, with the tiny model."""
    served: FakeServer = request.param({"org/tiny": {file.name: file.read_bytes() for file in converted.iterdir()}})
    with on(served):
        yield served


def weights(hub: FakeServer) -> bytes:
    return hub.repos["org/tiny"][WEIGHTS]


def starts(hub: FakeServer) -> list[int]:
    """The byte that each connection for the weights began with."""
    return [int(each.removeprefix("bytes=").rstrip("-") or 0) for each in hub.ranges]


def assert_whole(hub: FakeServer, paths: Paths) -> None:
    assert (files_of(paths) / WEIGHTS).read_bytes() == weights(hub)
    assert not list(files_of(paths).glob("*.part"))


# The line


def test_a_broken_connection_is_taken_up_again(hub: FakeServer, paths: Paths) -> None:
    hub.cut_after = 10_000
    assert fetch(hub, paths).get("error") is None
    first, second = starts(hub)
    assert (first, 0 < second <= 10_000) == (0, True)
    assert_whole(hub, paths)


def test_a_line_that_is_reset_again_and_again_is_taken_up_as_often(hub: FakeServer, paths: Paths) -> None:
    hub.cuts, hub.reset = [4096] * 8, True
    assert fetch(hub, paths).get("error") is None
    assert len(hub.ranges) >= 9
    assert starts(hub) == sorted(starts(hub))
    assert_whole(hub, paths)


def test_a_line_that_brings_nothing_is_given_up_and_what_arrived_is_kept(hub: FakeServer, paths: Paths) -> None:
    hub.cuts, hub.reset = [4096] + [0] * 20, True
    found = fetch(hub, paths)
    assert found["code"] == 5
    assert "The connection to " in found["error"]
    assert found["error"].endswith("try again; what arrived is kept.")
    there = (files_of(paths) / f"{WEIGHTS}.part").stat().st_size
    asked = len(hub.ranges)
    hub.cuts = []
    assert fetch(hub, paths).get("error") is None
    assert starts(hub)[asked:] == [there]
    assert_whole(hub, paths)


def test_of_several_files_only_the_broken_one_is_fetched_on(hub: FakeServer, paths: Paths) -> None:
    files = hub.repos["org/tiny"]
    whole = files.pop(WEIGHTS)
    shards = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    files |= dict.fromkeys(shards, whole)
    files["model.safetensors.index.json"] = json.dumps({"weight_map": dict(zip("abc", shards, strict=True))}).encode()
    hub.cuts, hub.reset = [len(whole), 4096] + [0] * 20, True
    found = fetch(hub, paths)
    assert found["code"] == 5
    assert (files_of(paths) / shards[0]).read_bytes() == whole
    assert (files_of(paths) / f"{shards[1]}.part").stat().st_size > 0
    hub.cuts, before = [], len(hub.fetched)
    assert fetch(hub, paths).get("error") is None
    assert hub.fetched[before:] == shards[1:]
    assert {name: (files_of(paths) / name).read_bytes() == whole for name in shards} == dict.fromkeys(shards, True)


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", ["SIGKILL", "SIGINT"])
def test_a_killed_download_goes_on_where_it_ended(hub: FakeServer, paths: Paths, number: str) -> None:
    hub.stall_after = 12_288
    child = start(hub, paths, tiny(hub), whole=False)
    assert hub.stalled.wait(20)
    part = files_of(paths) / f"{WEIGHTS}.part"
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
    assert not (files_of(paths) / WEIGHTS).exists()
    there = part.stat().st_size
    others = len(hub.fetched) - 1
    assert fetch(hub, paths).get("error") is None
    assert starts(hub)[1] == there
    assert len(hub.fetched) == others + 2  # only the weights were asked for again
    assert_whole(hub, paths)


@pytest.mark.parametrize("setting", [{}, {"HF_DEBUG": "1"}, {"HF_HUB_VERBOSITY": "debug"}])
def test_neither_token_nor_password_is_written_when_the_line_breaks(
    hub: FakeServer, paths: Paths, setting: dict[str, str]
) -> None:
    hub.cuts = [4096, 4096]
    hidden = {endpoint_name(hub): hub.address.replace("//", "//me:secret@")}
    tokens = {"HF_TOKEN": "hf_token_of_mine", "MODELSCOPE_API_TOKEN": "ms_token_of_mine"}
    with start(hub, paths, tiny(hub), whole=False, **hidden, **tokens, **setting) as child:
        out, err = child.communicate(timeout=60)
    assert json.loads(out).get("error") is None
    for said in (out, err):
        assert not [each for each in ("secret", "_of_mine", "c2VjcmV0") if each in said], said
    assert_whole(hub, paths)


# What comes is not what was listed


def test_half_a_download_of_another_state_is_not_gone_on_with(hub: FakeServer, paths: Paths) -> None:
    files_of(paths).mkdir(parents=True)
    (files_of(paths).parent / "commit").write_text("0" * 40, encoding="ascii")
    (files_of(paths) / f"{WEIGHTS}.part").write_bytes(b"of another commit")
    assert fetch(hub, paths).get("error") is None
    assert hub.ranges == [""]


def test_what_changed_on_the_hub_since_is_fetched_anew(hub: FakeServer, paths: Paths) -> None:
    hub.cuts, hub.reset = [8192] + [0] * 20, True
    assert "error" in fetch(hub, paths)
    hub.cuts = []
    hub.repos["org/tiny"][WEIGHTS] = weights(hub)[::-1]
    before = len(hub.ranges)
    assert fetch(hub, paths).get("error") is None
    assert hub.ranges[before:] == [""]
    assert_whole(hub, paths)


def test_bytes_unlike_the_hubs_own_hash_are_refused_and_not_kept(hub: FakeServer, paths: Paths) -> None:
    hub.altered = weights(hub)[:-1] + b"\xff"
    found = fetch(hub, paths)
    assert found["code"] == 4
    assert "arrived damaged" in found["error"]
    assert not list(files_of(paths).glob(f"{WEIGHTS}*"))


def test_more_bytes_than_listed_are_refused_and_not_kept(hub: FakeServer, paths: Paths) -> None:
    hub.altered = weights(hub) + bytes(2**20)
    found = fetch(hub, paths)
    assert found["code"] == 4
    assert f"{WEIGHTS} of org/tiny is longer than the hub said" in found["error"]
    assert (files_of(paths) / f"{WEIGHTS}.part").stat().st_size == 0


def test_fewer_bytes_than_listed_are_said_and_no_dead_end(hub: FakeServer, paths: Paths) -> None:
    hub.altered = weights(hub)[:-1000]
    for _ in range(2):
        found = fetch(hub, paths)
        assert found["code"] == 5
        assert "sent less of org/tiny than its list says" in found["error"]
    hub.altered = b""
    assert fetch(hub, paths).get("error") is None
    assert_whole(hub, paths)


@pytest.mark.parametrize("there", [b"z" * 5000, b"z" * 10**6])
def test_a_part_that_was_never_the_hubs_is_found_out(hub: FakeServer, paths: Paths, there: bytes) -> None:
    fetch(hub, paths)
    (files_of(paths) / WEIGHTS).unlink()
    (files_of(paths) / f"{WEIGHTS}.part").write_bytes(there)
    hub.ranges.clear()
    found = fetch(hub, paths)
    if len(there) < len(weights(hub)):
        assert "arrived damaged" in found["error"]
        assert fetch(hub, paths).get("error") is None
    else:
        assert (found.get("error"), hub.ranges) == (None, [""])
    assert_whole(hub, paths)


def test_a_server_that_cannot_send_a_part_sends_all_again(hub: FakeServer, paths: Paths) -> None:
    hub.cuts, hub.deaf = [6000], True
    assert fetch(hub, paths).get("error") is None
    assert_whole(hub, paths)


def test_the_token_does_not_go_where_the_hub_sends_for_the_weights(hub: FakeServer, paths: Paths) -> None:
    class Store(FakeServer):
        def answer(self, request: object) -> None:
            self.send_file(request, WEIGHTS, hub.repos["org/tiny"])  # type: ignore[arg-type]

    store = Store({})
    with on(store):
        hub.elsewhere = f"{store.address}/bucket"
        found = fetch(hub, paths, HF_TOKEN="hf_mine", MODELSCOPE_API_TOKEN="ms_mine")
    assert found.get("error") is None
    assert_whole(hub, paths)
    assert all(hub.tokens)
    assert (store.asked, store.tokens, store.cookies) == ([f"/bucket/{WEIGHTS}"], [""], [""])


# The disk


def test_no_room_by_the_listing_is_refused_with_numbers_before_a_byte_is_fetched(hub: FakeServer, paths: Paths) -> None:
    found = fetch(hub, paths, whole=True, FREE="5000")
    needed = sum(map(len, hub.repos["org/tiny"].values()))
    assert (found["code"], hub.fetched) == (5, [])
    assert f"for tiny: about {needed} bytes needed, 5000 bytes free; free some, or set LORA_CHAT_HOME" in found["error"]


def test_what_is_there_already_needs_no_room(hub: FakeServer, paths: Paths) -> None:
    fetch(hub, paths)
    assert fetch(hub, paths, FREE="0").get("error") is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is full")
def test_a_disk_that_fills_up_in_the_middle_is_said_with_what_is_free(hub: FakeServer, paths: Paths) -> None:
    fetch(hub, paths)
    (files_of(paths) / WEIGHTS).unlink()
    (files_of(paths) / f"{WEIGHTS}.part").symlink_to("/dev/full")
    found = fetch(hub, paths, whole=True)
    assert found["code"] == 5
    assert "No room on the disk of " in found["error"]
    assert "free some, or set LORA_CHAT_HOME to another disk" in found["error"]
    (files_of(paths) / f"{WEIGHTS}.part").unlink()
    assert fetch(hub, paths).get("error") is None
    assert_whole(hub, paths)


# The endpoint


@pytest.mark.parametrize("end", ["", "/"])
def test_an_endpoint_may_have_a_path_and_a_slash_at_its_end(hub: FakeServer, paths: Paths, end: str) -> None:
    hub.prefix = "/mirrors/models"
    found = fetch(hub, paths, environ={endpoint_name(hub): hub.address + hub.prefix + end})
    assert found.get("error") is None
    assert all(path.startswith("/mirrors/models/") for path in hub.asked)
    assert not [path for path in hub.asked if "//" in path]


def test_an_endpoint_may_have_a_name_and_a_password(hub: FakeServer, paths: Paths) -> None:
    found = fetch(hub, paths, environ={endpoint_name(hub): hub.address.replace("//", "//me:secret@")})
    assert found.get("error") is None
    assert set(hub.tokens) == {"Basic bWU6c2VjcmV0"}


@pytest.mark.parametrize("answer", ["<html>sign in</html>", "[]", "{}", "null", "5", '"x"', "[" * 5000, ""])
def test_what_is_no_hub_is_told_with_the_setting_to_look_at(hub: FakeServer, paths: Paths, answer: str) -> None:
    hub.body = answer.encode() or b" "
    found = fetch(hub, paths)
    assert found["code"] in (4, 5)
    if answer not in ("[]", "{}"):
        assert f"look at {endpoint_name(hub)} if it is set" in found["error"]
    assert hub.fetched == []


@pytest.mark.parametrize(
    "setting", ["http://127.0.0.1:9", "http://", "127.0.0.1:9", "ftp://x", "http://[", "https://x:y"]
)
def test_an_endpoint_that_is_none_is_one_sentence(hub: FakeServer, paths: Paths, setting: str) -> None:
    found = fetch(hub, paths, environ={endpoint_name(hub): setting})
    assert found["code"] == 5
    nobody = setting.endswith(":9") and ("://" in setting or isinstance(hub, FakeModelScope))
    assert ("The connection to" if nobody else f"{endpoint_name(hub)} holds no address") in found["error"]


# What the repository lacks, before a byte is fetched


@pytest.mark.parametrize(
    ("away", "more", "sentence"),
    [
        ([WEIGHTS], ["pytorch_model.bin"], "no safetensors weights, and pickles are never loaded"),
        (["config.json"], [], "has no config.json"),
        (["tokenizer.json", "vocab.json", "merges.txt"], [], "has no tokenizer"),
        ([], ["adapter_config.json"], "is an adapter, no base model: run `lora-chat adapter install org/tiny`"),
        ([WEIGHTS], ["model-00001-of-00002.safetensors"], "lacks 1 of the 2 files of its weights"),
        ([WEIGHTS], ["model-00001-of-00001.safetensors"], "lacks model.safetensors.index.json"),
        ([WEIGHTS], ["sub/model.safetensors"], "no safetensors weights"),
        ([WEIGHTS], ["../model.safetensors"], "no safetensors weights"),
    ],
)
def test_what_lacks_a_part_is_refused_before_a_byte_is_fetched(
    hub: FakeServer, paths: Paths, away: list[str], more: list[str], sentence: str
) -> None:
    files = hub.repos["org/tiny"]
    for name in away:
        files.pop(name, None)
    files |= dict.fromkeys(more, b"x")
    found = fetch(hub, paths)
    assert (found["code"], hub.fetched) == (4, [])
    assert sentence in found["error"]
