"""Around every request. Owns the guard's place, the line each request leaves on stderr, and what no route foresaw.

A line has method, path, model, status, tokens and milliseconds; never text.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lora_chat.defects import record
from lora_chat.serve.answer import as_json
from lora_chat.serve.errors import ApiError, as_api_error
from lora_chat.serve.guard import Guard
from lora_chat.text import clean_line

_HUNG_UP = 499
"""nginx's number for a client that left before its answer."""


@dataclass
class Entry:
    """What a request's line says of it."""

    model: str = "-"
    """As it was understood; what was not may be anybody's text."""
    prompt_tokens: int = 0
    generated_tokens: int = 0
    status: int = 0
    hung_up: bool = False
    began: float = field(default_factory=time.perf_counter)

    def line(self, method: str, path: str) -> str:
        """``POST /v1/chat/completions smollm2-135m 200 31+12 tokens 96 ms``."""
        status = _HUNG_UP if self.hung_up else self.status
        tokens = f"{self.prompt_tokens}+{self.generated_tokens} tokens"
        took = (time.perf_counter() - self.began) * 1000
        return f"{clean_line(method, 20)} {clean_line(path, 120)} {self.model} {status} {tokens} {took:,.0f} ms"


class Front:
    """The ASGI application that the world sees."""

    def __init__(self, app: ASGIApp, guard: Guard, say: Callable[[str], None]) -> None:
        """``say`` is given a line for each request."""
        self._app = app
        self._guard = guard
        self._say = say

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            return
        entry = scope["entry"] = Entry()

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry.status = message["status"]
            await send(message)

        try:
            self._guard.check(HTTPConnection(scope).headers)
            await self._app(scope, receive, noted)
        except ApiError as error:
            await refusal(error)(scope, receive, noted)
        except ClientDisconnect:
            entry.hung_up = True
        except Exception as error:
            self._say(record(error))
            if not entry.status:
                await refusal(as_api_error(error))(scope, receive, noted)
        finally:
            self._say(entry.line(scope["method"], scope["path"]))


def refusal(error: ApiError) -> Response:
    """OpenAI's form of a refusal."""
    return Response(as_json(error.body), error.status, error.headers, "application/json")
