"""What a client gets. Owns OpenAI's form of answers, streams and models; never makes one."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lora_chat.engine.protocol import Finished

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Head:
    """What every piece of one answer says."""

    model: str
    fingerprint: str
    """Changes with anything that makes the same seed give another answer."""
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def _fields(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }

    def completion(self, text: str, finished: Finished) -> dict[str, Any]:
        """The whole answer."""
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finished.reason}
        return self._fields("chat.completion") | {"choices": [choice], "usage": usage(finished)}

    def chunk(self, delta: Mapping[str, str], reason: str | None, *, told_usage: bool) -> dict[str, Any]:
        """A piece of a stream; where the figures are to come, each says that it has none yet."""
        choice = {"index": 0, "delta": dict(delta), "logprobs": None, "finish_reason": reason}
        piece = self._fields("chat.completion.chunk") | {"choices": [choice]}
        return piece | {"usage": None} if told_usage else piece

    def figures(self, finished: Finished) -> dict[str, Any]:
        """The piece of a stream that has the figures and no choice."""
        return self._fields("chat.completion.chunk") | {"choices": [], "usage": usage(finished)}


def usage(finished: Finished) -> dict[str, Any]:
    """Tokens as the engine counted them: the answer's include the one that ended it."""
    return {
        "prompt_tokens": finished.prompt_tokens,
        "completion_tokens": finished.generated_tokens,
        "total_tokens": finished.prompt_tokens + finished.generated_tokens,
        "prompt_tokens_details": {"cached_tokens": finished.cached_tokens},
    }


def event(value: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + as_json(value) + b"\n\n"


def as_json(value: Mapping[str, Any]) -> bytes:
    """As it goes over the wire."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
