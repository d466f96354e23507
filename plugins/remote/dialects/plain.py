"""Any OpenAI-compatible server. Owns what such a server does not know; it wears no adapters."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lora_chat.plugins.engine_api import Probe, RefusedError, Request, Worn, clean_line

from ..answer import Answer
from .common import Common

_MOST_STOPS = 4
"""That OpenAI takes; the reply ends before the others all the same."""


class PlainDialect(Common):
    """``Dialect`` of servers that are nothing more."""

    name = "openai"

    def body(self, request: Request, seed: int) -> dict[str, Any]:
        """See ``Dialect``."""
        sampling = request.sampling
        unknown = [
            f"{name} = {neutral}"
            for name, neutral, value in (
                ("top_k", "0", sampling.top_k),
                ("repetition_penalty", "1.0", sampling.repetition_penalty),
            )
            if value != float(neutral)
        ]
        if unknown:
            raise RefusedError(
                f"The server at {self.place} has no such settings: take back {' and '.join(unknown)}, or name its "
                "dialect below [remote]."
            )
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

    def _wears_none(self, adapter: Worn) -> RefusedError:
        return RefusedError(
            f'The server at {self.place} is not known to wear adapters: take "{clean_line(adapter.name, 60)}" off, or '
            'write dialect = "vllm" or "llama-server" below [remote] where it is one of these.'
        )
