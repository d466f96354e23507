"""What the next prompt begins with, in words. Owns them; the prompt itself is the session's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_chat.chat.preset import Preset, own_system

if TYPE_CHECKING:
    from lora_chat.sitting.sitting import Sitting


def system_prompts(sitting: Sitting) -> list[tuple[str, str]]:
    """Whose there are, the one that holds first; (whose, its text)."""
    found = [
        (f"preset {sitting.preset}".rstrip(), sitting.conversation.preset_system if sitting.conversation else ""),
        ("conversation", own_system(sitting.conversation)),
        ("adapter", sitting.wearing.system_prompt if sitting.wearing else ""),
        ("settings", sitting.session.config.system),
    ]
    return [(whose, text) for whose, text in found if text] or [
        ("none", "the chat template's own holds, where it has one")
    ]


def context_facts(sitting: Sitting) -> list[tuple[str, str]]:
    """What the next prompt begins with, and what is free; (name, fact)."""
    session, conversation, wearing, sampling = (
        sitting.session, sitting.conversation, sitting.wearing, sitting.sampling()
    )  # fmt: skip
    found = session.context(conversation, wearing, sampling)
    _, window = session.answerer()
    read = len(found.messages) - len(session.opening(conversation, wearing))
    preset, examples = (conversation.preset, conversation.examples) if conversation else ("", ())
    before = Preset(preset, examples=examples).holds or "no examples"
    left_out = f"the {found.left_out:,} oldest, which no longer fit" if found.left_out else "nothing"
    return [
        ("used", f"{found.tokens:,} of {window:,} tokens, {found.tokens / window:.0%}".replace("%", " %")),
        *([("preset", f"{preset}, {before} before them")] if preset else []),
        ("messages", f"{read:,} are read"),
        ("left out", left_out),
        ("answer", f"at most {max(0, min(sampling.max_tokens, window - found.tokens)):,} tokens"),
    ]
