"""The table ``[remote]``, the address and the key: hostile values are refused, and a key is found but never shown."""

from __future__ import annotations

import pickle
import sys
import types
from typing import Any

import pytest

from lora_chat.errors import RefusedError
from tests.engine.conftest import is_one_sentence
from tests.remote.loading import part, plugin

HERE = "http://127.0.0.1:8000/v1"


def settings(**table: Any) -> Any:
    return part("settings").read_settings({"url": HERE, **table})


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ([], "must be a table"),
        ({}, "no server to ask"),
        ({"url": ""}, "no server to ask"),
        ({"url": 7}, '"url" .* a text in quotes, not 7'),
        ({"url": HERE, "modle": "x"}, 'Unknown setting "modle" .*did you mean model'),
        ({"url": HERE, "api_key": "sk-1234"}, "A key never stands in the settings"),
        ({"url": HERE, "Token": "sk-1234"}, "A key never stands in the settings"),
        ({"url": HERE, "dialect": "ollama"}, "auto or openai or vllm or llama-server, not 'ollama'"),
        ({"url": HERE, "retries": True}, "a whole number, not True"),
        ({"url": HERE, "retries": 11}, "between 0 and 10"),
        ({"url": HERE, "retries": 10**5000}, "between 0 and 10, not 0x"),
        ({"url": HERE, "stall_seconds": float("nan")}, "between 0.1"),
        ({"url": HERE, "stall_seconds": "60"}, "a number, not '60'"),
        ({"url": HERE, "insecure": 1}, "true or false, not 1"),
        ({"url": HERE, "model": "a\x1b[31mb"}, "one line without control characters"),
        ({"url": HERE, "copies": "here"}, "a full path"),
        ({"url": HERE, "adapters_at": "x"}, "full paths"),
        ({"url": HERE, "adapters_at": {"/a": 7}}, "full paths"),
        ({"url": HERE, "adapters_at": {"a": "/b"}}, "full paths"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(table: Any, words: str) -> None:
    with pytest.raises(RefusedError, match=words) as caught:
        part("settings").read_settings(table)
    assert is_one_sentence(caught.value) or "; did you mean" in str(caught.value)
    assert "sk-1234" not in str(caught.value)


def test_what_is_there_is_read() -> None:
    found = settings(stall_seconds=5, adapters_at={"~/adapters": "D:\\adapters"}, copies="/srv/copies")
    assert (found.stall_seconds, found.copies, dict(found.adapters_at)) == (
        5.0,
        "/srv/copies",
        {"~/adapters": "D:\\adapters"},
    )


@pytest.mark.parametrize(
    ("url", "api", "root"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1", "http://127.0.0.1:8000"),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1", "http://localhost:8000"),
        ("http://[::1]:8000/v1/chat/completions", "http://[::1]:8000/v1", "http://[::1]:8000"),
        ("https://api.example.org/openai/v1", "https://api.example.org/openai/v1", "https://api.example.org/openai"),
        ("https://example.org/v1beta/openai", "https://example.org/v1beta/openai", "https://example.org/v1beta/openai"),
    ],
)
def test_an_address_is_read_as_other_clients_write_it(url: str, api: str, root: str) -> None:
    found = part("address").read_address(url)
    assert (found.api, found.root) == (api, root)


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8000",
        "ftp://127.0.0.1/v1",
        "file:///etc/passwd",
        "http://",
        "http://a b/v1",
        "http://127.0.0.1:99999/v1",
        "http://[::1/v1",
        "https://h/v1?key=1",
        "https://h/v1#x",
        "https://me:pass@h/v1",
        "http://192.168.1.7:8000/v1",
        "http://localhost.example.org/v1",
        "http://127.0.0.1.example.org/v1",
    ],
)
def test_an_address_that_is_none_or_not_safe_is_refused(url: str) -> None:
    with pytest.raises(RefusedError) as caught:
        part("address").read_address(url)
    assert is_one_sentence(caught.value)
    assert "pass" not in str(caught.value).replace("password", "").replace("passwd", "")


def test_a_network_of_ones_own_may_be_spoken_on_in_the_clear() -> None:
    with pytest.raises(RefusedError, match=r"http://192.168.1.7 is another machine.*insecure = true"):
        plugin().open_engine({"url": "http://192.168.1.7:8000/v1"}, None, {})
    found = part("address").read_address("http://192.168.1.7:8000/v1", insecure=True)
    assert (found.place, found.is_here) == ("192.168.1.7:8000", False)


@pytest.mark.parametrize(
    ("dialect", "host", "named", "names"),
    [
        ("openai", "127.0.0.1", "", ("OPENAI_API_KEY",)),
        ("vllm", "127.0.0.1", "", ("VLLM_API_KEY",)),
        ("auto", "gpu.example.org", "", ("VLLM_API_KEY", "LLAMA_API_KEY")),
        ("auto", "api.openai.com", "", ("OPENAI_API_KEY",)),
        ("auto", "api.openai.com", "MINE", ("MINE",)),
    ],
)
def test_openais_key_goes_to_openais_like_alone(dialect: str, host: str, named: str, names: tuple[str, ...]) -> None:
    assert part("key").variables(dialect, host, named) == names


def test_a_key_is_found_and_shows_nothing() -> None:
    key = part("key").find_key(("A", "B"), "h", {"A": " ", "B": " sk-hidden\n"})
    assert key.headers() == {"Authorization": "Bearer sk-hidden"}
    assert key.hidden("You sent sk-hidden, no?") == "You sent …, no?"
    assert "sk-hidden" not in f"{key} {key!r}"
    with pytest.raises(TypeError):
        pickle.dumps(key)
    assert not part("key").find_key(("A",), "h", {})


@pytest.mark.parametrize("secret", ["two words", "sk-\x00", "schlüssel", "x" * 9000])
def test_what_can_be_no_key_is_refused_without_showing_it(secret: str) -> None:
    with pytest.raises(RefusedError, match="What A holds is no key") as caught:
        part("key").find_key(("A",), "h", {"A": secret})
    assert secret not in str(caught.value)
    assert is_one_sentence(caught.value)


def test_the_keyring_is_asked_where_no_variable_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    ring = types.ModuleType("keyring")

    def get_password(service: str, user: str) -> str | None:
        asked.append((service, user))
        if user == "locked":
            raise RuntimeError("the keyring is locked")
        return "sk-ring"

    ring.get_password = get_password  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", ring)
    find = part("key").find_key
    assert find(("A",), "h:8000", {}).headers() == {"Authorization": "Bearer sk-ring"}
    assert find(("A",), "h:8000", {"A": "sk-env"}).headers() == {"Authorization": "Bearer sk-env"}
    assert not find(("A",), "locked", {})
    assert asked == [("lora-chat", "h:8000"), ("lora-chat", "locked")]


def test_opening_asks_nobody() -> None:
    engine = plugin().open_engine({"url": "http://127.0.0.1:9/v1"}, None, {"VLLM_API_KEY": "sk-1"})
    assert not engine.is_running
    engine.close()


@pytest.mark.parametrize("key", ["sk-secret123456", "hf_SecretSecret", "Bearer SECRET"])
def test_a_key_in_the_place_of_its_variable_is_refused_and_never_repeated(key: str) -> None:
    with pytest.raises(RefusedError, match="name of an environment variable") as caught:
        plugin().open_engine({"url": "http://127.0.0.1:8000/v1", "key_variable": key}, None, {})
    assert key not in str(caught.value)
