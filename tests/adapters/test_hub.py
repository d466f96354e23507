"""Adapters from a hub: the real client and the whole program, against a hub on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from lora_chat.adapters.incoming.remote import HubAdapter
from lora_chat.paths import Paths
from tests.adapters.archives import CONFIG, GOOD, WEIGHTS
from tests.adapters.conftest import config
from tests.adapters.test_hostile import assert_one_sentence, everything_under
from tests.models.hubs import FakeHub, serving

MANIFEST = b'license = "MIT"\n'


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        (line,) = [line for line in self.err.splitlines() if line.startswith("lora-chat: ")]
        return line.removeprefix("lora-chat: ")


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    """A hub that has ``org/My-Bot``, with what a trainer leaves beside it."""
    beside = {"README.md": b"# Bot\n", "adapter.toml": MANIFEST, "tokenizer.json": b"{}", "checkpoint-5/x.pt": b"x"}
    with serving({"org/My-Bot": {**GOOD, **beside}}) as served:
        yield served


@pytest.fixture
def child(hub: FakeHub, home: Paths, tmp_path: Path) -> dict[str, str]:
    """The environment of a program that knows only this hub."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    hf_home = str(tmp_path / "hf")
    return clean | {"HF_ENDPOINT": hub.address, "HF_HOME": hf_home, "NO_PROXY": "127.0.0.1", "PYTHONUTF8": "1"}


def install(child: dict[str, str], *words: str, cwd: Path | None = None, **environ: str) -> Done:
    command = [sys.executable, "-m", "lora_chat", "adapter", "install", *words, "--yes"]
    done = subprocess.run(command, env=child | environ, capture_output=True, text=True, timeout=60, cwd=cwd)
    assert "Traceback" not in done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


def test_an_adapter_of_the_hub_is_installed_like_a_folder(hub: FakeHub, home: Paths, child: dict[str, str]) -> None:
    done = install(child, "org/My-Bot")
    assert (done.code, done.err.count("lora-chat: ")) == (0, 0)
    folder = home.adapters / "my-bot"
    assert {path.name for path in folder.iterdir()} == {CONFIG, WEIGHTS, "adapter.toml", "README.md"}
    assert {name: (folder / name).read_bytes() for name in GOOD} == GOOD
    assert [path.name for path in home.adapters.iterdir()] == ["my-bot"]
    assert "MIT" in done.err
    assert "2: checkpoint-5, tokenizer.json" in done.err
    assert hub.fetched == ["README.md", "adapter.toml", CONFIG, WEIGHTS]
    again = install(child, "org/My-Bot@main")
    assert (again.code, "already installed" in again.out) == (0, True)


def test_a_path_that_exists_comes_before_the_hub(
    hub: FakeHub, home: Paths, child: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "org" / "My-Bot").mkdir(parents=True)
    for name, data in GOOD.items():
        (tmp_path / "org" / "My-Bot" / name).write_bytes(data)
    assert install(child, "org/My-Bot", cwd=tmp_path).code == 0
    for words in ("./org/Other", "org/Other", "other/bot.zip", "a/b/c", "~/org", ""):
        done = install(child, words, cwd=tmp_path)
        assert done.code == 3
        assert_one_sentence(done.sentence)
    assert hub.tokens == []


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"config.json": b"{}", "model.safetensors": b"x"}, "is a whole model, not an adapter"),
        ({"bot-Q4_K_M.gguf": b"x"}, "is a whole model, not an adapter"),
        ({CONFIG: b"{}", "adapter_model.bin": b"x"}, "only as a pickle"),
        ({CONFIG: b"{}"}, f"has no {WEIGHTS}"),
        ({"README.md": b"hello"}, "holds no adapter at its top"),
        ({f"a/{CONFIG}": b"{}", f"a/{WEIGHTS}": b"x"}, "keeps its adapters in folders"),
        ({**GOOD, CONFIG: b" " * 200_000}, "has 200,000 bytes where at most 99,999"),
        ({**GOOD, "adapter.toml": b"#" * 20_000}, "has 20,000 bytes where at most 16,384"),
    ],
)  # fmt: skip
def test_what_is_no_adapter_is_refused_before_a_byte_is_fetched(
    hub: FakeHub, home: Paths, child: dict[str, str], files: dict[str, bytes], sentence: str
) -> None:
    hub.repos["org/My-Bot"] = files
    done = install(child, "org/My-Bot")
    assert (done.code, hub.fetched) == (4, [])
    assert sentence in done.sentence
    assert_one_sentence(done.sentence)
    assert everything_under(home.adapters) == []


