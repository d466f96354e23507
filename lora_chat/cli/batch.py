"""``lora-chat ask --batch``: many questions, one model load. Owns the file's form; nothing of it is saved."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_chat.chat.conversation import Role, Turn
from lora_chat.chat.preset import Preset, read_preset
from lora_chat.errors import NotFoundError, RefusedError
from lora_chat.text import clean

if TYPE_CHECKING:
    from lora_chat.engine.protocol import Engine
    from lora_chat.services import Services
    from lora_chat.session import Wearing


@dataclass(frozen=True)
class Question:
    """One line of the file."""

    where: str
    """Its line, for a complaint."""
    messages: tuple[Turn, ...]
    wearing: Wearing | None
    seed: int | None


@dataclass(frozen=True)
class Flags:
    """What the command line wants of every line that does not say otherwise."""

    adapter: str | None
    system: str | None
    preset: Preset | None
    wishes: dict[str, Any]


def answer_batch(
    path: Path,
    services: Services,
    base: str,
    engine: Engine,
    flags: Flags,
) -> None:
    """Check every line of ``path``, then print one JSON answer for each, in order.

    Raises:
        NotFoundError: no such file, adapter or preset that a line names.
        RefusedError: a line cannot be used, by number; nothing was answered.
    """
    from lora_chat.cli.ask import answer_facts, cancelled_by_ctrl_c
    from lora_chat.cli.console import answer_json
    from lora_chat.engine.protocol import Finished, Request
    from lora_chat.errors import Interrupted, RefusedError
    from lora_chat.session import choose_sampling

    questions = _read(path, services, flags)
    with cancelled_by_ctrl_c() as cancel:
        for question in questions:
            asked = flags.wishes | ({"seed": question.seed} if question.seed is not None else {})
            sampling = choose_sampling(services.config, question.wearing, **asked)
            worn = question.wearing.worn if question.wearing else None
            text = ""
            try:
                for chunk in engine.generate(Request(question.messages, worn, sampling), cancel):
                    if not isinstance(chunk, Finished):
                        text += chunk.text
                        continue
                    answer_json(answer_facts(clean(text).strip(), question.wearing, base, chunk))
                    if chunk.reason == "cancelled":
                        raise Interrupted("Stopped; the answers so far are printed.")
            except RefusedError as error:  # a prompt too long, an adapter that does not fit: only the engine can tell
                raise RefusedError(f"{question.where}: {error}") from error


def _read(path: Path, services: Services, flags: Flags) -> list[Question]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no file {path}: give a JSONL file.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(f"Cannot read {path} ({error}): give a JSONL file in UTF-8.") from error
    known = _Known(services)
    questions = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            questions.append(_question(line, f"Line {number} of {path}", known, flags))
    if not questions:
        raise RefusedError(f'{path} holds no questions: write one {{"prompt": "…"}} a line.')
    return questions


class _Known:
    """What lines name, looked up once."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.wearing = cache(services.wear)
        self.preset = cache(lambda name: read_preset(name, services.paths))


def _question(line: str, where: str, known: _Known, flags: Flags) -> Question:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"{where} is not JSON ({error}): correct it; nothing was answered.") from error
    messages = _messages(row) if isinstance(row, dict) else None
    if not messages or messages[-1].role is not Role.USER or not messages[-1].content.strip():
        raise RefusedError(f'{where} has neither a "prompt" nor "messages" that end with the user\'s: correct it.')
    wish, system, seed = row.get("adapter", flags.adapter), row.get("system", flags.system), row.get("seed")
    named = row.get("preset", "")
    right = all(isinstance(each, str | None) for each in (wish, system, named)) and isinstance(seed, int | None)
    if not right or isinstance(seed, bool) or not 0 <= (seed or 0) < 2**63:
        raise RefusedError(
            f'{where} has an "adapter", "system", "preset" or "seed" of the wrong kind; nothing was answered.'
        )
    try:
        wearing = known.wearing(wish) if wish else None
        preset = known.preset(named) if named else flags.preset if "preset" not in row else None
    except (NotFoundError, RefusedError) as error:
        raise type(error)(f"{where}: {error}") from error
    own = (preset.system if preset else "") if system is None else system
    own = own or (wearing.system_prompt if wearing else "") or known.services.config.system
    return Question(where, _begun(messages, own, preset), wearing, seed)


def _begun(messages: list[Turn], system: str, preset: Preset | None) -> tuple[Turn, ...]:
    """Behind the system prompt, by default the messages' own, and the preset's examples."""
    own = 1 if messages[0].role is Role.SYSTEM else 0
    head = messages[:own] or ([Turn(Role.SYSTEM, clean(system))] if system else [])
    return (*head, *(preset.turns if preset else ()), *messages[own:])


def _messages(row: dict[str, Any]) -> list[Turn] | None:
    if isinstance(row.get("prompt"), str):
        return [Turn(Role.USER, clean(row["prompt"]))]
    turns = []
    for each in row["messages"] if isinstance(row.get("messages"), list) else []:
        known = isinstance(each, dict) and each.get("role") in list(Role) and isinstance(each.get("content"), str)
        if not known:
            return None
        turns.append(Turn(Role(each["role"]), clean(each["content"])))
    return turns
