"""Facts in the person's language. Owns which of them are others' words, which stay as they were written; shows none."""

from __future__ import annotations

from lora_chat.language import tr

_OTHERS = frozenset({
    "", "says", "base", "system prompt", "licence", "sha256", "from", "try", "authors", "version", "trained",
    "evaluated", "path", "file", "lies in", "conversation", "adapter", "settings", "you", "it said", "will learn",
    "template", "title",
})  # fmt: skip
"""Names of facts that people, models and adapters wrote."""
_OURS = frozenset({"nothing about itself", "says nothing about itself", "not said", "shipped with lora-chat"})
"""What stands there where they wrote nothing."""
_STATES = frozenset({"on", "off", "changed", "switched off"})
"""Of plugins."""
_NAMED = frozenset({"Plugins", "Presets", "Trainings"})
"""Titles below which the names are people's too."""


def tr_fact(name: str, fact: str, title: str = "") -> tuple[str, str]:
    """Both as they are shown below ``title``; a preset's fact is what it holds, a full stop, and its description."""
    if title == "Presets":
        holds, stop, description = fact.partition(". ")
        said = tr(holds)
        return name, said + (stop if said == holds else stop and tr(".")) + description
    if title == "Plugins":
        return _tr_plugin(name, fact)
    is_theirs = name in _OTHERS or name.startswith(("preset ", "example "))
    said = fact if is_theirs and fact not in _OURS and not _counts(name, fact) else tr(fact)
    return name if title in _NAMED else tr(name), said


def _tr_plugin(name: str, fact: str) -> tuple[str, str]:
    """How a plugin stands, and why, and what it says of itself, which stays; or a folder that is none, and why."""
    stands, dot, says = fact.partition(" · ")
    state, _, why = stands.partition(", ")
    if state not in _STATES:
        return tr(name), tr(fact)
    reason = f"{state}: {why}" if why else state
    said = tr(reason)
    return name, (stands if said == reason else said) + dot + (tr(says) if says in _OURS else says)


def tr_counts(said: str) -> str:
    """``@notes.md · 12 lines · 340 tokens``: the counts behind the name of a file."""
    name, *counts = said.rsplit(" · ", 2)
    return " · ".join([name, *map(tr, counts)])


def _counts(name: str, fact: str) -> bool:
    """``and 3 more``, among the titles of an import."""
    return not name and fact.startswith("and ") and fact.endswith(" more") and fact[4:-5].replace(",", "").isdecimal()
