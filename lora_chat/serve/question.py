"""What a client asks. Owns the fields of a chat completion's body; never looks at models or adapters.

Every field of OpenAI's is in one of three tables: what is done, what is taken only where it asks for nothing, and what
changes no answer and is ignored. Whatever else is sent is refused by its name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lora_chat.chat.conversation import ROLE_NAMES, Role, Turn
from lora_chat.engine.protocol import Sampling, check_sampling
from lora_chat.errors import RefusedError
from lora_chat.serve.errors import ApiError, wrong
from lora_chat.text import clean, clean_line

NUMBERS: dict[str, tuple[str, type]] = {
    "temperature": ("temperature", float),
    "top_p": ("top_p", float),
    "top_k": ("top_k", int),
    "repetition_penalty": ("repetition_penalty", float),
    "max_tokens": ("max_tokens", int),
    "max_completion_tokens": ("max_tokens", int),
    "seed": ("seed", int),
}
"""Field → the sampling that it is, and what it must be."""

DONE = ("model", "messages", *NUMBERS, "stop", "stream", "stream_options")

NEUTRAL: dict[str, tuple[object, ...]] = {
    "n": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "response_format": ({"type": "text"},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "reasoning_effort": (),
    "service_tier": ("auto", "default"),
    "verbosity": (),
    "web_search_options": (),
}
"""Field → the values that ask for nothing that is not done anyway; null always is one."""

IGNORED = (
    "metadata", "parallel_tool_calls", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "store",
    "user",
)  # fmt: skip
"""Nothing of these is kept, and no answer depends on them."""

ROLES = ("system", "developer", "user", "assistant")
_MOST_STOPS = 16


@dataclass(frozen=True)
class Question:
    """One chat completion that was asked for."""

    model: str
    messages: tuple[Turn, ...]
    wishes: dict[str, Any]
    """Sampling that was asked for, by the names of ``Sampling``."""
    stream: bool
    include_usage: bool
    """Whether the stream ends with the figures."""


def read_question(raw: bytes) -> Question:
    """Read a request's body.

    Raises:
        ApiError: it is not JSON, or a field cannot be used; that is named.
    """
    body = _object(raw)
    _check_names(body)
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise wrong("model", 'The request names no "model": GET /v1/models lists them.', "missing_required_parameter")
    stream = _flag(body, "stream", "stream")
    return Question(model, _messages(body.get("messages")), _wishes(body), stream, _include_usage(body, stream))


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        reason = clean_line(str(error), 120)
        raise ApiError(
            400, f"The body is not JSON ({reason}): send one JSON object in UTF-8.", "invalid_json"
        ) from error
    if not isinstance(body, dict):
        raise ApiError(400, 'The body is no JSON object: send {"model": …, "messages": […]}.', "invalid_json")
    return body


def _check_names(body: Mapping[str, Any]) -> None:
    """Refuse what cannot be done: an answer that silently lacks what was asked for is a wrong one."""
    for name, value in body.items():
        if name in DONE or name in IGNORED or value is None:
            continue
        if name not in NEUTRAL:
            shown = clean_line(name, 80)
            raise wrong(shown, f'There is no parameter "{shown}": leave it out.', "unknown_parameter")
        if not any(_same(value, neutral) for neutral in NEUTRAL[name]):
            raise wrong(name, _cannot(name), "unsupported_parameter" if not NEUTRAL[name] else "unsupported_value")


def _same(value: object, neutral: object) -> bool:
    """Equal, and no truth value in a number's place."""
    return isinstance(value, bool) == isinstance(neutral, bool) and value == neutral


def _cannot(name: str) -> str:
    allowed = " or ".join(json.dumps(each) for each in NEUTRAL[name])
    return f'"{name}" is not supported: leave it out{f", or send {allowed}" if allowed else ""}.'


def _flag(holder: Mapping[str, Any], name: str, param: str) -> bool:
    value = holder.get(name)
    if not isinstance(value, bool | None):
        raise wrong(param, f'"{param}" must be true or false.', "invalid_type")
    return bool(value)


def _include_usage(body: Mapping[str, Any], stream: bool) -> bool:
    options = body.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict) or not stream:
        raise wrong("stream_options", '"stream_options" is an object that goes with "stream": true.')
    for name, value in options.items():
        if name != "include_usage" and not (name == "include_obfuscation" and value in (None, False)):
            param = f"stream_options.{clean_line(name, 80)}"
            raise wrong(param, f'"{param}" is not supported: leave it out.', "unsupported_parameter")
    return _flag(options, "include_usage", "stream_options.include_usage")


def _wishes(body: Mapping[str, Any]) -> dict[str, Any]:
    wishes: dict[str, Any] = {}
    for param, (name, kind) in NUMBERS.items():
        value = body.get(param)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int if kind is int else int | float):
            what = "a whole number" if kind is int else "a number"
            raise wrong(param, f'"{param}" must be {what}.', "invalid_type")
        if wishes.get(name, value) != value:
            raise wrong(param, '"max_tokens" and "max_completion_tokens" differ: send one of them.')
        wish: dict[str, Any] = {name: value}
        try:
            check_sampling(replace(Sampling(), **wish))
        except RefusedError as error:
            raise wrong(param, str(error).replace(name, param, 1)) from error
        wishes |= wish
    if stops := _stops(body.get("stop")):
        wishes["stop"] = stops
    return wishes


def _stops(value: Any) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value or []
    right = isinstance(stops, list) and all(isinstance(each, str) and each for each in stops)
    if not right or len(stops) > _MOST_STOPS:
        raise wrong("stop", f'"stop" must be a text or up to {_MOST_STOPS} of them, none empty.')
    return tuple(stops)


def _messages(found: Any) -> tuple[Turn, ...]:
    if not isinstance(found, list) or not found:
        raise wrong("messages", '"messages" must be a list with at least one message.', "missing_required_parameter")
    turns = tuple(_turn(each, f"messages[{at}]") for at, each in enumerate(found))
    if turns[-1].role is not Role.USER or not turns[-1].content.strip():
        raise wrong("messages", 'The last of the "messages" must be the user\'s and say something.')
    return turns


def _turn(message: Any, where: str) -> Turn:
    if not isinstance(message, dict):
        raise wrong(where, f'"{where}" must be an object with "role" and "content".', "invalid_type")
    role = message.get("role")
    if role not in ROLES:
        raise wrong(f"{where}.role", f'"{where}.role" must be one of {", ".join(ROLES)}.', "unsupported_value")
    for name, value in message.items():
        if name not in ("role", "content") and value not in (None, "", [], {}):
            param = f"{where}.{clean_line(name, 80)}"
            raise wrong(param, f'"{param}" is not supported: leave it out.', "unsupported_parameter")
    return Turn(ROLE_NAMES[role], clean("\n".join(_texts(message.get("content"), f"{where}.content"))))


def _texts(content: Any, where: str) -> Iterator[str]:
    """A content's text parts."""
    if isinstance(content, str):
        yield content
        return
    if not isinstance(content, list) or not content:
        raise wrong(where, f'"{where}" must be a text or a list of text parts.', "invalid_type")
    for at, part in enumerate(content):
        if not isinstance(part, dict) or part.get("type") != "text":
            param = f"{where}[{at}].type"
            raise wrong(param, f'"{param}" must be "text": this model reads nothing else.', "unsupported_value")
        if not isinstance(part.get("text"), str):
            raise wrong(f"{where}[{at}].text", f'"{where}[{at}].text" must be a text.', "invalid_type")
        yield part["text"]
