"""Meeting a server. Owns finding out which it is, which model it has and how much that reads."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from typing import Any

from lora_chat.plugins.engine_api import EngineError, NotFoundError, RefusedError, clean_line, did_you_mean

from ..answer import Answer
from ..client import Client
from ..settings import Settings
from ..shelf import Shelf
from .common import Dialect, Served, no_chat_server
from .llama_server import LlamaServerDialect
from .plain import PlainDialect
from .vllm import VllmDialect

_OWNERS = {"vllm": "vllm", "llamacpp": "llama-server"}
"""What the servers say in ``owned_by`` to what is spoken with them."""
_NAMES = {"vllm": "vLLM", "llama-server": "llama-server"}
_PACKED = re.compile(r"(?i)(?:[-._](?:i?q\d\w*|bf16|f16|f32))?\.gguf$|-gguf(?::[^/:]*)?$")
"""What a name ends with where it is a packed file's."""
_MOST_ALIASES = 8


def meet(client: Client, settings: Settings, shelf: Shelf, cancel: threading.Event | None) -> Dialect:
    """Ask the server for its models, and speak as it does.

    Raises:
        EngineError: nobody answers, or something else than a chat server does.
        NotFoundError: it has no model of that name.
        RefusedError: it has several and none was named, or it says that it is another kind than the settings say.
    """
    answer = client.ask("GET", "/models", cancel=cancel)
    models = _models(answer)
    if models is None and not (answer.status in (404, 405) and settings.dialect == "openai" and settings.model):
        if answer.status >= 500:
            raise EngineError(
                f"The server at {client.address.place} is not ready ({answer.told}): try again in a while."
            )
        raise no_chat_server(client, answer)
    models = models or []
    says = _says([each for each in models if settings.model in _names(each)] or models)
    spoken = settings.dialect if settings.dialect != "auto" else says or "openai"
    if says and spoken not in (says, "openai"):
        raise RefusedError(f'The server at {client.address.place} says that it is {_NAMES[says]}, and dialect below '
                           f'[remote] is "{spoken}": write dialect = "{says}", or leave that line out.')  # fmt: skip
    # llama-server answers with what it has to whatever name it is asked for.
    must_be_listed = spoken == "vllm" or says == "vllm" or (bool(models) and "llama-server" in (spoken, says))
    model = _chosen(models, settings.model, client.address.place, must_be_listed=must_be_listed)
    served = _served(model, models, settings)
    if spoken == "vllm":
        return VllmDialect(client, served, settings, shelf)
    if spoken == "llama-server":
        return LlamaServerDialect(client, _with_props(served, client, cancel), settings, shelf)
    return PlainDialect(client, served, says)


def _models(answer: Answer) -> list[dict[str, Any]] | None:
    listed = answer.table.get("data")
    if not answer.ok or not isinstance(listed, list):
        return None
    return [each for each in listed if isinstance(each, dict) and isinstance(each.get("id"), str)]


def _says(models: list[dict[str, Any]]) -> str:
    """The dialect of what the server says that it is; empty where it says nothing that is known."""
    owners = (each.get("owned_by") for each in models)
    return next((_OWNERS[owner] for owner in owners if isinstance(owner, str) and owner in _OWNERS), "")


def _chosen(models: list[dict[str, Any]], wanted: str, place: str, *, must_be_listed: bool) -> str:
    names = [name for each in models for name in _names(each)]
    bases = [each["id"] for each in models if not each.get("parent")]
    if wanted and (wanted in names or not must_be_listed):
        return wanted
    told = ", ".join(clean_line(name, 60) for name in bases[:8])
    if wanted:
        hint = did_you_mean(wanted, names) or f"; it has {told or 'none'}"
        raise NotFoundError(f'The server at {place} has no model "{clean_line(wanted, 80)}"{hint}: correct model below '
                            "[remote].")  # fmt: skip
    if len(bases) == 1:
        return str(bases[0])
    has = f"{len(bases):,} models ({told})" if told else "no model"
    raise RefusedError(f"The server at {place} has {has}: write one's name as model below [remote].")


def _names(model: dict[str, Any]) -> list[str]:
    """What it can be asked for as: llama-server's models have more names than one."""
    more = model.get("aliases")
    return [model["id"], *(each for each in (more if isinstance(more, list) else []) if isinstance(each, str))]


def _served(model: str, models: list[dict[str, Any]], settings: Settings) -> Served:
    own = next((each for each in models if model in _names(each)), {})
    base = next((each for each in models if each["id"] == own.get("parent")), {})
    meta = own.get("meta") if isinstance(own.get("meta"), dict) else {}
    window = _number(own.get("max_model_len")) or _number(base.get("max_model_len"))
    others = tuple(each["id"] for each in models if each is not own)
    parameters = _number((meta or {}).get("n_params"))
    return Served(model, window or settings.context_window, parameters, others, _aliases(model, own, base))


def _aliases(model: str, own: dict[str, Any], base: dict[str, Any]) -> tuple[str, ...]:
    """vLLM's ``root`` is where the weights came from; llama-server's names are files, with what they are packed in."""
    origin = base or own
    told = [each for each in (origin.get("id"), origin.get("root")) if isinstance(each, str)]
    names = [*told, *(_PACKED.sub("", each) for each in (model, *told))]
    return tuple(dict.fromkeys(each for each in names if each and each != model))[:_MOST_ALIASES]


def _with_props(served: Served, client: Client, cancel: threading.Event | None) -> Served:
    """What one conversation gets of llama-server's context, ``n_ctx`` of a slot, and the file behind an alias."""
    table = client.ask("GET", "/props", at_root=True, cancel=cancel).table
    settings = table.get("default_generation_settings")
    window = _number(settings.get("n_ctx")) if isinstance(settings, dict) else 0
    path = table.get("model_path")
    own = (path, _PACKED.sub("", path)) if isinstance(path, str) and path else ()
    aliases = tuple(dict.fromkeys((*served.aliases, *own)))
    return replace(served, window=window or served.window, aliases=aliases)


def _number(value: object) -> int:
    return value if type(value) is int and 0 < value < 2**53 else 0
