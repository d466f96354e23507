"""llama.cpp's server. Owns how it is asked to wear an adapter: by its id, at a strength of the request's own.

It takes adapters at its start alone, as GGUF files. What a request does not name would be worn as the server was
started, so each request names them all. https://github.com/ggml-org/llama.cpp/tree/master/tools/server
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lora_chat.plugins.engine_api import (
    EngineError,
    LoraChatError,
    NotFoundError,
    Probe,
    RefusedError,
    Request,
    Turn,
    Worn,
    clean_line,
)

from ..answer import Answer
from ..client import CHAT, Client
from ..proof import Measured, Scores, measured, question, scores_in
from ..settings import Settings
from ..shelf import Checked, Shelf
from .common import Common, Served, check_goes_on, said, too_long

_LONGEST_LOOKED_BACK = 8192
"""Tokens that a repetition is looked for in, where the server does not tell its window."""
_LARGEST_SEED = 2**32 - 2
"""The next one means a random seed there."""
_NOT_EMPTY = r"root ::= [^\x01]+"
"""A grammar that lets an answer be anything but nothing: its first token is no end of turn."""
_HASH = 12
"""Hex digits of an adapter's sha256 that make its file's name surely its own."""


@dataclass(frozen=True)
class _There:
    """One adapter that the server was started with."""

    id: int
    path: str

    @property
    def stem(self) -> str:
        """Its file's name without its folder and ending."""
        return re.split(r"[/\\]", self.path)[-1].removesuffix(".gguf")


