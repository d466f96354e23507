"""Who may ask. Owns the look at each request's headers and at the address that is listened on; reads no body.

A server on loopback is within reach of every page that a browser shows: by a name of its own that it lets point here
(DNS rebinding), or by a form. So the name it was called by must be this machine's, a page's origin too, and no header
ever allows another origin to read an answer (CORS).
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from lora_chat.errors import RefusedError, UsageError
from lora_chat.serve.errors import ApiError
from lora_chat.text import clean_line

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def check_key(host: str, key: str | None) -> None:
    """Refuse to be reachable from elsewhere without a key.

    Raises:
        UsageError: the key could not be sent as it is.
        RefusedError: ``host`` is not loopback and there is no key, or there is no such address.
    """
    if key is not None and not (key.isascii() and key.isprintable() and key.strip() == key and key):
        raise UsageError("An API key must be printable ASCII without blanks around it: choose another.")
    if key is None and not all(map(_is_loopback, _addresses(host))):
        raise RefusedError(
            f"Whoever reaches {clean_line(host, 80)} could use this server: "
            "set LORA_CHAT_API_KEY (or --api-key), or leave --host out."
        )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        RefusedError: that port is in use or not allowed, or there is no such address here.
    """
    where = f"port {port} of {clean_line(host, 80)}"
    address = min(_addresses(host), key=lambda each: ":" in each)  # of localhost's two the one that everybody tries
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.create_server((address, port), family=family, backlog=128)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else error  # Python's own says the address a second time
        raise RefusedError(
            f"Cannot listen on {where} ({why}): end what uses it, or choose another with --port."
        ) from error


class Guard:
    """What each request must bring."""

    def __init__(self, host: str, key: str | None) -> None:
        """``key`` is required as a bearer token; None asks for none."""
        self._names = {*LOOPBACK, host.strip("[]").casefold()}
        self._any_address = any(_is_unspecified(each) for each in _addresses(host))
        self._key = key

    def check(self, headers: Mapping[str, str]) -> None:
        """Look at ``headers``, whose names are in lower case.

        Raises:
            ApiError: 403, called by another name or from a page; 401, without the key.
        """
        if not self._is_own(_name(headers.get("host", ""))):
            raise ApiError(403, "This server does not answer to that Host: call it by its own address.", "foreign_host")
        origin = headers.get("origin")
        if origin is not None and not self._is_own(_name(urlsplit(origin).netloc)):
            raise ApiError(403, "This server does not answer pages of other origins.", "foreign_origin")
        if self._key is not None and not _is_bearer(headers.get("authorization", ""), self._key):
            raise ApiError(401, "The API key is wrong or missing: send Authorization: Bearer KEY.", "invalid_api_key")

    def _is_own(self, name: str) -> bool:
        """Whether ``name`` is this server's; where it listens everywhere, any address that is no name."""
        return name in self._names or (self._any_address and _is_address(name))


def _name(authority: str) -> str:
    """``localhost`` of ``localhost:8642``, ``::1`` of ``[::1]:8642``."""
    authority = authority.strip().casefold()
    if authority.startswith("["):
        return authority[1:].partition("]")[0]
    return authority.partition(":")[0]


def _is_bearer(sent: str, key: str) -> bool:
    scheme, _, given = sent.partition(" ")
    return hmac.compare_digest(given.strip().encode(), key.encode()) and scheme.casefold() == "bearer"


def _addresses(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise RefusedError(
            f'There is no address "{clean_line(host, 80)}" on this machine: leave --host out, or give one of its own.'
        ) from error
    return [str(address[0]).partition("%")[0] for *_, address in found]


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def _is_unspecified(address: str) -> bool:
    return ipaddress.ip_address(address).is_unspecified


def _is_address(name: str) -> bool:
    with suppress(ValueError):
        return bool(ipaddress.ip_address(name))
    return False
