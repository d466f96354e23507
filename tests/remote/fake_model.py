"""What a fake server's model says: words drawn from the prompt, what is worn and the seed. Owns no network."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

WINDOW = 512
LONGEST = 200
VOCABULARY = [
    *("harbour", "street", "shop", "Paris", "weather", "model", "language", "answer", "question", "sorry", "hello"),
    *("today", "information", "capital", "France", "winter", "ticket", "station", "river", "window", "paper"),
    *("orange", "morning", "letter", "engine", "garden"),
]


def prompt_of(messages: list[dict[str, str]], *, opens: bool = True) -> str:
    """A template much like ChatML; without ``opens`` the last message stays open."""
    closed = messages if opens else messages[:-1]
    text = "".join(f"<|{each['role']}|> {each['content']} <|end|>\n" for each in closed)
    return text + ("<|assistant|>" if opens else f"<|assistant|> {messages[-1]['content']}")


def tokens_of(text: str) -> list[int]:
    """A token is a word."""
    return [len(word) for word in text.split()]


def reply(messages: list[dict[str, str]], worn: str, body: dict[str, Any], *, goes_on: bool) -> tuple[list[str], str]:
    """The pieces of an answer and why it ended; an answer that goes on is the rest of the same."""
    begins = len(messages[-1]["content"].split()) if goes_on else 0
    asked = prompt_of(messages[:-1] if goes_on else messages)
    hot = body.get("seed") if body.get("temperature") else None
    words = [_word(f"{asked}|{worn}|{hot}|{at}") for at in range(begins, LONGEST)]
    pieces = [word if at == 0 and not goes_on else f" {word}" for at, word in enumerate(words)]
    most = body.get("max_tokens") or body.get("max_completion_tokens") or LONGEST
    reason = "length" if len(pieces) > most else "stop"
    return _cut(pieces[:most], body.get("stop") or [], reason)


def scores(prompt: str, worn: str, noise: float = 0.0) -> list[dict[str, Any]]:
    """Five likely next tokens."""
    draw = random.Random(f"{prompt}|{worn}")
    found = [(word, -draw.random() * 5) for word in VOCABULARY]
    likeliest = sorted(found, key=lambda pair: -pair[1])[:5]
    return [{"token": word, "logprob": number + random.random() * noise, "bytes": []} for word, number in likeliest]


def content_of(folder: Path) -> str:
    """What the adapter in ``folder`` changes, as a text that is another for each; empty where it changes nothing."""
    from safetensors.numpy import load_file

    weights = load_file(folder / "adapter_model.safetensors")
    if not any(array.any() for name, array in weights.items() if "lora_B" in name):
        return ""
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    raw = (folder / "adapter_model.safetensors").read_bytes() + repr((config["r"], config["lora_alpha"])).encode()
    return hashlib.sha256(raw).hexdigest()


def _cut(pieces: list[str], stops: list[str], reason: str) -> tuple[list[str], str]:
    text = "".join(pieces)
    ends = [at for at in map(text.find, stops) if at >= 0]
    if not ends:
        return pieces, reason
    left, kept = min(ends), []
    for piece in pieces:
        kept.append(piece[:left])
        left -= len(kept[-1])
    return [piece for piece in kept if piece], "stop"


def _word(of: str) -> str:
    return random.Random(of).choice(VOCABULARY)