class LlamaServerDialect(Common):
    """``Dialect`` of llama-server."""

    name = "llama-server"

    def __init__(self, client: Client, served: Served, settings: Settings, shelf: Shelf) -> None:
        super().__init__(client, served)
        self._settings = settings
        self._shelf = shelf
        self._lock = threading.Lock()
        self._last: object = None
        """What the last request wore; before it anything may have been."""
        self._proved: dict[tuple[_There, str, str], float] = {}

    def body(self, request: Request, seed: int) -> dict[str, Any]:
        """See ``Dialect``: its own default samplers are turned off; an answer at the end goes on by itself."""
        check_goes_on(request)
        if seed > _LARGEST_SEED:
            raise RefusedError(f"The server at {self.place} takes a seed up to {_LARGEST_SEED:,}, not {seed:,}.")
        sampling = request.sampling
        begins = {"grammar": _NOT_EMPTY} if request.continues and request.past_end else {}
        return (
            super().body(request, seed)
            | begins
            | {
                "top_k": sampling.top_k,
                "min_p": 0.0,
                "repeat_penalty": sampling.repetition_penalty,
                # All of the prompt and the answer; newer servers refuse the -1 that used to say so.
                "repeat_last_n": self.served.window or _LONGEST_LOOKED_BACK,
                "timings_per_token": True,
            }
        )

    @contextmanager
    def wearing(self, adapter: Worn | None, cancel: threading.Event | None) -> Iterator[dict[str, Any]]:
        """See ``Dialect``: the list is read anew each time, as a server that was started again counts anew."""
        checked = [(each, self._shelf.check(each)) for each in adapter.all] if adapter is not None else []
        there = self._there(cancel)
        worn = self._worn(checked, there)
        for each, found in checked:
            if each.scale and not found.changes_nothing:
                self._prove(self._found(each, found, there), each, found, there, cancel)
        fields = _fields(worn, there)
        key = tuple(sorted((each["id"], each["scale"]) for each in fields["lora"]))
        with self._lock:
            fields["cache_prompt"] = self._last == key
            self._last = key
        yield fields

    def revised(self, body: dict[str, Any], answer: Answer, request: Request) -> dict[str, Any] | None:
        """See ``Dialect``: what does not fit is refused with its numbers."""
        if too_long(answer) and self.served.window:
            found = answer.table.get("error")
            told = found.get("n_prompt_tokens") if isinstance(found, dict) else None
            raise self.too_long_for(told if type(told) is int else self.count(request.messages, request.continues))
        return None

    def refused(self, answer: Answer) -> LoraChatError:
        """See ``Dialect``."""
        if answer.status == 503:
            return EngineError(f"The server at {self.place} is not ready ({answer.told}): try again in a while.")
        return super().refused(answer)

    def count(self, messages: tuple[Turn, ...], continues: bool, cancel: threading.Event | None = None) -> int:
        """See ``Dialect``: ``POST /apply-template`` and ``/tokenize``; an answer at the end goes on there too."""
        body: dict[str, Any] = {"messages": said(messages)}
        answer = self.client.ask("POST", "/apply-template", body, at_root=True, cancel=cancel)
        prompt = answer.table.get("prompt")
        if not answer.ok or not isinstance(prompt, str):
            if answer.ok:
                raise self.unlike("/apply-template")
            if answer.status in (404, 405, 501):
                return self.estimate(messages)
            raise self.refused(answer)
        body = {"content": prompt, "add_special": True, "parse_special": True}
        answer = self.client.ask("POST", "/tokenize", body, at_root=True, cancel=cancel)
        tokens = answer.table.get("tokens")
        if not answer.ok:
            raise self.refused(answer)
        if not isinstance(tokens, list):
            raise self.unlike("/tokenize")
        return len(tokens)

    def probe(self, adapter: Worn) -> Probe:
        """See ``Dialect``."""
        checked = [(each, self._shelf.check(each)) for each in adapter.all]
        matched, total = max(each.modules for _, each in checked), max(each.modules_total for _, each in checked)
        there = self._there(None)
        found = self._measured(self._worn(checked, there), there, None)
        return Probe(found.effect, found.finite, matched, total)

    def _worn(self, checked: list[tuple[Worn, Checked]], there: list[_There]) -> dict[_There, float]:
        """The server's own of what counts, each with its strength."""
        worn: dict[_There, float] = {}
        for each, found in checked:
            if each.scale:
                own = self._found(each, found, there)
                worn[own] = worn.get(own, 0.0) + each.scale
        return worn

    def _there(self, cancel: threading.Event | None) -> list[_There]:
        answer = self.client.ask("GET", "/lora-adapters", at_root=True, cancel=cancel)
        if answer.status == 404:
            return []
        found = answer.value
        if not answer.ok:
            raise self.refused(answer)
        if not isinstance(found, list):
            raise self.unlike("/lora-adapters")
        return [
            _There(each["id"], each["path"])
            for each in found
            if isinstance(each, dict) and type(each.get("id")) is int and isinstance(each.get("path"), str)
        ]

    def _found(self, worn: Worn, checked: Checked, there: list[_There]) -> _There:
        """The server's own of this adapter: by the hash in its file's name, else by the name alone."""
        sure = [each for each in there if checked.sha256[:_HASH] in each.stem.casefold()]
        named = [each for each in there if _is_named(each.stem, worn.name)]
        if found := sure or named:
            return found[0]
        name = clean_line(worn.name, 60)
        listed = ", ".join(clean_line(each.stem, 40) for each in there[:5]) or "none"
        raise NotFoundError(
            f'The server at {self.place} was not started with the adapter "{name}" (it has {listed}): export it by '
            f"`lora-chat adapter export {name} --format gguf` and start llama-server with --lora FILE."
        )

    def _prove(
        self, own: _There, worn: Worn, checked: Checked, there: list[_There], cancel: threading.Event | None
    ) -> None:
        """Once for each file that the server has and each content that is here."""
        key = (own, checked.sha256, checked.config_sha256)
        if key in self._proved:
            return
        found = self._measured({own: 1.0}, there, cancel)
        if not found.finite or not found.effect:
            raise EngineError(
                f'The server at {self.place} has the adapter "{clean_line(worn.name, 60)}" and answers as the base '
                f"without it: start it with another export, or look at its log for {clean_line(own.stem, 60)}."
            )
        self._proved[key] = found.effect

    def _measured(self, worn: dict[_There, float], there: list[_There], cancel: threading.Event | None) -> Measured:
        def scores(prompt: str, wears: dict[_There, float]) -> Scores:
            body = question(prompt) | {"model": self.served.model, "cache_prompt": False, **_fields(wears, there)}
            answer = self.client.ask("POST", CHAT, body, cancel=cancel, seconds=self._settings.first_seconds)
            return scores_in(answer, self.place)

        with self._lock:
            self._last = "a proof"
        return measured(lambda prompt: scores(prompt, {}), lambda prompt: scores(prompt, worn))


def _fields(worn: dict[_There, float], there: list[_There]) -> dict[str, Any]:
    return {"lora": [{"id": each.id, "scale": worn.get(each, 0.0)} for each in there]}


def _is_named(stem: str, name: str) -> bool:
    """Whether a file of this name is an export of ``name``, whatever the width of its numbers."""
    return re.sub(r"[-_.](f16|f32|bf16|q8_0)$", "", stem.casefold()) == name.casefold()
