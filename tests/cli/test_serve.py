"""``lora-chat serve`` before it serves: what it refuses, each in one sentence."""

from __future__ import annotations

import sys

import pytest

from lora_chat.paths import Paths
from tests.cli.conftest import Run


@pytest.mark.parametrize("missing", [("fastapi", "uvicorn"), ("uvicorn",)])
def test_without_the_extra_it_says_what_to_install(
    run: Run, tiny: Paths, monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...]
) -> None:
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    done = run("serve")
    assert done.code == 4
    assert done.sentence.startswith(f"The server needs {' and '.join(missing)}, ")
    assert "pip install fastapi uvicorn" in done.sentence


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_an_address_that_others_reach_wants_a_key(run: Run, tiny: Paths, host: str) -> None:
    done = run("serve", "--host", host)
    assert done.code == 4
    assert "LORA_CHAT_API_KEY" in done.sentence


def test_an_address_that_is_not_here_is_refused(run: Run, tiny: Paths) -> None:
    assert run("serve", "--host", "192.0.2.1", "--api-key", "k").code == 4
    assert run("serve", "--host", "no such host").code == 4


@pytest.mark.parametrize("key", ["", " k", "ö", "a\nb"])
def test_a_key_that_no_client_could_send_is_refused(run: Run, tiny: Paths, key: str) -> None:
    assert run("serve", "--api-key", key).code == 2


def test_a_base_that_is_not_here_is_not_found(run: Run, tiny: Paths) -> None:
    assert run("serve", "-m", "smollm2-360m").code == 3
    assert run("serve", "-m", "nonsense").code == 3
    assert run("serve", "--port", "70000").code == 2
