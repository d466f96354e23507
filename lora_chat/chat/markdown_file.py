"""Conversations as Markdown that people read, and back. Owns that form; never opens a file or a store.

A conversation is ``# title``, its system prompt as a quote, then ``## User`` and ``## Assistant`` with what each said.
A line of a message that would read as one of these has a backslash before it, which is taken off on the way back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

NEVER = "<!-- never trained on -->"
"""Below the title, where nothing of the conversation is ever to be trained on."""

_SPEAKER = re.compile(r"## (User|Assistant|System)(?: \(.*\))?")
_ALWAYS = re.compile(rf"\\*{_SPEAKER.pattern}|\\+# .*")
"""A line of a message that has one more backslash in a file; a heading only where nothing but a quote follows it."""
_ID = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True)
class Written:
    """One conversation of such a file."""

    title: str
    system: str
    never_train: bool
    said: tuple[tuple[str, str], ...]
    """(user, assistant or system; the text)."""


def written(title: str, system: str, never_train: bool, said: Sequence[tuple[str, str]]) -> str:
    """The conversation as text that ends with a blank line; ``said`` is (the heading without its marks, the text)."""
    parts = [f"# {title}"]
    if never_train:
        parts.append(NEVER)
    if system.strip():
        parts.append("\n".join(f"> {line}" for line in system.split("\n")))
    for heading, text in said:
        parts += [f"## {heading}", _escaped(text)]
    return "\n\n".join(parts) + "\n\n"


def parted(text: str) -> Iterator[str]:
    """Each conversation of a file, as its text; what stands before the first title is one too, which none can read."""
    lines = text.removesuffix("\n").split("\n")
    starts = [place for place in range(len(lines)) if _begins(lines, place)]
    for start, end in zip([0, *starts], [*starts, len(lines)], strict=True):
        if any(lines[start:end]):
            yield "\n".join(lines[start:end])


def _begins(lines: Sequence[str], place: int) -> bool:
    """Whether a title stands there: between it and who speaks first there is nothing but the system prompt."""
    if not lines[place].startswith("# "):
        return False
    place += 1
    while place < len(lines) and _is_between(lines[place]):
        place += 1
    return place < len(lines) and _SPEAKER.fullmatch(lines[place]) is not None


def _is_between(line: str) -> bool:
    return not line or line.startswith(">") or line == NEVER


def read(text: str) -> Written | None:
    """The conversation that ``written`` wrote; None where it is none."""
    lines = text.split("\n")
    while lines and not lines[0]:
        lines.pop(0)
    if not lines or not lines[0].startswith("# "):
        return None
    title = lines[0][2:].strip()
    places = [place for place, line in enumerate(lines) if _SPEAKER.fullmatch(line)]
    head = [line for line in lines[1 : places[0] if places else len(lines)] if line]
    never, quoted = NEVER in head, [line for line in head if line != NEVER]
    if not places or not all(line.startswith(">") for line in quoted):
        return None
    system = "\n".join(line.removeprefix(">").removeprefix(" ") for line in quoted)
    said = []
    for place, end in zip(places, [*places[1:], len(lines)], strict=True):
        speaker = _SPEAKER.fullmatch(lines[place])
        assert speaker is not None
        said.append((speaker[1].lower(), _text(lines[place + 1 : end])))
    return Written("" if _ID.fullmatch(title) else title, system, never, tuple(said))


def _escaped(text: str) -> str:
    lines = text.split("\n")
    rest = len(lines)
    while rest and _is_between(lines[rest - 1]):
        rest -= 1
    might_begin = rest - 1 if rest and lines[rest - 1].startswith("# ") else -1
    return "\n".join(
        f"\\{line}" if place == might_begin or _ALWAYS.fullmatch(line) else line for place, line in enumerate(lines)
    )


def _text(lines: list[str]) -> str:
    """What stands between two headings, without the blank lines that ``written`` puts around it."""
    if lines and not lines[0]:
        lines = lines[1:]
    if lines and not lines[-1]:
        lines = lines[:-1]
    return "\n".join(line[1:] if line.startswith("\\") and _ALWAYS.fullmatch(line) else line for line in lines)
