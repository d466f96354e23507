"""An adapter from a hub. Owns which of a repository's files are fetched; never goes online but for a typed hub id."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lora_chat.adapters.incoming.contents import LIMITS, MODEL_CONFIG_NAME, PICKLE_NAME, TEXTS, listed
from lora_chat.adapters.peft_config import CONFIG_NAME
from lora_chat.adapters.weights import WEIGHTS_NAME
from lora_chat.errors import RefusedError
from lora_chat.hub import HUGGING_FACE, Listing, Remote, Words, download, is_hub_id

Tell = Callable[[str, float, float], None]
"""Takes note of how far something is: what in words, done, total in bytes; total 0 means unknown."""

_REVISION = re.compile(r"[A-Za-z0-9][\w./-]{0,99}", re.ASCII)
_WORDS = Words("adapter", "; nothing was kept")


@dataclass(frozen=True)
class HubAdapter:
    """What ``org/name`` or ``org/name@revision`` means."""

    repo: str
    revision: str | None = None
    """A branch, tag or commit; None is the default branch."""

    @property
    def name(self) -> str:
        """The repository's, without its owner."""
        return self.repo.rpartition("/")[2]

    @classmethod
    def parse(cls, text: str) -> HubAdapter | None:
        """Read a hub id; None where ``text`` is none."""
        repo, at, revision = text.partition("@")
        if not is_hub_id(repo) or (at and not _REVISION.fullmatch(revision)):
            return None
        return cls(repo, revision or None)


def fetch_adapter(wanted: HubAdapter, folder: Path, tell: Tell) -> tuple[str, ...]:
    """Download the files an adapter consists of into ``folder``; return the names of what was left.

    Raises:
        NotFoundError: no such repository or revision.
        RefusedError: it holds no adapter, only a pickle or a whole model; a file is too large, or is not the hub's own
            by its hash; gated.
        EngineError: the hub cannot be reached.
        OSError: the disk failed.
    """
    tell(f"Asking the hub for {wanted.repo}", 0, 0)
    with HUGGING_FACE.told(wanted.repo, _WORDS):
        listing = HUGGING_FACE.list_files(wanted.repo, wanted.revision)
        files = _wanted(listing)
        _download_all(listing, files, folder, partial(tell, f"Downloading {wanted.name}"))
    fetched = {remote.name for remote in files}
    return listed(remote.name.partition("/")[0] for remote in listing.files if remote.name not in fetched)


def _download_all(listing: Listing, files: list[Remote], folder: Path, tell: Callable[[float, float], None]) -> None:
    total, done = sum(remote.size for remote in files), 0
    for remote in files:

        def inside(count: int, before: int = done) -> None:
            tell(before + count, total)

        download(HUGGING_FACE, listing, remote, folder, inside)
        done += remote.size


def _wanted(listing: Listing) -> list[Remote]:
    """The files to fetch, the weights last, once all are known to be there and small enough."""
    found = {remote.name: remote for remote in listing.files}
    if CONFIG_NAME not in found or WEIGHTS_NAME not in found:
        raise RefusedError(_missing(listing.repo, found.keys()))
    wanted = [remote for remote in listing.files if remote.name in LIMITS]
    wanted = [remote for remote in wanted if remote.name not in TEXTS or remote.size <= LIMITS[remote.name]]
    for remote in wanted:
        if remote.size > LIMITS[remote.name]:
            raise RefusedError(f"{remote.name} of {listing.repo} has {remote.size:,} bytes where at most "
                               f"{LIMITS[remote.name]:,} are accepted: choose another adapter.")  # fmt: skip
    return sorted(wanted, key=lambda remote: (remote.name == WEIGHTS_NAME, remote.name))


def _missing(repo: str, names: Collection[str]) -> str:
    """Say what is there instead, where that is known."""
    if CONFIG_NAME in names and PICKLE_NAME in names:
        return (f"{repo} has its weights only as a pickle ({PICKLE_NAME}), which can run code when loaded: ask its "
                f"author for {WEIGHTS_NAME}.")  # fmt: skip
    if CONFIG_NAME in names:
        return f"{repo} has no {WEIGHTS_NAME}: choose another adapter."
    if any(name.endswith(f"/{CONFIG_NAME}") for name in names):
        return f"{repo} keeps its adapters in folders of their own: download one of them and install its folder."
    if MODEL_CONFIG_NAME in names or any(name.endswith((".safetensors", ".gguf")) for name in names):
        return f"{repo} is a whole model, not an adapter: run `lora-chat model pull {repo}` for it."
    return f"{repo} holds no adapter at its top: choose one that has {CONFIG_NAME} and {WEIGHTS_NAME}."
