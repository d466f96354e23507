"""``lora-chat ask --batch``: many questions, one model load. Owns the file's form; nothing of it is saved."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_chat.chat.conversation import Role, Turn
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


def answer_batch(
    path: Path,
    services: Services,
    base: str,
    engine: Engine,
    adapter: str | None,
    system: str | None,
    wishes: dict[str, Any],
) -> None:
    """Check every line of ``path``, then print one JSON answer for each, in order.

    Raises:
        NotFoundError: no such file, or an adapter that a line names.
        RefusedError: a line cannot be used, by number; nothing was answered.
    """
    from lora_chat.cli.ask import answer_facts, cancelled_by_ctrl_c
    from lora_chat.cli.console import answer_json
    from lora_chat.engine.protocol import Finished, Request
    from lora_chat.errors import Interrupted, RefusedError
    from lora_chat.session import choose_sampling

    questions = _read(path, services, adapter, system)
    with cancelled_by_ctrl_c() as cancel:
        for question in questions:
            asked = wishes | ({"seed": question.seed} if question.seed is not None else {})
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


def _read(path: Path, services: Services, adapter: str | None, system: str | None) -> list[Question]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no file {path}: give a JSONL file.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(f"Cannot read {path} ({error}): give a JSONL file in UTF-8.") from error
    worn: dict[str, Wearing] = {}
    questions = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            questions.append(_question(line, f"Line {number} of {path}", services, worn, adapter, system))
    if not questions:
        raise RefusedError(f'{path} holds no questions: write one {{"prompt": "…"}} a line.')
    return questions


def _question(
    line: str, where: str, services: Services, worn: dict[str, Wearing], adapter: str | None, system: str | None
) -> Question:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"{where} is not JSON ({error}): correct it; nothing was answered.") from error
    messages = _messages(row) if isinstance(row, dict) else None
    if not messages or messages[-1].role is not Role.USER or not messages[-1].content.strip():
        raise RefusedError(f'{where} has neither a "prompt" nor "messages" that end with the user\'s: correct it.')
    wish, own, seed = row.get("adapter", adapter), row.get("system", system), row.get("seed")
    right = isinstance(wish, str | None) and isinstance(own, str | None) and isinstance(seed, int | None)
    if not right or isinstance(seed, bool) or not 0 <= (seed or 0) < 2**63:
        raise RefusedError(f'{where} has an "adapter", "system" or "seed" of the wrong kind; nothing was answered.')
    if wish and wish not in worn:
        try:
            worn[wish] = services.wear(wish)
        except (NotFoundError, RefusedError) as error:
            raise type(error)(f"{where}: {error}") from error
    wearing = worn[wish] if wish else None
    own = own or (wearing.system_prompt if wearing else "") or services.config.system
    if own and messages[0].role is not Role.SYSTEM:
        messages = [Turn(Role.SYSTEM, clean(own)), *messages]
    return Question(where, tuple(messages), wearing, seed)


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
