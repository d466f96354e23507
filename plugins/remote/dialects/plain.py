"""Any OpenAI-compatible server. Owns what such a server does not know; it wears no adapters."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lora_chat.plugins.engine_api import Probe, RefusedError, Request, Sampling, Worn, clean_line

from ..answer import Answer
from ..client import Client
from .common import Common, Served

_MOST_STOPS = 4
"""That OpenAI takes; the reply ends before the others all the same."""
_UNKNOWN = {"top_k": "0", "repetition_penalty": "1.0"}
"""What OpenAI's servers do not have, and the value that changes nothing."""


class PlainDialect(Common):
    """``Dialect`` of servers that are nothing more."""

    name = "openai"

    def __init__(self, client: Client, served: Served, says: str = "") -> None:
        """``says`` is the dialect of what the server says that it is, where that is another."""
        super().__init__(client, served)
        either = 'write dialect = "vllm" or "llama-server" below [remote] where it is one of these'
        self._dialects = f'write dialect = "{says}" below [remote], which it says that it is' if says else either

    def body(self, request: Request, seed: int) -> dict[str, Any]:
        """See ``Dialect``."""
        sampling = request.sampling
        if unknown := [name for name, neutral in _UNKNOWN.items() if getattr(sampling, name) != float(neutral)]:
            raise self._has_no(unknown, sampling)
        if request.continues:
            raise RefusedError(
                f"The server at {self.place} begins each answer anew and cannot go on with one: have it answered again."
            )
        body = super().body(request, seed)
        if stops := body.get("stop"):
            body["stop"] = stops[:_MOST_STOPS]
        return body

    @contextmanager
    def wearing(self, adapter: Worn | None, cancel: threading.Event | None) -> Iterator[dict[str, Any]]:
        """See ``Dialect``."""
        if adapter is not None and any(each.scale for each in adapter.all):
            raise self._wears_none(adapter)
        yield {}

    def revised(self, body: dict[str, Any], answer: Answer, request: Request) -> dict[str, Any] | None:
        """See ``Dialect``: OpenAI's newer models have another name for the longest answer, older servers count none."""
        if answer.status not in (400, 422):
            return None
        if "max_tokens" in body and answer.says("max_completion_tokens"):
            rest = {name: value for name, value in body.items() if name != "max_tokens"}
            return rest | {"max_completion_tokens": body["max_tokens"]}
        if "stream_options" in body and answer.says("stream_options"):
            return {name: value for name, value in body.items() if name != "stream_options"}
        return None

    def probe(self, adapter: Worn) -> Probe:
        """See ``Dialect``."""
        raise self._wears_none(adapter)

    def _has_no(self, names: list[str], sampling: Sampling) -> RefusedError:
        """What to write where it was set, which only the person knows."""
        told = " and no ".join(f"{name} (set to {getattr(sampling, name):g})" for name in names)
        written = " and ".join(f"{name} = {_UNKNOWN[name]}" for name in names)
        said = ", ".join(f"/set {name} {_UNKNOWN[name]}" for name in names)
        typed = " ".join(f"--{name.replace('_', '-')} {_UNKNOWN[name]}" for name in names)
        return RefusedError(
            f"The server at {self.place} has no {told}: write {written} in config.toml, {said} in the chat or {typed} "
            f"of ask, or {self._dialects}."
        )

    def _wears_none(self, adapter: Worn) -> RefusedError:
        return RefusedError(
            f'The server at {self.place} is not known to wear adapters: take "{clean_line(adapter.name, 60)}" off, or '
            f"{self._dialects}."
        )
