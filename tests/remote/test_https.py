"""https:// and http:// told apart: where the one is written and the other spoken, a sentence says which to write."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from lora_chat.errors import EngineError
from tests.engine.conftest import ask, is_one_sentence
from tests.remote.conftest import Opened
from tests.remote.fake_server import FakeServer
from tests.remote.faults import reset, says

CHAT = "/v1/chat/completions"
Serve = Callable[..., FakeServer]


def certified(folder: Path) -> tuple[Path, Path]:
    """A certificate of this machine that nobody vouches for, and its key."""
    made, certificate = folder / "made.pem", folder / "cert.pem"
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(["openssl", *words.split(), "-keyout", made, "-out", certificate], check=True)
    return certificate, made


def test_https_where_none_is_spoken_is_told(serve: Serve, opened: Opened) -> None:
    server = serve()
    with pytest.raises(EngineError, match=f"{server.place} answers https:// with .*: write http:// in url") as caught:
        opened(server.url.replace("http:", "https:")).load()
    assert is_one_sentence(caught.value)


def test_a_connection_that_ends_where_https_begins_may_want_none(opened: Opened) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.recv(65536)
            connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(EngineError, match=f"{place} ends the connection where https:// begins: write http://"):
            opened(f"https://{place}/v1").load()


@pytest.mark.parametrize(
    "words",
    [
        "<html><title>400 The plain HTTP request was sent to HTTPS port</title></html>",
        "Client sent an HTTP request to an HTTPS server.\n",
        "Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
        "Bad Request\nThis combination of host and port requires TLS.",
    ],
)
def test_http_where_https_is_spoken_is_told(serve: Serve, opened: Opened, words: str) -> None:
    server = serve()
    server.instead("/v1/models", says(400, words, "text/html"))
    with pytest.raises(EngineError, match=f"{server.place} speaks https .*: write https:// in url") as caught:
        opened(server).load()
    assert is_one_sentence(caught.value)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with")
def test_http_to_a_server_that_hangs_up_on_it_may_have_to_be_https(
    serve: Serve, opened: Opened, tmp_path: Path
) -> None:
    server = serve()
    server.secure(*certified(tmp_path))
    with pytest.raises(EngineError, match=f"{server.place} ended the connection .*: try again, or write https://"):
        opened(server).load()


def test_a_server_that_answered_before_is_not_taken_for_another_kind(serve: Serve, opened: Opened) -> None:
    server = serve()
    engine = opened(server)
    engine.load()
    server.instead(CHAT, reset)
    with pytest.raises(EngineError, match="ended the connection") as caught:
        ask(engine)
    assert "https" not in str(caught.value)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with")
def test_a_certificate_of_nobodys_is_not_trusted_and_the_key_stays_here(
    serve: Serve, opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    server.secure(*certified(tmp_path))
    url = server.url.replace("http:", "https:")
    with pytest.raises(EngineError, match=r"cannot be trusted \(self.signed certificate") as caught:
        opened(url, {"VLLM_API_KEY": "sk-1"}).load()
    assert is_one_sentence(caught.value)
    assert server.asked == []
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    assert ask(opened(url))
