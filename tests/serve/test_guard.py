"""Who may ask: names, origins, keys and addresses."""

from __future__ import annotations

import pytest

from lora_chat.errors import LoraChatError
from lora_chat.serve.errors import ApiError
from lora_chat.serve.guard import Guard, check_key, listen


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "localhost", "::1", "[::1]"])
def test_loopback_needs_no_key(host: str) -> None:
    check_key(host, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]", "10.1.2.3", ""])
def test_everything_else_does(host: str) -> None:
    with pytest.raises(LoraChatError):
        check_key(host, None)


def test_who_listens_everywhere_is_called_by_any_address_and_by_no_foreign_name() -> None:
    guard = Guard("0.0.0.0", "k")
    for name in ("192.0.2.5", "192.0.2.5:8642", "[2001:db8::5]:8642", "localhost", "127.0.0.1:1"):
        guard.check({"host": name, "authorization": "Bearer k"})
    for name in ("evil.example", "192.0.2.5.evil.example", "", "192.0.2.5@evil.example"):
        with pytest.raises(ApiError) as refused:
            guard.check({"host": name, "authorization": "Bearer k"})
        assert refused.value.status == 403


@pytest.mark.parametrize("sent", ["", "k", "Bearer", "Bearer ", "Basic k", "Bearer k2", "Bearer \u00f6", "bearer  x"])
def test_only_the_key_is_the_key(sent: str) -> None:
    with pytest.raises(ApiError) as refused:
        Guard("localhost", "k").check({"host": "localhost", "authorization": sent})
    assert refused.value.status == 401


def test_localhost_is_the_address_that_everybody_tries() -> None:
    with listen("localhost", 0) as door:
        assert door.getsockname()[0] == "127.0.0.1"
