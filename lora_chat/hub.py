"""A repository on the Hugging Face hub (or the mirror that ``HF_ENDPOINT`` names). Owns its listing, how a file of it
comes and is checked, and the sentence for each way that fails; never decides which files are wanted, nor runs one.

``huggingface_hub`` supplies the endpoint, the token and the retries. It no longer resumes across runs (2.x deletes a
partial file; huggingface_hub#4228), and its snapshot download finishes whole files after Ctrl-C, so the files are
fetched here one by one, in the calling thread, each into a ``.part`` that the next run goes on with.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from lora_chat.errors import EngineError, LoraChatError, NotFoundError, RefusedError
from lora_chat.files import is_disk_full
from lora_chat.text import clean_line

_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_PIECE = 1 << 20


@dataclass(frozen=True)
class Remote:
    """One file of a repository."""

    name: str
    """With its folders, such as ``onnx/model.onnx``."""
    size: int
    """Bytes."""
    sha256: str | None
    """Of files in large-file storage."""
    git_sha1: str | None
    """Of the others: git's blob id."""


@dataclass(frozen=True)
class Listing:
    """A repository at one commit."""

    repo: str
    commit: str
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


def list_files(repo: str, revision: str | None) -> Listing:
    """Ask for the commit and its files; no file moves before they are known to be right.

    Raises:
        RefusedError: the hub named no commit.
        EngineError: what answered is no hub.
        Exception: the client's; see ``told``.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HFValidationError

    # Otherwise the client names torch in its headers and first asks the hub for a list of agents to look for.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    try:
        info = HfApi().model_info(repo, revision=revision, files_metadata=True, timeout=30)
        files = tuple(_remote(sibling) for sibling in info.siblings or [])
    except HFValidationError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # the client believes every answer
        raise EngineError(
            f"What answered for {repo} is no hub: try again, and look at HF_ENDPOINT if it is set."
        ) from error
    if not isinstance(info.sha, str) or not re.fullmatch("[0-9a-f]{40}", info.sha):
        raise RefusedError(f"The hub did not name a commit for {repo}: try again.")
    return Listing(repo, info.sha, files)


def download(listing: Listing, remote: Remote, folder: Path, tell: Callable[[int], None]) -> None:
    """Fetch one file into its ``.part`` in ``folder``, check it, and only then give it its name.

    Raises:
        RefusedError: it is longer than listed, or its hash is not the hub's own.
        Exception: the client's and the disk's; see ``told``.
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    part = folder / f"{remote.name}.part"
    with part.open("ab") as file:
        if file.tell() > remote.size:
            file.truncate(0)
        http_get(
            hf_hub_url(listing.repo, remote.name, revision=listing.commit),
            _Capped(file, remote, listing.repo),  # type: ignore[arg-type]
            resume_size=file.tell(),
            headers=build_hf_headers(),
            expected_size=remote.size,
            tqdm_class=_bar(tell),
        )
    if not _is_right(part, remote):
        part.unlink()
        raise RefusedError(f"{remote.name} of {listing.repo} arrived damaged (its hash differs): try again.")
    os.replace(part, folder / remote.name)


@contextmanager
def told(repo: str, words: Words) -> Iterator[None]:
    """Turn each way the hub can fail into one sentence; what is no failure of the hub passes as it is."""
    try:
        yield
    except (LoraChatError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise _refusal(error, repo, words) from error


def _remote(sibling: Any) -> Remote:
    lfs, name, size = sibling.lfs, sibling.rfilename, sibling.size or 0
    if not isinstance(name, str) or type(size) is not int or size < 0:
        raise TypeError("a file's name and size")
    return Remote(name, size, lfs.sha256 if lfs else None, None if lfs else sibling.blob_id)


class _Capped:
    """The file a download goes to, as far as ``http_get`` needs one; it grows no longer than the listing said."""

    def __init__(self, file: BinaryIO, remote: Remote, repo: str) -> None:
        self._file = file
        self._remote = remote
        self._repo = repo

    def write(self, piece: bytes) -> int:
        if self._file.tell() + len(piece) > self._remote.size:
            self._file.truncate(0)
            raise RefusedError(f"{self._remote.name} of {self._repo} is longer than the hub said: try again.")
        return self._file.write(piece)

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, place: int) -> int:
        return self._file.seek(place)

    def truncate(self) -> int:
        return self._file.truncate()


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


def _is_right(path: Path, remote: Remote) -> bool:
    """Compare with the hash the hub itself gave; git hashes a header before the bytes."""
    blob = f"blob {remote.size}\0".encode()
    digest = hashlib.sha256() if remote.sha256 else hashlib.sha1(blob, usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    wanted = remote.sha256 or remote.git_sha1
    return path.stat().st_size == remote.size and (wanted is None or digest.hexdigest() == wanted)


def _refusal(error: Exception, repo: str, words: Words) -> Exception:
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
        return EngineError(f"HF_HUB_OFFLINE is set, so {repo} cannot be fetched: unset it and try again.")
    if isinstance(error, RevisionNotFoundError):
        return NotFoundError(f"{repo} has no such revision: leave it out for the default branch.")
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
    if isinstance(error, GatedRepoError) or status == 403:
        return RefusedError(
            f"{repo} is gated: accept its licence at {page(repo)}, then give a token of that account in HF_TOKEN or "
            "by `hf auth login`."
        )
    if status == 401:
        return RefusedError(
            f"The hub does not show {repo} to you: check the name; if it is gated or private, accept its licence at "
            f"{page(repo)}, then give a token of that account in HF_TOKEN or by `hf auth login`."
        )
    if isinstance(error, (RepositoryNotFoundError, HFValidationError)) or status == 404:
        return NotFoundError(f"The hub has no {words.what} {repo}: check the name, org/name.")
    if status:
        return EngineError(f"The hub answered {status} for {repo}: try again later{words.again}.")
    if type(error).__module__.startswith("httpx") or (isinstance(error, OSError) and not _is_ours(error)):
        return EngineError(
            f"The connection to the hub failed for {repo} ({clean_line(type(error).__name__, 60)}): "
            f"try again{words.again}."
        )
    return error


def page(repo: str) -> str:
    """Where a person reads of ``repo``; a password in the endpoint is left out."""
    from huggingface_hub import constants

    endpoint = urlsplit(constants.ENDPOINT)
    return clean_line(f"{endpoint.scheme}://{endpoint.netloc.rpartition('@')[2]}{endpoint.path.rstrip('/')}/{repo}")


def _is_ours(error: OSError) -> bool:
    """Whether the disk failed, rather than the line."""
    return is_disk_full(error) or error.filename is not None
