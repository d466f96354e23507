"""Claude's export: its ``conversations.json``, or the zip. Owns its form; never holds two conversations at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lora_chat.plugins.api import (
    ImporterRegistrar,
    Problem,
    Role,
    Transcript,
    Turn,
    begins_with_keys,
    hookimpl,
    json_array,
)

MEMBER = r"conversations\.json"
SPEAKERS = {"human": Role.USER, "assistant": Role.ASSISTANT}


@hookimpl
def lora_chat_importers(registrar: ImporterRegistrar) -> None:
    """One format."""
    registrar.add("claude", [".json", ".zip"], sniff, read, "Claude's export")


def sniff(path: Path) -> bool:
    """Its conversations have ``chat_messages``."""
    return begins_with_keys(path, MEMBER, ["chat_messages", "uuid"])


def read(path: Path) -> Iterator[Transcript | Problem]:
    """One conversation after the other."""
    for place, found in json_array(path, MEMBER):
        if isinstance(found, Problem):
            yield found
            continue
        messages = found.get("chat_messages") if isinstance(found, dict) else None
        left_out: Counter[str] = Counter()
        turns = (
            tuple(filter(None, (turn_of(each, left_out) for each in messages))) if isinstance(messages, list) else ()
        )
        if not turns:
            yield Problem(place, "has no messages of text", part=True)
            continue
        title = found.get("name")
        yield Transcript("", turns, title=title if isinstance(title, str) else "")
        if left_out:
            said = ", ".join(f"{count:,} {what}" for what, count in left_out.items())
            yield Problem(place, f"is taken without what is no text ({said})", part=True)


def turn_of(message: Any, left_out: Counter[str]) -> Turn | None:
    """One message's text: its blocks of text, or where it has none, its ``text``."""
    if not isinstance(message, dict) or message.get("sender") not in SPEAKERS:
        return None
    texts = []
    blocks = message.get("content")
    for block in blocks if isinstance(blocks, list) else []:
        if isinstance(block, dict) and block.get("type") == "text" and isinstance(block.get("text"), str):
            texts.append(block["text"])
        else:
            left_out["blocks of tools or thoughts"] += 1
    for key in ("attachments", "files"):
        if isinstance(message.get(key), list) and message[key]:
            left_out["files"] += len(message[key])
    text = "\n\n".join(text for text in texts if text.strip())
    if not text and isinstance(message.get("text"), str):
        text = message["text"]
    return Turn(SPEAKERS[message["sender"]], text) if text.strip() else None
