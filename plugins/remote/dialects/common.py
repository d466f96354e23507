"""What every dialect shares. Owns the seam between the engine and a server's ways, and OpenAI's own fields."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from lora_chat.plugins.engine_api import (
    EngineError,
    LoraChatError,
    NotFoundError,
    Probe,
    RefusedError,
    Request,
    Role,
    Turn,
    Worn,
    clean_line,
)

from ..answer import Answer
from ..client import Client

UNTOLD_WINDOW = 8192
"""Tokens, where neither the server nor a setting tells the context window."""


@dataclass(frozen=True)
class Served:
    """The model that a server has."""

    model: str
    """Its name there."""
    window: int = 0
    """In tokens; 0 where the server does not tell."""
    parameters: int = 0
    others: tuple[str, ...] = ()
    """What else it lists: with vLLM its adapters."""
    aliases: tuple[str, ...] = ()
    """Other names of the same model: where its weights came from, as far as the server tells."""


class Dialect(Protocol):
    """One server, spoken to in its own way. Safe from several threads."""

    name: str
    served: Served

    def body(self, request: Request, seed: int) -> dict[str, Any]:
        """What asks for ``request``, but for what is worn. Raises RefusedError for what cannot be asked for."""

    def wearing(self, adapter: Worn | None, cancel: threading.Event | None) -> AbstractContextManager[dict[str, Any]]:
        """The fields that make a request wear ``adapter``, which stays on the server until this is left.

        Raises:
            NotFoundError, RefusedError, EngineError: it cannot be worn there, or does not change what is said.
        """

    def revised(self, body: dict[str, Any], answer: Answer, request: Request) -> dict[str, Any] | None:
        """Another way to ask the same, where the server refused only how it was asked."""

    def forgot(self, fields: dict[str, Any], answer: Answer) -> bool:
        """Whether the server refused because it no longer has what it wore, which is to be brought again."""

    def refused(self, answer: Answer) -> LoraChatError:
        """The server's no as a sentence."""

    def estimate(self, messages: tuple[Turn, ...]) -> int:
        """Tokens of a prompt, guessed without asking."""

    def count(self, messages: tuple[Turn, ...], continues: bool, cancel: threading.Event | None = None) -> int:
        """The same, counted by the server where it can."""

    def probe(self, adapter: Worn) -> Probe:
        """What wearing it changes."""

    def close(self) -> None:
        """Take back what was brought to the server."""


class Common:
    """OpenAI's fields and refusals."""

    name = "openai"

    def __init__(self, client: Client, served: Served) -> None:
        self.client = client
        self.served = served

    @property
    def place(self) -> str:
        """Host and port."""
        return self.client.address.place

    def body(self, request: Request, seed: int) -> dict[str, Any]:
        """See ``Dialect``: what OpenAI's own servers know."""
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": self.served.model,
            "messages": said(request.messages),
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": seed,
        }
        if stops := [stop for stop in sampling.stop if stop]:
            body["stop"] = stops
        return body

    def revised(self, body: dict[str, Any], answer: Answer, request: Request) -> dict[str, Any] | None:
        """See ``Dialect``."""
        return None

    def forgot(self, fields: dict[str, Any], answer: Answer) -> bool:
        """See ``Dialect``."""
        return False

    def refused(self, answer: Answer) -> LoraChatError:
        """See ``Dialect``."""
        model = clean_line(self.served.model, 80)
        if too_long(answer):
            return RefusedError(
                f"The conversation is too long for {model} at {self.place} ({answer.told}): start a new one or lower "
                "max_tokens."
            )
        if answer.status == 404 and not answer.table.get("error"):
            return no_chat_server(self.client, answer)
        if answer.status == 404:
            return NotFoundError(f'The server at {self.place} has no "{model}" ({answer.told}): correct model in '
                                 "[remote].")  # fmt: skip
        if answer.status >= 500:
            return EngineError(f"The server at {self.place} failed ({answer.told}): try again, or look at its log.")
        return RefusedError(f"The server at {self.place} refuses this ({answer.told}): change what it names.")

    def estimate(self, messages: tuple[Turn, ...]) -> int:
        """See ``Dialect``: rather too many. Three bytes are a token, and each message brings some of its own."""
        return sum(-(-len(turn.content.encode("utf-8", "replace")) // 3) + 8 for turn in messages) + 3

    def count(self, messages: tuple[Turn, ...], continues: bool, cancel: threading.Event | None = None) -> int:
        """See ``Dialect``: nobody counts here."""
        return self.estimate(messages)

    def close(self) -> None:
        """See ``Dialect``."""

    def unlike(self, path: str) -> EngineError:
        """The sentence for a server that answers, but not as one of this dialect does."""
        return EngineError(
            f"The server at {self.place} does not answer {path} as {self.name} does: correct dialect below [remote], "
            "or leave that line out."
        )

    def too_long_for(self, prompt: int) -> RefusedError:
        """The sentence for a prompt that fills the window."""
        return RefusedError(f"The conversation has {prompt:,} tokens and the base takes {self.served.window:,}.")


def said(messages: tuple[Turn, ...]) -> list[dict[str, str]]:
    """The messages as OpenAI's servers read them; half a character becomes the sign for one that is lost."""
    return [{"role": str(turn.role), "content": _whole(turn.content)} for turn in messages]


def check_goes_on(request: Request) -> None:
    """Refuse to go on with what is no answer.

    Raises:
        RefusedError: the last message is none.
    """
    if request.continues and (not request.messages or request.messages[-1].role is not Role.ASSISTANT):
        raise RefusedError("There is no answer to go on with: the last message is no answer.")


def too_long(answer: Answer) -> bool:
    """Whether a refusal is about the context window."""
    words = ("maximum context length", "context_length_exceeded", "available context size", "exceed_context_size")
    text = answer.text.casefold()
    return answer.status in (400, 413, 422) and any(each in text for each in words)


def no_chat_server(client: Client, answer: Answer) -> EngineError:
    """The sentence for an address where something else answers."""
    api = clean_line(client.address.api, 120)
    return EngineError(
        f"What answers at {api} is no OpenAI-compatible server ({answer.told}): correct url below [remote], which "
        "usually ends in /v1."
    )


def _whole(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
