"""A model from a hub. Owns which files are fetched and where an interrupted download goes on; never runs one."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from lora_chat.errors import RefusedError
from lora_chat.hub import Listing, Remote, Words, download, list_files, told
from lora_chat.models.catalog import HubSource
from lora_chat.models.sources.staging import Progress, require_room

_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
# Configuration, tokenizer and template; never weights in another form, never code.
_BESIDES = re.compile(r"[\w.-]+\.json|chat_template\.jinja|tokenizer\.model|merges\.txt|vocab\.txt", re.ASCII)
_WORDS = Words("model", "; what arrived is kept")


def fetch_hub(source: HubSource, partial: Path, name: str, progress: Progress) -> Path:
    """Download the model into ``partial``, going on where an earlier run ended; return the folder with its files.

    Raises:
        NotFoundError: no such repository or revision.
        RefusedError: gated, an adapter, no safetensors weights, or bytes that differ from the hub's own hash.
        EngineError: the hub cannot be reached, or no room.
    """
    with told(source.repo, _WORDS):
        listing = list_files(source.repo, source.revision)
        wanted = _wanted(listing)
        files = _same_commit(partial, listing.commit)
        _download_all(listing, wanted, files, name, progress)
    return files


def _wanted(listing: Listing) -> list[Remote]:
    """The weights transformers would choose, and what lies at the top beside them; large files last."""
    repo, remotes = listing.repo, listing.files
    if any(remote.name == "adapter_config.json" for remote in remotes):
        raise RefusedError(f"{repo} is an adapter, no base model: run `lora-chat adapter install {repo}`.")
    weights = [remote for remote in remotes if remote.name == "model.safetensors"]
    weights = weights or [remote for remote in remotes if _SHARD.fullmatch(remote.name)]
    if not weights:
        raise RefusedError(f"{repo} has no safetensors weights, and pickles are never loaded: choose another model.")
    besides = [remote for remote in remotes if _BESIDES.fullmatch(remote.name) and remote.name != "base.json"]
    return sorted(besides + weights, key=lambda remote: (remote in weights, remote.name))


def _same_commit(partial: Path, commit: str) -> Path:
    """The folder for the files; emptied first when it holds another commit's."""
    files, mark = partial / "files", partial / "commit"
    if not mark.is_file() or mark.read_text(encoding="ascii", errors="replace") != commit:
        shutil.rmtree(partial, ignore_errors=True)
    files.mkdir(mode=0o700, parents=True, exist_ok=True)
    mark.write_text(commit, encoding="ascii")
    return files


def _download_all(listing: Listing, wanted: list[Remote], files: Path, name: str, progress: Progress) -> None:
    total = sum(remote.size for remote in wanted)
    there = sum(_present(files, remote) for remote in wanted)
    require_room(files, name, total - there)
    done = 0

    def tell(inside: int) -> None:
        progress(f"Downloading {name}", done + inside, total)

    for remote in wanted:
        if not (files / remote.name).is_file():
            download(listing, remote, files, tell)
        done += remote.size
        tell(0)


def _present(files: Path, remote: Remote) -> int:
    for path in (files / remote.name, files / f"{remote.name}.part"):
        if path.is_file():
            return min(path.stat().st_size, remote.size)
    return 0
