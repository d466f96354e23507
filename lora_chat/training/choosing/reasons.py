"""Why answers are left out, in plain words, and what a person can do about it. Owns the words; never leaves one out."""

from __future__ import annotations

from lora_chat.text import clean_line

REASONS = {
    "unrated": "nobody said if they are good; rate or edit them, or take them in (--include unrated, i in the plan)",
    "rated bad": "write the answer you wanted, or rate them good",
    "stopped": "they are unfinished; answer again, or edit them",
    "interrupted": "they were cut off; answer again, or edit them",
    "failed": "they were cut off by an error; answer again, or edit them",
    "streaming": "they are still being written; wait",
    "empty": "there is nothing in them; edit them",
    "duplicate": "the same exchange is learnt already",
    "near duplicate": "a newer exchange in almost the same words is learnt; edit it where they should differ",
    "answered otherwise since": "the same question has a newer answer; rate that one bad to learn the old one",
    "too old": "they are from before --since",
    "too new": "they are from after --until",
    "not edited": "--rating edited takes only what you wrote",
    "not rated good": "--rating good takes only what you rated good",
    "wore another adapter": "--adapter takes only what that one said",
    "not about that": "--search takes only exchanges that hold the text",
    "never to be trained on": "you keep their conversation out; /train allow or `history never-train --off` lets it in",
    "taught before": "an earlier version learnt them, and this one replays of them what it needs",
    "excluded": "you left them out here",
}
"""Of each reason what stands behind it; every reason of ``history``, ``files`` and ``lesson`` is here."""


def filtered(label: str, words: str = "") -> str:
    """Why an answer is left out that a plugin's filter does not want; ``words`` are its own."""
    return f"filtered by {label} ({words})" if words else f"filtered by {label}"


def words_for(reason: str) -> str:
    """What stands behind it; nothing where nobody knows it, such as another version's."""
    if reason.startswith("filtered by "):
        return "a filter of a plugin you enabled; disable the plugin to train without it"
    return REASONS.get(reason, "")


def explained(reason: str, count: int) -> str:
    """``31 unrated: nobody said …``."""
    said = f"{count:,} {clean_line(reason, 160)}"
    return f"{said}: {words_for(reason)}" if words_for(reason) else said
