"""What a hub says of a repository. Owns its form; never asks for one."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


@dataclass(frozen=True)
class Remote:
    """One file of a repository."""

    name: str
    """With its folders, such as ``onnx/model.onnx``."""
    size: int
    """Bytes."""
    sha256: str | None
    """On Hugging Face, of files in large-file storage only."""
    git_sha1: str | None
    """Of the others there: git's blob id."""


@dataclass(frozen=True)
class Listing:
    """A repository as it is at one moment."""

    repo: str
    commit: str
    """Differs as soon as a file differs, so that half a download of another one is not gone on with."""
    revision: str
    """What its files are asked for by: a commit, or a branch where the hub names no commit."""
    files: tuple[Remote, ...]


@dataclass(frozen=True)
class Words:
    """How sentences name what is fetched."""

    what: str
    """``model`` or ``adapter``."""
    again: str
    """What to do after a failure of the line, and what is kept of it."""


def is_hub_id(text: str) -> bool:
    """Whether ``text`` can be a repository's name, ``org/name``."""
    return bool(_ID.fullmatch(text)) and ".." not in text
