"""How files stand in a message: each in a fence below its name, and then the words. Owns that form, and the way back
from it; never touches the disk.

A message is plain text. The words come last: a small base answers what it read last, and asking it otherwise reads only
the words anew.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from lora_chat.text import clean_line

_HEAD = re.compile(r'(@(?:"[^"\n]+"|[^\s"]+)):\n(`{3,})[^`\n]*\n')
_TICKS = re.compile(r"`{3,}")
_LANGUAGE = re.compile(r"\.[A-Za-z0-9]{1,12}")


@dataclass(frozen=True)
class File:
    """One that goes with a message, as it was when that was sent."""

    mention: str
    """What the person wrote: ``@notes.md``, ``@"my notes.md"``."""
    text: str
    """Cleaned, without line ends behind it."""

    @property
    def name(self) -> str:
        """The same without the ``@`` and the quotes."""
        return self.mention[1:].strip('"')

    @property
    def lines(self) -> int:
        """How many."""
        return self.text.count("\n") + 1

    @property
    def block(self) -> str:
        """As it stands in a message: its name, and the text in a fence that nothing in it can close."""
        fence = "`" * max(3, 1 + max(map(len, _TICKS.findall(self.text)), default=0))
        ending = PurePath(self.name).suffix
        return f"{self.mention}:\n{fence}{ending[1:] if _LANGUAGE.fullmatch(ending) else ''}\n{self.text}\n{fence}"


@dataclass(frozen=True)
class Parted:
    """A message as it was written."""

    words: str
    files: tuple[File, ...] = ()


def joined(words: str, files: Sequence[File]) -> str:
    """The message: its files, then ``words``, in which each of them is named."""
    return "\n\n".join([*(file.block for file in files), words])


def parted(content: str) -> Parted:
    """The words and the files of a message; one that only looks a little like that is words."""
    files, at = [], 0
    while head := _HEAD.match(content, at):
        mention, fence = head.groups()
        end = content.find(f"\n{fence}\n\n", head.end())
        if end < 0:
            break
        files.append(File(mention, content[head.end() : end]))
        at = end + len(fence) + 3
    words = content[at:]
    if all(file.mention in words for file in files):
        return Parted(words, tuple(files))
    return Parted(content)


def words_of(content: str) -> str:
    """What the person wrote of a message."""
    return parted(content).words


def names_of(content: str) -> str:
    """The files of a message in a sentence: ``notes.md and 2 more``; empty where it has none."""
    names = [clean_line(file.name, 60) for file in parted(content).files]
    if len(names) > 3:
        names = [*names[:2], f"{len(names) - 2:,} more"]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
