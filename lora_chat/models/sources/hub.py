"""A model from a hub. Owns which files are fetched and where an interrupted download goes on; never runs one."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from lora_chat.errors import RefusedError
from lora_chat.hub import Hub, Listing, Remote, Words, download, hub_called
from lora_chat.models.catalog import HubSource
from lora_chat.models.sources.staging import Progress, require_room

_SHARD = re.compile(r"model-(\d+)-of-(\d+)\.safetensors")
_INDEX = "model.safetensors.index.json"
_TOKENIZERS = frozenset({"tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt"})
# Configuration, tokenizer and template; never weights in another form, never code.
_BESIDES = re.compile(r"[\w.-]+\.json|chat_template\.jinja|tokenizer\.model|merges\.txt|vocab\.txt", re.ASCII)
_NOTHING, _KEPT = Words("model", ""), Words("model", "; what arrived is kept")
"""Before a file moved, unless an earlier run left some; and from then on."""


def fetch_hub(source: HubSource, partial: Path, name: str, progress: Progress) -> Path:
    """Download the model into ``partial``, going on where an earlier run ended; return the folder with its files.

    Raises:
        NotFoundError: no such repository or revision.
        RefusedError: gated, an adapter, no safetensors weights, or bytes that differ from the hub's own hash.
        EngineError: the hub cannot be reached, or no room.
    """
    hub = hub_called(source.hub)
    with hub.told(source.repo, _KEPT if (partial / "files").is_dir() else _NOTHING):
        listing = hub.list_files(source.repo, source.revision)
        wanted = wanted_of(listing)
        hub.check(listing, wanted)
    with hub.told(source.repo, _KEPT):
        files = _same_commit(partial, listing.commit)
        _download_all(hub, listing, wanted, files, name, progress)
    return files


def wanted_of(listing: Listing) -> list[Remote]:
    """The weights transformers would choose, and what lies at the top beside them; large files last.

    Raises:
        RefusedError: it is an adapter, or something is missing.
    """
    repo, remotes = listing.repo, listing.files
    if any(remote.name == "adapter_config.json" for remote in remotes):
        raise RefusedError(f"{repo} is an adapter, no base model: run `lora-chat adapter install {repo}`.")
    weights = [remote for remote in remotes if remote.name == "model.safetensors"]
    weights = weights or _shards(listing)
    if not weights:
        raise RefusedError(f"{repo} has no safetensors weights, and pickles are never loaded: choose another model.")
    names = {remote.name for remote in remotes}
    if "config.json" not in names or not names & _TOKENIZERS:
        lacks = "tokenizer" if "config.json" in names else "config.json"
        raise RefusedError(f"{repo} has no {lacks}, so it is no model that can be chatted with: choose another one.")
    besides = [remote for remote in remotes if _BESIDES.fullmatch(remote.name) and remote.name != "base.json"]
    return sorted(besides + weights, key=lambda remote: (remote in weights, remote.name))


def _shards(listing: Listing) -> list[Remote]:
    """The weights where they lie in several files, none of which may be missing; empty where there are none."""
    found = {match[1]: (remote, match) for remote in listing.files if (match := _SHARD.fullmatch(remote.name))}
    if not found:
        return []
    many = max(int(match[2]) for _, match in found.values())
    if len(found) < many or all(remote.name != _INDEX for remote in listing.files):
        lacks = _INDEX if len(found) >= many else f"{many - len(found)} of the {many} files of its weights"
        raise RefusedError(f"{listing.repo} lacks {lacks}: choose another model, or tell its author.")
    return [remote for remote, _ in found.values()]


def _same_commit(partial: Path, commit: str) -> Path:
    """The folder for the files; emptied first when it holds another commit's."""
    files, mark = partial / "files", partial / "commit"
    if not mark.is_file() or mark.read_text(encoding="ascii", errors="replace") != commit:
        shutil.rmtree(partial, ignore_errors=True)
    files.mkdir(mode=0o700, parents=True, exist_ok=True)
    mark.write_text(commit, encoding="ascii")
    return files


def _download_all(hub: Hub, listing: Listing, wanted: list[Remote], files: Path, name: str, progress: Progress) -> None:
    total = sum(remote.size for remote in wanted)
    there = sum(_present(files, remote) for remote in wanted)
    require_room(files, name, total - there)
    done = 0

    def tell(inside: int) -> None:
        progress(f"Downloading {name}", done + inside, total)

    for remote in wanted:
        if not (files / remote.name).is_file():
            download(hub, listing, remote, files, tell)
        done += remote.size
        tell(0)


def _present(files: Path, remote: Remote) -> int:
    for path in (files / remote.name, files / f"{remote.name}.part"):
        if path.is_file():
            return min(path.stat().st_size, remote.size)
    return 0
