"""Where the server is. Owns reading its address and what may be sent there; never connects."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from lora_chat.plugins.engine_api import RefusedError, clean_line

_EXAMPLE = "write http://127.0.0.1:8000/v1 or https://HOST/v1, for example"


@dataclass(frozen=True)
class Address:
    """One server's, read."""

    api: str
    """What OpenAI's paths follow: it ends in ``/v1`` with most servers."""
    root: str
    """What a server's own paths follow."""
    place: str
    """Host and port, as they are told."""
    host: str
    is_here: bool
    """Whether it is this machine."""


def read_address(url: str, *, insecure: bool = False) -> Address:
    """Read ``url``; without a path, ``/v1`` is what is meant.

    Raises:
        RefusedError: it is none, holds a password, or would send in the clear over a network.
    """
    told = clean_line(url, 120)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise RefusedError(f'"{told}" is no address of a server: {_EXAMPLE}.') from error
    if parts.username is not None or parts.password is not None:
        raise RefusedError(
            "The server's address holds a name or password: leave them out, a key belongs into the environment."
        )
    if parts.scheme not in ("http", "https") or not host or any(each.isspace() for each in url):
        raise RefusedError(f'"{told}" is no address of a server: {_EXAMPLE}.')
    if parts.query or parts.fragment:
        raise RefusedError(f'"{told}" has something after its path: {_EXAMPLE}.')
    is_here = _is_here(host)
    if parts.scheme == "http" and not is_here and not insecure:
        raise RefusedError(
            f"http://{clean_line(host, 80)} is another machine, and what is said could be read on the way: use "
            "https://, or write insecure = true below [remote] where the network is your own."
        )
    place = f"[{host}]" if ":" in host else host
    place = clean_line(f"{place}:{port}" if port else place, 100)
    path = parts.path.rstrip("/")
    if path.endswith("/chat/completions"):
        path = path.removesuffix("/chat/completions")
    api = f"{parts.scheme}://{parts.netloc}{path or '/v1'}"
    return Address(api, api.removesuffix("/v1"), place, host, is_here)


def _is_here(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