def test_a_gigabyte_is_refused_by_what_the_listing_says(
    hub: FakeHub, home: Paths, child: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = hub._sibling
    monkeypatch.setattr(hub, "_sibling", lambda name, data: honest(name, data) | {"size": 2**30 + 1})
    done = install(child, "org/My-Bot")
    assert (done.code, hub.fetched) == (4, [])
    assert_one_sentence(done.sentence)


def test_a_hostile_adapter_of_the_hub_leaves_nothing(hub: FakeHub, home: Paths, child: dict[str, str]) -> None:
    hub.repos["org/My-Bot"] |= {CONFIG: json.dumps(config(r=10**9)).encode()}
    done = install(child, "org/My-Bot")
    assert done.code == 4
    assert done.sentence.startswith(f"Cannot use org/My-Bot/my-bot/{CONFIG}")
    assert everything_under(home.adapters) == []


def test_bytes_unlike_the_hubs_own_hash_are_refused(hub: FakeHub, home: Paths, child: dict[str, str]) -> None:
    hub.altered = GOOD[WEIGHTS][:-1] + b"\x01"
    done = install(child, "org/My-Bot")
    assert done.code == 4
    assert "arrived damaged" in done.sentence
    assert everything_under(home.adapters) == []


def test_more_bytes_than_the_listing_said_are_refused(hub: FakeHub, home: Paths, child: dict[str, str]) -> None:
    hub.altered = GOOD[WEIGHTS] + bytes(2**20)
    done = install(child, "org/My-Bot")
    assert done.code == 4
    assert "longer than the hub said" in done.sentence
    assert everything_under(home.adapters) == []


def test_a_broken_connection_is_taken_up_again(hub: FakeHub, home: Paths, child: dict[str, str]) -> None:
    hub.cut_after = 2000
    assert install(child, "org/My-Bot").code == 0
    assert (home.adapters / "my-bot" / WEIGHTS).read_bytes() == GOOD[WEIGHTS]


@pytest.mark.parametrize(
    ("status", "error_code", "code", "sentence"),
    [
        (401, "GatedRepo", 4, "accept its licence at {hub}/org/My-Bot, then give a token of that account in HF_TOKEN"),
        (401, "", 4, "accept its licence at {hub}/org/My-Bot, then give a token of that account in HF_TOKEN or by `hf"),
        (404, "RepoNotFound", 3, "The hub has no adapter org/My-Bot"),
        (404, "RevisionNotFound", 3, "has no such revision"),
        (500, "", 5, "The hub answered 500"),
    ],
)
def test_each_answer_of_the_hub_is_one_sentence(
    hub: FakeHub, home: Paths, child: dict[str, str], status: int, error_code: str, code: int, sentence: str
) -> None:
    hub.status, hub.error_code = status, error_code
    done = install(child, "org/My-Bot")
    assert done.code == code
    assert sentence.format(hub=hub.address) in done.sentence
    assert_one_sentence(done.sentence)
    assert everything_under(home.adapters) == []


@pytest.mark.parametrize(
    "answer",
    [
        "<html>", "[]", "{}", '{"id": "a/b", "sha": 5}', '{"id": "a/b", "sha": null}',
        '{"id": "a/b", "sha": "SHA", "siblings": [{"x": 1}]}',
        '{"id": "a/b", "sha": "SHA", "siblings": [{"rfilename": "adapter_config.json", "size": "5"}]}',
        '{"id": "a/b", "sha": "SHA", "siblings": [{"rfilename": "adapter_config.json", "size": -5}]}',
        '{"id": "a/b", "sha": "SHA", "siblings": [{"rfilename": 5, "size": 5}]}',
        '{"id": "a/b", "sha": "SHA", "siblings": [{"rfilename": "../adapter_config.json", "size": 5}]}',
    ],
)  # fmt: skip
def test_whatever_answers_in_a_hubs_place_is_one_sentence(
    hub: FakeHub, home: Paths, child: dict[str, str], answer: str
) -> None:
    hub.body = answer.replace("SHA", "a" * 40).encode()
    done = install(child, "org/My-Bot")
    assert done.code in (4, 5)
    assert_one_sentence(done.sentence)
    assert everything_under(home.adapters) == []
    assert hub.fetched == []


def test_no_line_and_offline_are_said(hub: FakeHub, home: Paths, child: dict[str, str]) -> None:
    done = install(child, "org/My-Bot", HF_ENDPOINT="http://127.0.0.1:9")
    assert (done.code, "connection to the hub failed" in done.sentence) == (5, True)
    done = install(child, "org/My-Bot", HF_HUB_OFFLINE="1")
    assert (done.code, "HF_HUB_OFFLINE is set" in done.sentence) == (5, True)


def test_the_persons_token_and_revision_are_sent(hub: FakeHub, child: dict[str, str]) -> None:
    install(child, "org/My-Bot@v2", HF_TOKEN="hf_of_mine")
    assert set(hub.tokens) == {"Bearer hf_of_mine"}
    assert hub.asked[0] == "/api/models/org/My-Bot/revision/v2"


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_download_shows_nothing(
    hub: FakeHub, home: Paths, child: dict[str, str], number: signal.Signals
) -> None:
    hub.stall_after = 1000
    command = [sys.executable, "-m", "lora_chat", "adapter", "install", "org/My-Bot", "--yes"]
    with subprocess.Popen(command, env=child, stderr=subprocess.PIPE, text=True) as running:
        assert hub.stalled.wait(30)
        for _ in range(5):
            running.send_signal(number)
            try:
                _, err = running.communicate(timeout=5)
                break
            except subprocess.TimeoutExpired:
                pass  # CPython misses one that comes between its last look and the read that blocks
    assert running.returncode == (-9 if number == signal.SIGKILL else 130), err
    left = [path.name for path in home.adapters.iterdir()]
    assert all(name.startswith(".incoming-") for name in left)
    assert number == signal.SIGKILL or left == []


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("org/name", HubAdapter("org/name")), ("org/name@v1.0", HubAdapter("org/name", "v1.0")),
        ("Org.2/na_me-3@refs/pr/1", HubAdapter("Org.2/na_me-3", "refs/pr/1")), ("name", None), ("a/b/c", None),
        ("./a/b", None), ("../b", None), ("a/..", None), ("/a/b", None), ("~/b", None), ("a/b@", None),
        ("a/b@-x", None), ("a\\b", None), ("a/b\0", None), ("https://hub/a/b", None),
    ],
)  # fmt: skip
def test_what_a_hub_id_is(text: str, meant: HubAdapter | None) -> None:
    assert HubAdapter.parse(text) == meant
