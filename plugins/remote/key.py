"""The key that a server asks for. Owns finding and hiding it: it is in no setting, text, log or traceback."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from lora_chat.plugins.engine_api import RefusedError, clean_line

SERVICE = "lora-chat"
"""Under which the keyring keeps keys; the user there is the server's host and port."""
VARIABLES: dict[str, tuple[str, ...]] = {
    "openai": ("OPENAI_API_KEY",),
    "vllm": ("VLLM_API_KEY",),
    "llama-server": ("LLAMA_API_KEY",),
    "auto": ("VLLM_API_KEY", "LLAMA_API_KEY"),
}
"""Of each dialect. OpenAI's own key goes to nobody who was not said to be OpenAI's like."""
_OPENAI = "api.openai.com"


class Key:
    """A key, or none. Nothing but ``headers`` gives it away."""

    __slots__ = ("_secret", "source")

    def __init__(self, secret: str = "", source: str = "") -> None:
        """``source`` names where it was found."""
        self._secret = secret
        self.source = source

    def __bool__(self) -> bool:
        return bool(self._secret)

    def __repr__(self) -> str:
        return f"Key(from {self.source})" if self._secret else "Key(none)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not written anywhere")

    def headers(self) -> dict[str, str]:
        """What a request carries."""
        return {"Authorization": f"Bearer {self._secret}"} if self._secret else {}

    def hidden(self, text: str) -> str:
        """``text`` without the key, which a server may have said again."""
        return text.replace(self._secret, "…") if self._secret else text


def variables(dialect: str, host: str, named: str = "") -> tuple[str, ...]:
    """The environment variables that a key for this server is looked for in."""
    if named:
        return (named,)
    return VARIABLES["openai"] if host == _OPENAI else VARIABLES[dialect]


def find_key(names: tuple[str, ...], place: str, environ: Mapping[str, str]) -> Key:
    """The key in the first of the variables ``names`` that is set, else the keyring's for ``place``.

    Raises:
        RefusedError: there is one and it can be no key.
    """
    for name in names:
        if secret := environ.get(name, "").strip():
            return _checked(secret, name)
    secret = (_from_keyring(place) or "").strip()
    return _checked(secret, "the keyring") if secret else Key()


def _checked(secret: str, source: str) -> Key:
    if not secret.isascii() or not secret.isprintable() or " " in secret or len(secret) > 8000:
        raise RefusedError(f"What {clean_line(source, 60)} holds is no key: set it to the key alone.")
    return Key(secret, source)


def _from_keyring(place: str) -> str | None:
    """None where the package is not installed or has nothing to say."""
    try:
        import keyring  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return None
    try:
        found = keyring.get_password(SERVICE, place)
    except Exception:  # each system's keyring fails in its own way; without a key the server says what it misses
        return None
    return found if isinstance(found, str) else None
