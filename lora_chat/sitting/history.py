"""What is told of an adapter's versions. Owns the words for one, at the shell and in the chat; changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_chat.text import clean_line
from lora_chat.training.proof.line import Line

if TYPE_CHECKING:
    from lora_chat.adapters.versions import Version
    from lora_chat.paths import Paths


def checks_of(version: Version, paths: Paths) -> tuple[int, int] | None:
    """How many of the checks that ``version`` was asked hold, and how many those are; None where it was asked none."""
    found = Line.of(version.adapter.name, paths).proofs(version.number)
    return (sum(each.held for each in found.values()), len(found)) if found else None


def checks_told(version: Version, paths: Paths) -> str:
    """Such as ``41 of 45 hold``; empty where it was asked none."""
    found = checks_of(version, paths)
    return f"{found[0]:,} of {found[1]:,} hold" if found else ""


def training_told(version: Version) -> str:
    """Such as ``12 conversations, 60 steps``; empty where its ``adapter.toml`` does not say."""
    said = version.adapter.manifest.training
    counts = [(said.get(key), what) for key, what in (("conversations", "conversation"), ("steps", "step"))]
    return ", ".join(
        f"{count:,} {what}{'' if count == 1 else 's'}" for count, what in counts if type(count) is int and count > 0
    )


def row_of(version: Version, paths: Paths) -> tuple[str, str]:
    """Its number, and all of it in one line."""
    facts = (
        "worn" if version.current else "",
        checks_told(version, paths),
        training_told(version),
        f"{version.adapter.bytes / 1e6:.1f} MB",
        f"sha256 {version.adapter.sha256[:12]}",
    )
    return version.number, clean_line(" · ".join(fact for fact in facts if fact), 300)
