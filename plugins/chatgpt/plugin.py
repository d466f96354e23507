"""ChatGPT's export: ``conversations.json``, or the zip. Owns its form; never holds two conversations at once.

A conversation is a tree in ``mapping``: each node names its parent and its children, and ``current_node`` is the end of
the branch that is seen. Branches are kept; of what is no text, what was left out is counted.
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

MEMBER = r"conversations([-_]\d+)?\.json"
SPEAKERS = {"user": Role.USER, "assistant": Role.ASSISTANT}


@hookimpl
def lora_chat_importers(registrar: ImporterRegistrar) -> None:
    """One format."""
    registrar.add("chatgpt", [".json", ".zip"], sniff, read, "ChatGPT's export")


def sniff(path: Path) -> bool:
    """Its conversations have a ``mapping``."""
    return begins_with_keys(path, MEMBER, ["mapping", "message", "parent"])


def read(path: Path) -> Iterator[Transcript | Problem]:
    """One conversation after the other."""
    for place, found in json_array(path, MEMBER):
        if isinstance(found, Problem):
            yield found
            continue
        left_out: Counter[str] = Counter()
        transcript = conversation(found, left_out)
        yield transcript or Problem(place, "has no messages of text", part=True)
        if left_out and transcript:
            said = ", ".join(f"{count:,} {what}" for what, count in left_out.items())
            yield Problem(place, f"is taken without what is no text ({said})", part=True)


def conversation(found: Any, left_out: Counter[str]) -> Transcript | None:
    """The tree as turns, the branch that is seen last; None where nobody said anything."""
    nodes = found.get("mapping") if isinstance(found, dict) else None
    if not isinstance(nodes, dict):
        return None
    nodes = {name: node for name, node in nodes.items() if isinstance(node, dict)}
    said = {name: turn_of(node.get("message"), left_out) for name, node in nodes.items()}
    turns: list[Turn] = []
    parents: list[int] = []
    places: dict[str, int] = {}
    for name in ordered(nodes, said, found.get("current_node")):
        place = places.get(str(nodes[name].get("parent")), -1)
        turn = said[name]
        if turn is not None:
            turns.append(turn)
            parents.append(place)
            place = len(turns) - 1
        places[name] = place  # what says nothing stands for what is above it
    title = found.get("title")
    named = title if isinstance(title, str) else ""
    return Transcript("", tuple(turns), title=named, parents=tuple(parents)) if turns else None


def ordered(nodes: dict[str, Any], said: dict[str, Turn | None], end: Any) -> list[str]:
    """Each after its parent, the end of the branch that is seen last of all, which is what opens then."""
    children: dict[str, list[str]] = {}
    for name, node in nodes.items():
        parent = node.get("parent")
        children.setdefault(parent if isinstance(parent, str) and parent in nodes else "", []).append(name)
    seen = branch(nodes, children, end)
    while seen and said[seen[-1]] is None:
        seen.pop()
    on_branch = set(seen)
    beside = [name for parent in ["", *seen] for name in children.get(parent, []) if name not in on_branch]
    found = seen[:-1]
    for name in beside:  # it grows
        found.append(name)
        beside += children.get(name, [])
    return found + seen[-1:]


def branch(nodes: dict[str, Any], children: dict[str, list[str]], end: Any) -> list[str]:
    """The names from the root to below ``end``, or where that is no node, to the last one."""
    name = end if isinstance(end, str) and end in nodes else next(reversed(nodes), "")
    known: set[str] = set()
    while children.get(name) and name not in known:
        known.add(name)
        name = children[name][-1]
    found: list[str] = []
    while isinstance(name, str) and name in nodes and name not in found[-1:] and len(found) <= len(nodes):
        found.append(name)
        name = nodes[name].get("parent")
    return found[::-1] if len(set(found)) == len(found) else []


def turn_of(message: Any, left_out: Counter[str]) -> Turn | None:
    """One message's text; None where it has none, or is not for people."""
    if not isinstance(message, dict):
        return None
    author, content, about = (message.get(key) for key in ("author", "content", "metadata"))
    role = author.get("role") if isinstance(author, dict) else None
    if isinstance(about, dict) and about.get("is_visually_hidden_from_conversation"):
        return None
    if role not in SPEAKERS:
        if role == "tool":
            left_out["tool messages"] += 1
        return None
    if message.get("recipient", "all") != "all" or not isinstance(content, dict):
        left_out["calls of tools"] += 1
        return None
    if content.get("content_type") not in ("text", "multimodal_text"):
        left_out["thoughts or pieces of code run"] += 1
        return None
    parts = content.get("parts")
    texts = []
    for part in parts if isinstance(parts, list) else []:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            texts.append(part["text"])
        else:
            left_out["pictures or files"] += 1
    text = "\n".join(text for text in texts if text.strip())
    return Turn(SPEAKERS[role], text) if text.strip() else None
