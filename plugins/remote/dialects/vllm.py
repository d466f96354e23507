"""vLLM's server. Owns how it is asked to wear an adapter; what it holds is ``loaded``'s.

https://docs.vllm.ai/en/latest/features/lora.html; started with ``--enable-lora`` and
``VLLM_ALLOW_RUNTIME_LORA_UPDATING=True``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lora_chat.plugins.engine_api import EngineError, LoraChatError, Probe, Request, Turn, Worn

from ..answer import Answer
from ..client import Client
from ..loaded import Loaded
from ..settings import Settings
from ..shelf import Shelf
from .common import Common, Served, check_goes_on, said, too_long

_LEAST_TOP_P = 1e-6


class VllmDialect(Common):
    """``Dialect`` of vLLM."""

    name = "vllm"

    def __init__(self, client: Client, served: Served, settings: Settings, shelf: Shelf) -> None:
        super().__init__(client, served)
        self._shelf = shelf
        self._loaded = Loaded(client, served.model, settings, shelf)

    def body(self, request: Request, seed: int) -> dict[str, Any]:
        """See ``Dialect``: every setting is said, as the model's own defaults would hold otherwise."""
        check_goes_on(request)
        sampling = request.sampling
        body = super().body(request, seed) | {
            "stream_options": {"include_usage": True, "continuous_usage_stats": True},
            "top_p": max(sampling.top_p, _LEAST_TOP_P),
            "top_k": sampling.top_k or -1,
            "min_p": 0.0,
            "repetition_penalty": sampling.repetition_penalty,
        }
        if request.continues:
            body |= {"add_generation_prompt": False, "continue_final_message": True}
            body |= {"min_tokens": 1} if request.past_end else {}
        return body

    @contextmanager
    def wearing(self, adapter: Worn | None, cancel: threading.Event | None) -> Iterator[dict[str, Any]]:
        """See ``Dialect``."""
        if adapter is None:
            yield {"model": self.served.model}
            return
        with self._loaded.holding(adapter, cancel) as entry:
            yield {"model": entry.name if entry is not None else self.served.model}

    def revised(self, body: dict[str, Any], answer: Answer, request: Request) -> dict[str, Any] | None:
        """See ``Dialect``: vLLM refuses an answer that might not fit behind the prompt; it is asked for a shorter."""
        if not too_long(answer) or not self.served.window:
            return None
        prompt = self.count(request.messages, request.continues)
        room = self.served.window - prompt
        if room <= 0:
            raise self.too_long_for(prompt)
        return body | {"max_tokens": room} if room < body["max_tokens"] else None

    def forgot(self, fields: dict[str, Any], answer: Answer) -> bool:
        """See ``Dialect``: a server that was started again has none."""
        name = fields.get("model", self.served.model)
        if answer.status != 404 or name == self.served.model:
            return False
        self._loaded.forget(name)
        return True

    def refused(self, answer: Answer) -> LoraChatError:
        """See ``Dialect``."""
        if answer.status == 400 and answer.says("chat template"):
            return EngineError(
                f"The model at {self.place} has no chat template: start the server with --chat-template FILE."
            )
        return super().refused(answer)

    def count(self, messages: tuple[Turn, ...], continues: bool, cancel: threading.Event | None = None) -> int:
        """See ``Dialect``: ``POST /tokenize``."""
        body: dict[str, Any] = {"model": self.served.model, "messages": said(messages)}
        if continues:
            body |= {"add_generation_prompt": False, "continue_final_message": True}
        answer = self.client.ask("POST", "/tokenize", body, at_root=True, cancel=cancel)
        count = answer.table.get("count")
        if answer.ok and type(count) is int:
            return count
        if answer.ok:
            raise self.unlike("/tokenize")
        if answer.status in (404, 405):  # a gate before it lets OpenAI's paths through alone
            return self.estimate(messages)
        raise self.refused(answer)

    def probe(self, adapter: Worn) -> Probe:
        """See ``Dialect``."""
        checked = [self._shelf.check(each) for each in adapter.all]
        matched, total = max(each.modules for each in checked), max(each.modules_total for each in checked)
        with self._loaded.holding(adapter, None) as entry:
            return Probe(entry.effect if entry is not None else 0.0, True, matched, total)

    def close(self) -> None:
        """See ``Dialect``."""
        self._loaded.close()
