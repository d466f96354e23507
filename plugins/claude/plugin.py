"""Claude's export: its ``conversations.json``, or the zip. Owns its form; never holds two conversations at once.

What is no text is left out and counted; for what is damaged a file is refused.
"""

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

Counts = Counter[tuple[str, str]]
"""How often something is there, by its name for one and for several."""
SOMEBODY, FILE = ("message of somebody else", "messages of somebody else"), ("file", "files")
UNKNOWN = ("part of an unknown kind", "parts of unknown kinds")
UNREADABLE = ("message that cannot be read", "messages that cannot be read")
BAD_PART = ("part of a message that cannot be read", "parts of messages that cannot be read")
KINDS = {
    "tool_use": ("call of a tool", "calls of tools"),
    "tool_result": ("result of a tool", "results of tools"),
    "thinking": ("thought", "thoughts"),
    "redacted_thinking": ("thought", "thoughts"),
    "image": ("picture", "pictures"),
    "document": FILE,
}
"""What stands in a block's ``type``."""


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
        yield from (found,) if isinstance(found, Problem) else conversation(place, found)


def conversation(place: str, found: Any) -> Iterator[Transcript | Problem]:
    """Its turns; and what of it has no place here, or cannot be read."""
    messages = found.get("chat_messages") if isinstance(found, dict) else None
    if not isinstance(messages, list):
        why = 'has no list of "chat_messages"' if isinstance(found, dict) else "is not a JSON object"
        yield Problem(place, why)
        return
    left_out, damaged = Counts(), Counts()
    turns = tuple(filter(None, [turn_of(each, left_out, damaged) for each in messages]))
    title = found.get("name")
    if turns:
        yield Transcript("", turns, title=title if isinstance(title, str) else "")
    if damaged:
        yield Problem(place, f"has {told(damaged)}")
    if turns and left_out:
        yield Problem(place, f"is taken without what is no text ({told(left_out)})", part=True)
    elif left_out:
        yield Problem(place, f"has no message of text ({told(left_out)})", part=True)
    elif not turns and not damaged:
        yield Problem(place, "is empty", part=True)


def told(counts: Counts) -> str:
    """Such as ``1 picture, 2 calls of tools``."""
    return ", ".join(f"{count:,} {one if count == 1 else many}" for (one, many), count in counts.items())


def turn_of(message: Any, left_out: Counts, damaged: Counts) -> Turn | None:
    """One message's text: its blocks of text, or where it has none, its ``text``."""
    sender = message.get("sender") if isinstance(message, dict) else None
    blocks, text = (message.get("content"), message.get("text")) if isinstance(message, dict) else (None, None)
    if not isinstance(sender, str) or not isinstance(blocks, list | None) or not isinstance(text, str | None):
        damaged[UNREADABLE] += 1
        return None
    if blocks is None and text is None:
        damaged[UNREADABLE] += 1
        return None
    for key in ("attachments", "files"):
        if isinstance(message.get(key), list) and message[key]:
            left_out[FILE] += len(message[key])
    said = text_of(blocks or [], left_out, damaged) or text or ""
    if sender not in SPEAKERS:
        left_out[SOMEBODY] += 1
        return None
    return Turn(SPEAKERS[sender], said) if said.strip() else None


def text_of(blocks: list[Any], left_out: Counts, damaged: Counts) -> str:
    """What of a message's blocks is text."""
    texts = []
    for block in blocks:
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "text" and isinstance(block.get("text"), str):
            texts.append(block["text"])
        elif isinstance(kind, str) and kind != "text":
            left_out[KINDS.get(kind, UNKNOWN)] += 1
        else:
            damaged[BAD_PART] += 1
    return "\n\n".join(text for text in texts if text.strip())
