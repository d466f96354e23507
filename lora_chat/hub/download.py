"""One file from a hub. Owns how it comes, goes on where it was cut, and is checked; never asks what there is.

``huggingface_hub`` fetches. It no longer resumes across runs (2.x deletes a partial file; huggingface_hub#4228), and
its snapshot download finishes whole files after Ctrl-C, so the files are fetched here one by one, in the calling
thread, each into a ``.part`` that the next run goes on with.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from lora_chat.errors import RefusedError
from lora_chat.hub.listing import Listing, Remote
from lora_chat.hub.place import Hub

_PIECE = 1 << 20
"""Bytes that are written at once, and lost at most when the line is cut; the client's own are ten times as many."""
_TRIES = 5
"""Connections in a row that bring nothing before it is given up."""
_WAIT_S = 1.0


def download(hub: Hub, listing: Listing, remote: Remote, folder: Path, tell: Callable[[int], None]) -> None:
    """Fetch one file into its ``.part`` in ``folder``, check it, and only then give it its name.

    Raises:
        RefusedError: it is longer than listed, or its hash is not the hub's own.
        Exception: the client's and the disk's; see ``Hub.told``.
    """
    part = folder / f"{remote.name}.part"
    with part.open("ab") as file:
        if file.tell() > remote.size:
            _empty(file)
        _fetch(hub.address(listing, remote.name), hub.headers(), _Capped(file, remote, listing.repo), tell)
    if not _is_right(part, remote):
        part.unlink()
        raise RefusedError(f"{remote.name} of {listing.repo} arrived damaged (its hash differs): try again.")
    os.replace(part, folder / remote.name)


def _fetch(address: str, headers: dict[str, str], file: _Capped, tell: Callable[[int], None]) -> None:
    """Have the client fetch what is missing, again where it gives up and it need not."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.file_download import http_get

    constants.DOWNLOAD_CHUNK_SIZE = min(constants.DOWNLOAD_CHUNK_SIZE, _PIECE)
    fails = 0
    while True:
        before = file.tell()
        try:
            http_get(
                address,
                file,  # type: ignore[arg-type]
                resume_size=before,
                headers=headers,
                expected_size=file.size,
                tqdm_class=_bar(tell),
            )
            return
        except HfHubHTTPError as error:
            # What is there already is more than the hub has: it began with another file.
            if error.response.status_code != 416 or not before:
                raise
            file.empty()
        except Exception as error:
            # A line that is reset, which the client takes to be no passing matter.
            if not type(error).__module__.startswith("httpx") or type(error).__name__ != "ReadError":
                raise
            fails = 0 if file.tell() > before else fails + 1
            if fails >= _TRIES:
                raise
            time.sleep(_WAIT_S)


class _Capped:
    """The file a download goes to, as far as ``http_get`` needs one; it grows no longer than the listing said."""

    def __init__(self, file: BinaryIO, remote: Remote, repo: str) -> None:
        self._file = file
        self._remote = remote
        self._repo = repo

    @property
    def size(self) -> int:
        return self._remote.size

    def write(self, piece: bytes) -> int:
        if self._file.tell() + len(piece) > self._remote.size:
            _empty(self._file)
            raise RefusedError(f"{self._remote.name} of {self._repo} is longer than the hub said: try again.")
        return self._file.write(piece)

    def empty(self) -> None:
        _empty(self._file)

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, place: int) -> int:
        return self._file.seek(place)

    def truncate(self) -> int:
        return self._file.truncate()


def _empty(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()


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
