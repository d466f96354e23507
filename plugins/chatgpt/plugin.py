"""ChatGPT's export: ``conversations.json``, or the zip. Owns its form; never holds two conversations at once.

A conversation is a tree in ``mapping``: each node names its parent and its children, and ``current_node`` is the end of
the branch that is seen. Branches are kept; what is no text is left out and counted, and what is damaged refuses a file.
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

Counts = Counter[tuple[str, str]]
"""How often something is there, by its name for one and for several."""
TOOL, CALL = ("message of a tool", "messages of tools"), ("call of a tool", "calls of tools")
SYSTEM, SOMEBODY = ("system message", "system messages"), ("message of somebody else", "messages of somebody else")
PICTURE, RECORDING, FILE = ("picture", "pictures"), ("recording", "recordings"), ("file", "files")
THOUGHT, CODE = ("thought", "thoughts"), ("piece of code", "pieces of code")
PAGE, UNKNOWN = ("page of the web", "pages of the web"), ("message of an unknown kind", "messages of unknown kinds")
UNREADABLE = ("message that cannot be read", "messages that cannot be read")
BAD_PART = ("part of a message that cannot be read", "parts of messages that cannot be read")
CIRCLE = ("message in a circle of messages", "messages that follow each other in a circle")
ORPHAN = ("message that follows none that is there", "messages that follow none that is there")
KINDS = {
    "image_asset_pointer": PICTURE,
    "audio_asset_pointer": RECORDING,
    "real_time_user_audio_video_asset_pointer": RECORDING,
    "thoughts": THOUGHT,
    "reasoning_recap": THOUGHT,
    "code": CODE,
    "execution_output": CODE,
    "tether_quote": PAGE,
    "tether_browsing_display": PAGE,
}
"""What stands in ``content_type``."""


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
        yield from (found,) if isinstance(found, Problem) else conversation(place, found)


def conversation(place: str, found: Any) -> Iterator[Transcript | Problem]:
    """The tree as turns, the branch that is seen last; and what of it has no place here, or cannot be read."""
    mapping = found.get("mapping") if isinstance(found, dict) else None
    if not isinstance(mapping, dict):
        yield Problem(place, 'has no "mapping" of its messages' if isinstance(found, dict) else "is not a JSON object")
        return
    left_out, damaged = Counts(), Counts()
    nodes = {name: node for name, node in mapping.items() if isinstance(node, dict)}
    damaged[UNREADABLE] += len(mapping) - len(nodes)
    said = {name: turn_of(node.get("message"), left_out, damaged) for name, node in nodes.items()}
    order = ordered(nodes, said, found.get("current_node"))
    damaged[CIRCLE] += sum(said[name] is not None for name in nodes.keys() - set(order))
    turns, parents = follows(nodes, said, order)
    title = found.get("title")
    if turns:
        yield Transcript("", turns, title=title if isinstance(title, str) else "", parents=parents)
    yield from problems(place, bool(turns), left_out, damaged)
    orphans = sum(
        said[name] is not None and node.get("parent") is not None and str(node["parent"]) not in nodes
        for name, node in nodes.items()
    )
    if orphans:
        yield Problem(place, f"has {told(Counts({ORPHAN: orphans}))}, taken as its beginning", part=True)


def follows(
    nodes: dict[str, Any], said: dict[str, Turn | None], order: list[str]
) -> tuple[tuple[Turn, ...], tuple[int, ...]]:
    """Those that say something, and the place of what each follows."""
    turns: list[Turn] = []
    parents: list[int] = []
    places: dict[str, int] = {}
    for name in order:
        place = places.get(str(nodes[name].get("parent")), -1)
        turn = said[name]
        if turn is not None:
            turns.append(turn)
            parents.append(place)
            place = len(turns) - 1
        places[name] = place  # what says nothing stands for what is above it
    return tuple(turns), tuple(parents)


def problems(place: str, taken: bool, left_out: Counts, damaged: Counts) -> Iterator[Problem]:
    """What is damaged, for which a file is refused, and what is no text."""
    if +damaged:
        yield Problem(place, f"has {told(damaged)}")
    if taken and left_out:
        yield Problem(place, f"is taken without what is no text ({told(left_out)})", part=True)
    elif left_out:
        yield Problem(place, f"has no message of text ({told(left_out)})", part=True)
    elif not taken and not +damaged:
        yield Problem(place, "is empty", part=True)


def told(counts: Counts) -> str:
    """Such as ``1 picture, 2 calls of tools``."""
    return ", ".join(f"{count:,} {one if count == 1 else many}" for (one, many), count in (+counts).items())


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


def turn_of(message: Any, left_out: Counts, damaged: Counts) -> Turn | None:
    """One message's text; None where it has none, or is not for people."""
    if message is None:  # the root
        return None
    author, content, about = (
        (message.get(key) for key in ("author", "content", "metadata")) if isinstance(message, dict) else (None,) * 3
    )
    role = author.get("role") if isinstance(author, dict) else None
    if isinstance(about, dict) and about.get("is_visually_hidden_from_conversation"):
        return None
    if not isinstance(role, str) or not isinstance(content, dict):
        damaged[UNREADABLE] += 1
        return None
    if role == "tool" or message.get("recipient") not in ("all", None):
        left_out[TOOL if role == "tool" else CALL] += 1
        return None
    if content.get("content_type") not in ("text", "multimodal_text"):
        left_out[KINDS.get(str(content.get("content_type")), UNKNOWN)] += 1
        return None
    text = text_of(content.get("parts"), left_out, damaged)
    if role not in SPEAKERS and text.strip():
        left_out[SYSTEM if role == "system" else SOMEBODY] += 1
        return None
    return Turn(SPEAKERS[role], text) if text.strip() else None


def text_of(parts: Any, left_out: Counts, damaged: Counts) -> str:
    """What of a message's parts is text."""
    if not isinstance(parts, list):
        damaged[UNREADABLE] += 1
        return ""
    texts = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif isinstance(part, dict):
            left_out[KINDS.get(str(part.get("content_type")), FILE)] += 1
        elif part is not None:
            damaged[BAD_PART] += 1
    return "\n".join(text for text in texts if text.strip())
