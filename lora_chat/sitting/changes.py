"""What became of an adapter that is worn. Owns telling its fates apart; never takes it off."""

from __future__ import annotations

from dataclasses import dataclass

from lora_chat.adapters.registry import Adapter, Catalog
from lora_chat.sitting.standing import Standings
from lora_chat.text import clean_line


@dataclass(frozen=True)
class Change:
    """What is to be worn from now on, and what to say."""

    now: Adapter | None
    """None: it can be worn no longer."""
    said: str = ""


def what_became_of(worn: Adapter, catalog: Catalog, standings: Standings) -> Change:
    """Look for ``worn`` in ``catalog``: as it was, described anew, another version, damaged, or gone."""
    now = next((each for each in catalog.adapters if each.path == worn.path), None)
    if now is worn:
        return Change(worn)
    if now is None:
        broken = next((each.reason for each in catalog.problems if each.path == worn.path), "")
        return Change(None, broken + " The base answers." if broken else _gone(worn))
    standing = standings.of(now, changed=True)
    if standing.refusal:
        return Change(None, f"{standing.refusal} The base answers.")
    if (now.sha256, now.config_sha256) == (worn.sha256, worn.config_sha256):
        return Change(now)
    return Change(now, f"{now.name} was replaced by another version, which is worn from the next answer on.")


def _gone(worn: Adapter) -> str:
    return f"{clean_line(worn.name, 60)} is no longer installed: the base answers."
