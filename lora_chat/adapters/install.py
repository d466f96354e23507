"""The one door in. Owns how an adapter gets into the person's folder; never runs or unpickles anything.

What was checked is what gets written: the bytes stay in memory from the reading on, so a source that changes
meanwhile changes nothing. A folder appears by one rename, complete and flushed, or not at all.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lora_chat.adapters.manifest import (
    MANIFEST_NAME,
    Manifest,
    WeightsClaim,
    checked_name,
    numbered,
    read_manifest,
    to_toml,
)
from lora_chat.adapters.peft_config import CONFIG_LIMIT, CONFIG_NAME
from lora_chat.adapters.reading import read_bytes, refusal, shown
from lora_chat.adapters.registry import Adapter, read_installed
from lora_chat.adapters.removal import sweep, telling
from lora_chat.adapters.signature import BaseSignature
from lora_chat.adapters.verify import check_hashes, read_manifest_of, verified
from lora_chat.adapters.weights import WEIGHTS_LIMIT, WEIGHTS_NAME, AdapterFiles, read_adapter
from lora_chat.errors import LoraChatError, NotFoundError, RefusedError
from lora_chat.files import staged_folder
from lora_chat.paths import Paths
from lora_chat.text import clean

_TEXTS = ("README.md", "LICENSE")
_TEXT_LIMIT = 2**20
_LISTED = 1000
_OTHER_FORMS = {
    ".zip": "archives cannot be installed yet; unpack it and install the folder",
    ".tar": "archives cannot be installed yet; unpack it and install the folder",
    ".gz": "archives cannot be installed yet; unpack it and install the folder",
    ".xz": "archives cannot be installed yet; unpack it and install the folder",
    ".rar": "archives of this kind are not supported; unpack it and install the folder",
    ".7z": "archives of this kind are not supported; unpack it and install the folder",
    ".gguf": "GGUF adapters cannot be worn; install the PEFT folder it was made from",
    ".bin": "a pickle can run code when loaded; save the adapter as safetensors and install its folder",
    ".pt": "a pickle can run code when loaded; save the adapter as safetensors and install its folder",
    ".pth": "a pickle can run code when loaded; save the adapter as safetensors and install its folder",
    ".safetensors": "one file is not an adapter; install the folder that also holds adapter_config.json",
}


@dataclass(frozen=True)
class Candidate:
    """A checked adapter in memory, before anything is written: what a preview shows and ``install`` writes."""

    files: AdapterFiles
    manifest: Manifest
    """Its ``adapter.toml``, completed from the bytes; the name is the one wished for."""
    texts: Mapping[str, bytes]
    """README.md and LICENSE, cleaned."""
    ignored: tuple[str, ...]
    """Names of files in the source that are not installed."""
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Installed:
    """What ``install`` did."""

    adapter: Adapter
    already: bool
    """The same bytes were there before: nothing was written."""
    ignored: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def install_folder(
    source: Path,
    paths: Paths,
    name: str | None = None,
    signature: BaseSignature | None = None,
    manifest: Manifest | None = None,
) -> Installed:
    """Check the adapter in ``source`` and install it; the source stays as it is. See ``inspect`` and ``install``."""
    return install(inspect(source, name, signature, manifest), paths)


def inspect(
    source: Path,
    name: str | None = None,
    signature: BaseSignature | None = None,
    manifest: Manifest | None = None,
) -> Candidate:
    """Read and check an adapter folder, writing nothing.

    ``name`` and ``manifest`` come before what the folder says. With ``signature`` it must fit that base.

    Raises:
        NotFoundError: there is no ``source``.
        RefusedError: it is not an adapter that could be worn, or cannot be called so.
    """
    _check_form(source)
    files = read_adapter(source)
    found = read_manifest_of(source)
    check_hashes(files, found)
    chosen = manifest or found or Manifest()
    warnings = files.warnings
    if chosen.ignored:
        warnings += (f"Ignored in {MANIFEST_NAME}: {', '.join(chosen.ignored[:20])}.",)
    wanted = checked_name(name or chosen.name or source.resolve().name.lower())
    candidate = Candidate(files, _completed(chosen, files, wanted), _texts(source), _others(source), warnings)
    return inspect_against(candidate, signature) if signature else candidate


def inspect_against(candidate: Candidate, signature: BaseSignature) -> Candidate:
    """Hold a candidate against a base; return it with what there is to warn of.

    Raises:
        RefusedError: it does not fit.
    """
    found = verified(candidate.files, signature, candidate.manifest).verdict.warnings
    return dataclasses.replace(candidate, warnings=tuple(dict.fromkeys((*candidate.warnings, *found))))


def install(candidate: Candidate, paths: Paths) -> Installed:
    """Write a checked adapter into the person's folder, durably, by one rename.

    The same bytes under that name are left alone; other bytes under it get the next free name (``name-2``).

    Raises:
        RefusedError: the folder cannot be written (full, read-only), with the reason; nothing is left.
    """
    sweep(paths)
    for name in numbered(candidate.manifest.name):
        target = paths.adapters / name
        if not os.path.lexists(target) and not (paths.bundled_adapters / name).is_dir():
            break
        if _holds_same(target, candidate.files):
            return Installed(read_installed(target), True, candidate.ignored, candidate.warnings)
    manifest = dataclasses.replace(candidate.manifest, name=name)
    contents = {
        CONFIG_NAME: candidate.files.config,
        WEIGHTS_NAME: candidate.files.weights,
        MANIFEST_NAME: _readable(to_toml(manifest).encode()),
        **candidate.texts,
    }
    with telling(f"install the adapter into {target}"), staged_folder(target) as stage:
        for file_name, data in contents.items():
            (stage / file_name).write_bytes(data)
    return Installed(read_installed(target), False, candidate.ignored, candidate.warnings)


def _check_form(source: Path) -> None:
    # A name with NUL makes every path call raise ValueError.
    exists = "\0" not in str(source) and os.path.lexists(source)
    if not exists:
        raise NotFoundError(f"There is no {shown(str(source), 200)}: give the path of an adapter's folder.")
    if not source.is_dir():
        why = _OTHER_FORMS.get(source.suffix.lower(), "it is not a folder; install the folder that holds the adapter")
        raise refusal(source, why)


def _completed(manifest: Manifest, files: AdapterFiles, name: str) -> Manifest:
    weights = WeightsClaim(
        files.sha256, files.config_sha256, files.layout.rank, files.layout.parameters, len(files.weights)
    )
    base = dataclasses.replace(manifest.base, model=manifest.base.model or files.settings.base_model)
    return dataclasses.replace(manifest, name=name, base=base, weights=weights)


def _readable(raw: bytes) -> bytes:
    """What is written must be read again: a caller's manifest may be too large or hold what TOML cannot."""
    read_manifest(raw)
    return raw


def _texts(source: Path) -> dict[str, bytes]:
    """README.md and LICENSE where they are ordinary files; a link or a huge one is not worth refusing the adapter."""
    found = {}
    for name in _TEXTS:
        with suppress(NotFoundError, RefusedError):
            found[name] = clean(read_bytes(source / name, _TEXT_LIMIT).decode("utf-8", "replace")).encode()
    return found


def _others(source: Path) -> tuple[str, ...]:
    taken = {CONFIG_NAME, WEIGHTS_NAME, MANIFEST_NAME}
    taken |= {name for name in _TEXTS if (source / name).is_file() and not (source / name).is_symlink()}
    with os.scandir(source) as entries:
        names = [shown(entry.name, 80) for entry in itertools.islice(entries, _LISTED) if entry.name not in taken]
    return tuple(sorted(names))


def _holds_same(target: Path, files: AdapterFiles) -> bool:
    try:
        same = read_bytes(target / WEIGHTS_NAME, WEIGHTS_LIMIT) == files.weights
        return same and read_bytes(target / CONFIG_NAME, CONFIG_LIMIT) == files.config
    except LoraChatError:
        return False
