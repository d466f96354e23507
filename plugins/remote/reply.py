"""One reply out of a server's events. Owns its text, its figures and its end; never opens a connection."""

from __future__ import annotations

import time
from typing import Any

from lora_chat.plugins.engine_api import CLOSES, OPENS, EngineError, Finished, FinishReason

_THOUGHT = ("reasoning_content", "reasoning")
"""Where servers put what was thought before the answer."""


class Reply:
    """What has come of it so far."""

    def __init__(self, place: str, began: float, seed: int, prompt_tokens: int) -> None:
        """``began`` is of ``perf_counter``; ``prompt_tokens`` is what is told until the server counts."""
        self._place = place
        self._began = began
        self._seed = seed
        self._prompt = prompt_tokens
        self._cached = 0
        self._counted: int | None = None
        self._pieces = 0
        self._first: float | None = None
        self._thinks = False
        self.reason: FinishReason | None = None
        """Why it ended, once the server said so."""

    def take(self, event: dict[str, Any]) -> str:
        """The text that one event adds.

        Raises:
            EngineError: the server ended it for a reason that is no end of an answer, or said what is no event.
        """
        self._count(event)
        choices = event.get("choices") or [{}]
        choice = choices[0] if isinstance(choices, list) else None
        delta = (choice.get("delta") or {}) if isinstance(choice, dict) else None
        if not isinstance(choice, dict) or not isinstance(delta, dict):
            raise EngineError(f"The server at {self._place} sent what is no piece of an answer: check url.")
        text = self._text(delta)
        if text:
            self._pieces += 1
            self._first = self._first or time.perf_counter()
        if reason := choice.get("finish_reason"):
            text += self._end(reason)
        return text

    def finished(self, reason: FinishReason) -> Finished:
        """Its figures: the server's own where it told them, else counted by the pieces that came."""
        generated = self._pieces if self._counted is None else max(self._counted, min(self._pieces, 1))
        elapsed = max(time.perf_counter() - (self._first or self._began), 1e-9)
        return Finished(
            reason=reason,
            prompt_tokens=self._prompt,
            cached_tokens=min(self._cached, self._prompt),
            generated_tokens=generated,
            first_token_ms=None if self._first is None else (self._first - self._began) * 1000,
            tokens_per_second=(generated - 1) / elapsed if generated > 1 and self._first else None,
            seed=self._seed,
        )

    def _text(self, delta: dict[str, Any]) -> str:
        thought = next((delta[name] for name in _THOUGHT if isinstance(delta.get(name), str)), "")
        said = delta.get("content")
        said = said if isinstance(said, str) else ""
        text = ""
        if thought:
            text = thought if self._thinks else f"{OPENS}\n{thought}"
            self._thinks = True
        if said and self._thinks:
            text, self._thinks = f"{text}\n{CLOSES}\n\n", False
        return text + said

    def _end(self, reason: object) -> str:
        if reason in ("stop", "eos", "length"):
            self.reason = "length" if reason == "length" else "stop"
            closing, self._thinks = f"\n{CLOSES}\n\n" if self._thinks and reason != "length" else "", False
            return closing
        why = {
            "content_filter": "its filter for contents",
            "tool_calls": "a call of a tool, which is not given here",
            "function_call": "a call of a tool, which is not given here",
            "abort": "somebody there",
        }.get(str(reason), "a fault of its own")
        raise EngineError(f"The server at {self._place} ended the answer by {why}: try again.")

    def _count(self, event: dict[str, Any]) -> None:
        usage, timings = event.get("usage"), event.get("timings")
        if isinstance(usage, dict):
            self._prompt = _whole(usage.get("prompt_tokens"), self._prompt)
            self._counted = _whole(usage.get("completion_tokens"), self._counted or 0)
            details = usage.get("prompt_tokens_details")
            if isinstance(details, dict):
                self._cached = _whole(details.get("cached_tokens"), self._cached)
        elif isinstance(timings, dict):  # llama-server tells them with each piece
            self._cached = _whole(timings.get("cache_n"), self._cached)
            read = _whole(timings.get("prompt_n"), -1)
            self._prompt = read + self._cached if read >= 0 else self._prompt
            self._counted = _whole(timings.get("predicted_n"), self._counted or 0)


def _whole(value: object, otherwise: int) -> int:
    return value if type(value) is int and 0 <= value < 2**53 else otherwise
