"""What a conversation and a message are. Owns their fields; never touches the database or a screen.

Messages form a tree: each names its parent, a regenerated or edited answer is a sibling of the old one, and a
conversation's ``head`` is the leaf of the branch one sees. Status and errors are fields, never text in the content.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

SAMPLED = ("temperature", "top_p", "top_k", "repetition_penalty", "max_tokens", "seed")
"""What a conversation can have its own of."""


class Role(StrEnum):
    """Who speaks."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


ROLE_NAMES = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,  # OpenAI's newer name
    "user": Role.USER,
    "human": Role.USER,
    "assistant": Role.ASSISTANT,
    "gpt": Role.ASSISTANT,
    "chatgpt": Role.ASSISTANT,
    "model": Role.ASSISTANT,
}
"""What other programs' files call them: OpenAI, ShareGPT and their like."""


class Status(StrEnum):
    """How far a message got."""

    DONE = "done"
    STREAMING = "streaming"
    STOPPED = "stopped"
    """The person stopped it; the partial text is kept."""
    INTERRUPTED = "interrupted"
    """The program ended while it was being written; the partial text is kept."""
    FAILED = "failed"
    """The engine failed; ``error`` says how, the partial text is kept."""


class Rating(StrEnum):
    """What the person thought of an answer."""

    GOOD = "good"
    BAD = "bad"


@dataclass(frozen=True)
class Turn:
    """One role and its text: all that a prompt is made of."""

    role: Role
    content: str


@dataclass(frozen=True)
class Message:
    """One kept message with everything known about how it came to be. Times are Unix seconds, lengths are tokens."""

    id: int
    conversation: str
    parent: int | None
    role: Role
    content: str
    status: Status
    created_at: float
    finish_reason: str | None = None
    """``stop`` (end of turn or a stop string), ``length``, ``cancelled`` or ``error``."""
    error: str | None = None
    base: str | None = None
    """The base model's name, for answers."""
    adapter: str | None = None
    """The adapter's name, or None on the base alone."""
    adapter_sha256: str | None = None
    scale: float | None = None
    sampling: str | None = None
    """The sampling settings as JSON, seed included."""
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    generated_tokens: int | None = None
    first_token_ms: float | None = None
    tokens_per_second: float | None = None
    rating: Rating | None = None
    edited_from: int | None = None
    """The answer that this one, written by the person, replaces."""
    context_start: int | None = None
    """The first message of the branch that an answer's prompt held; None where it held them all."""

    @property
    def turn(self) -> Turn:
        """The part a prompt is made of."""
        return Turn(self.role, self.content)


@dataclass(frozen=True)
class Conversation:
    """One conversation: its settings and which branch is visible."""

    id: str
    """Eight hexadecimal digits; commands accept any unique beginning."""
    title: str
    created_at: float
    updated_at: float
    system: str = ""
    """What it is told before it begins: the person's own words, or those that its preset brought."""
    model: str = ""
    adapter: str | None = None
    scale: float = 1.0
    head: int | None = None
    """The last message of the visible branch."""
    never_train: bool = False
    """Whether the person said that nothing of it is ever to be trained on."""
    preset: str = ""
    """The name of the preset it began with; what that held then is its own: ``system`` and ``examples``."""
    examples: tuple[tuple[str, str], ...] = ()
    """Questions with their answers that stand before its first message in each prompt; they are no messages."""
    own_system: str | None = None
    """The person's own words, empty where there are none, while ``system`` are the preset's; else None."""
    pinned: bool = False
    """Whether it stands before all the others in the list."""
    archived: bool = False
    """Whether it was put away: it is not listed, but found, and learnt from as before. Never both."""
    sampling: str = "{}"
    """How its answers are drawn where that differs from what holds elsewhere: settings and numbers, as JSON."""

    @property
    def wishes(self) -> dict[str, float]:
        """The same, read; what is no setting or no number, in a damaged file, is left out."""
        try:
            found = json.loads(self.sampling)
        except (ValueError, RecursionError):
            return {}
        known = found.items() if isinstance(found, dict) else ()
        return {name: value for name, value in known if name in SAMPLED and type(value) in (int, float)}

    @property
    def preset_system(self) -> str:
        """What of ``system`` is its preset's; empty where it is the person's own."""
        return self.system if self.own_system is not None else ""
