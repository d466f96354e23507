"""A model from a hub. Owns which files are fetched, how a download resumes and how it is checked; never runs them.

``huggingface_hub`` supplies the endpoint, the token and the retries. It no longer resumes across runs (2.x deletes a
partial file; huggingface_hub#4228), and its snapshot download finishes whole files after Ctrl-C, so the files are
fetched here one by one, in the calling thread, each into a ``.part`` that the next run goes on with.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_chat.errors import EngineError, LoraChatError, NotFoundError, RefusedError
from lora_chat.models.catalog import HubSource
from lora_chat.models.sources.staging import Progress, is_disk_full, require_room
from lora_chat.text import clean_line

_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
# Configuration, tokenizer and template; never weights in another form, never code.
_BESIDES = re.compile(r"[\w.-]+\.json|chat_template\.jinja|tokenizer\.model|merges\.txt|vocab\.txt", re.ASCII)
_PIECE = 1 << 20


@dataclass(frozen=True)
class _Remote:
    """One file to fetch."""

    name: str
    size: int
    sha256: str | None
    """Of files in large-file storage."""
    git_sha1: str | None
    """Of the others: git's blob id."""


def fetch_hub(source: HubSource, partial: Path, name: str, progress: Progress) -> Path:
    """Download the model into ``partial``, going on where an earlier run ended; return the folder with its files.

    Raises:
        NotFoundError: no such repository or revision.
        RefusedError: gated, an adapter, no safetensors weights, or bytes that differ from the hub's own hash.
        EngineError: the hub cannot be reached, or no room.
    """
    try:
        commit, remotes = _look(source)
        files = _same_commit(partial, commit)
        _download_all(source.repo, commit, remotes, files, name, progress)
    except (LoraChatError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise _refusal(error, source.repo) from error
    return files


def _look(source: HubSource) -> tuple[str, list[_Remote]]:
    """Ask for the commit and its files; no weight moves before they are known to be right."""
    from huggingface_hub import HfApi, constants

    # Otherwise the client names torch in its headers and first asks the hub for a list of agents to look for.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    info = HfApi().model_info(source.repo, revision=source.revision, files_metadata=True, timeout=30)
    remotes = [_remote(sibling) for sibling in info.siblings or []]
    if any(remote.name == "adapter_config.json" for remote in remotes):
        raise RefusedError(f"{source.repo} is an adapter, no base model: run `lora-chat adapter install` for it.")
    if info.sha is None or not re.fullmatch("[0-9a-f]{40}", info.sha):
        raise RefusedError(f"The hub did not name a commit for {source.repo}: try again.")
    return info.sha, _wanted(source.repo, remotes)


def _remote(sibling: Any) -> _Remote:
    lfs = sibling.lfs
    return _Remote(sibling.rfilename, sibling.size or 0, lfs.sha256 if lfs else None, None if lfs else sibling.blob_id)


def _wanted(repo: str, remotes: list[_Remote]) -> list[_Remote]:
    """The weights transformers would choose, and what lies at the top beside them; large files last."""
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


def _download_all(repo: str, commit: str, remotes: list[_Remote], files: Path, name: str, progress: Progress) -> None:
    total = sum(remote.size for remote in remotes)
    there = sum(_present(files, remote) for remote in remotes)
    require_room(files, name, total - there)
    done = 0

    def tell(inside: int) -> None:
        progress(f"Downloading {name}", done + inside, total)

    for remote in remotes:
        if not (files / remote.name).is_file():
            _download(repo, commit, remote, files, tell)
        done += remote.size
        tell(0)


def _present(files: Path, remote: _Remote) -> int:
    for path in (files / remote.name, files / f"{remote.name}.part"):
        if path.is_file():
            return min(path.stat().st_size, remote.size)
    return 0


def _download(repo: str, commit: str, remote: _Remote, files: Path, tell: Callable[[int], None]) -> None:
    """Fetch one file into its ``.part``, check it, and only then give it its name."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    part = files / f"{remote.name}.part"
    with part.open("ab") as file:
        if file.tell() > remote.size:
            file.truncate(0)
        start = file.tell()
        http_get(
            hf_hub_url(repo, remote.name, revision=commit),
            file,
            resume_size=start,
            headers=build_hf_headers(),
            expected_size=remote.size,
            tqdm_class=_bar(tell),
        )
    if not _is_right(part, remote):
        part.unlink()
        raise RefusedError(f"{remote.name} of {repo} arrived damaged (its hash differs): pull again.")
    os.replace(part, files / remote.name)


def _bar(tell: Callable[[int], None]) -> Any:
    """A stand-in for tqdm that draws nothing and tells how many bytes of the file are there."""

    class Bar:
        def __init__(self, initial: int = 0, **ignored: object) -> None:
            self.n = initial

        def update(self, count: int = 1) -> None:
            self.n += count
            tell(self.n)

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *ignored: object) -> None:
            pass

        def close(self) -> None:
            pass

    return Bar


def _is_right(path: Path, remote: _Remote) -> bool:
    """Compare with the hash the hub itself gave; git hashes a header before the bytes."""
    blob = f"blob {remote.size}\0".encode()
    digest = hashlib.sha256() if remote.sha256 else hashlib.sha1(blob, usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    wanted = remote.sha256 or remote.git_sha1
    return path.stat().st_size == remote.size and (wanted is None or digest.hexdigest() == wanted)


def _refusal(error: Exception, repo: str) -> Exception:
    """One sentence for how the hub failed; what is no failure of the hub comes back as it is."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, OfflineModeIsEnabled):
        return EngineError(f"HF_HUB_OFFLINE is set, so {repo} cannot be fetched: unset it and pull again.")
    if isinstance(error, RevisionNotFoundError):
        return NotFoundError(f"{repo} has no such revision: leave it out for the default branch.")
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
    if isinstance(error, GatedRepoError) or status == 403:
        return RefusedError(
            f"{repo} is gated: accept its licence on the model's page, then set HF_TOKEN to a token of yours."
        )
    if status == 401:
        return RefusedError(
            f"The hub does not show {repo} to you: check the name; if it is gated or private, accept its licence on "
            "the model's page and set HF_TOKEN to a token of yours."
        )
    if isinstance(error, (RepositoryNotFoundError, HFValidationError)) or status == 404:
        return NotFoundError(f"The hub has no model {repo}: check the name, org/name.")
    if status:
        return EngineError(f"The hub answered {status} for {repo}: try again later; what arrived is kept.")
    if type(error).__module__.startswith("httpx") or (isinstance(error, OSError) and not _is_ours(error)):
        return EngineError(
            f"The connection to the hub failed for {repo} ({clean_line(type(error).__name__, 60)}): "
            "pull again to go on; what arrived is kept."
        )
    return error


def _is_ours(error: OSError) -> bool:
    """Whether the disk failed, rather than the line."""
    return is_disk_full(error) or error.filename is not None
