"""A message's content as other programs write it. Owns joining its text parts; refuses nothing itself."""

from __future__ import annotations

from typing import Any


def joined(value: Any) -> str | None:
    """Plain text as it is, a list of text parts as OpenAI writes them joined; None where anything else is in it."""
    if isinstance(value, str):
        return value
    parts = value if isinstance(value, list) and value else [None]
    texts = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type") == "text"]
    strings = [text for text in texts if isinstance(text, str)]
    return "\n".join(strings) if len(strings) == len(parts) else None
