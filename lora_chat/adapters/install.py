"""The one door in. Owns how an adapter gets into the person's folder; never runs or unpickles anything.

What was checked is what gets written: the bytes stay in memory from the reading on, so a source that changes
meanwhile changes nothing. A folder appears by one rename, complete and flushed, or not at all.
"""

from __future__ import annotations

import dataclasses
import errno
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lora_chat.adapters.disk import telling
from lora_chat.adapters.incoming.contents import TEXT_LIMIT, TEXTS
from lora_chat.adapters.incoming.source import Opened, folder_at, name_from, opened_path
from lora_chat.adapters.index import Index
from lora_chat.adapters.manifest import (
    MANIFEST_NAME,
    Manifest,
    WeightsClaim,
    checked_name,
    numbered,
    read_manifest,
    to_toml,
)
from lora_chat.adapters.outgoing.local_paths import is_path
from lora_chat.adapters.peft_config import CONFIG_LIMIT, CONFIG_NAME
from lora_chat.adapters.reading import read_bytes, refusal
from lora_chat.adapters.registry import Adapter, Origin, read_installed
from lora_chat.adapters.removal import put_line_aside, sweep
from lora_chat.adapters.signature import BaseSignature
from lora_chat.adapters.verify import Verdict, check_hashes, read_manifest_of, verified
from lora_chat.adapters.weights import WEIGHTS_LIMIT, WEIGHTS_NAME, AdapterFiles, read_adapter
from lora_chat.errors import LoraChatError, NotFoundError, RefusedError
from lora_chat.files import staged_folder
from lora_chat.paths import Paths
from lora_chat.text import clean


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
    fit: Verdict | None = None
    """Of the base it was held against, where it was."""


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
    """Check the adapter in the folder ``source`` and install it; the source stays as it is. See ``inspect``."""
    with opened_path(source, paths) as found:
        return install(inspect(found, name, signature, manifest), paths)


def inspect(
    source: Opened,
    name: str | None = None,
    signature: BaseSignature | None = None,
    manifest: Manifest | None = None,
) -> Candidate:
    """Read and check an adapter, writing nothing.

    ``name`` and ``manifest`` come before what the folder says. With ``signature`` it must fit that base.

    Raises:
        RefusedError: it is not an adapter that could be worn, or cannot be called so.
    """
    folder = source.folder
    files = read_adapter(folder)
    found = read_manifest_of(folder)
    check_hashes(files, found)
    chosen = manifest or found or Manifest()
    warnings = files.warnings
    if chosen.ignored:
        warnings += (f"Ignored in {MANIFEST_NAME}: {', '.join(chosen.ignored[:20])}.",)
    wanted = checked_name(name) if name else chosen.name or _name_of(folder)
    candidate = Candidate(files, _completed(chosen, files, wanted), texts_of(folder), source.left_out, warnings)
    return inspect_against(candidate, signature) if signature else candidate


def inspect_folder(folder: Path, name: str | None = None, signature: BaseSignature | None = None) -> Candidate:
    """The same of a folder where it lies. Raises as ``inspect``."""
    return inspect(folder_at(folder), name, signature)


def prepared(files: AdapterFiles, manifest: Manifest, name: str) -> Candidate:
    """An adapter that was made here, in memory, as one that could be installed as ``name``.

    Raises:
        RefusedError: nothing can be called so.
    """
    return Candidate(files, _completed(manifest, files, checked_name(name)), {}, (), files.warnings)


def inspect_against(candidate: Candidate, signature: BaseSignature) -> Candidate:
    """Hold a candidate against a base; return it with what there is to warn of.

    Raises:
        RefusedError: it does not fit.
    """
    fit = verified(candidate.files, signature, candidate.manifest).verdict
    warnings = tuple(dict.fromkeys((*candidate.warnings, *fit.warnings)))
    return dataclasses.replace(candidate, manifest=_named(candidate.manifest, signature), warnings=warnings, fit=fit)


def install(candidate: Candidate, paths: Paths) -> Installed:
    """Write a checked adapter into the person's folder, durably, by one rename.

    The same bytes under that name are left alone; other bytes under it get the next free name (``name-2``). What an
    adapter that was deleted by hand left of its line is not the new one's: it is put to what was removed.

    Raises:
        RefusedError: the folder cannot be written (full, read-only), with the reason; nothing is left.
    """
    sweep(paths)
    while True:
        target, there = _place(candidate, paths)
        if there is not None:
            return there
        with telling(f"install the adapter into {target}"), suppress(Taken):
            put_line_aside(target.name, paths)
            write(_called(candidate, target.name), target)
            return Installed(read_installed(target), False, candidate.ignored, candidate.warnings)


def already(candidate: Candidate, paths: Paths) -> Installed | None:
    """What ``install`` would find there and leave alone; None where it would write."""
    return _place(candidate, paths)[1]


def beside(candidate: Candidate, paths: Paths) -> tuple[str, ...]:
    """What a person should know, as sentences: its name is taken, or the same bytes are there under another."""
    name, free = candidate.manifest.name, _place(candidate, paths)[0].name
    taken = (f"There is another adapter called {name}: this one becomes {free}.",) if free != name else ()
    size = len(candidate.files.weights)
    alike = (each for each in Index(paths).catalog().adapters if each.bytes == size)
    twin = next((each.name for each in alike if holds_same(each.path, candidate.files)), "")
    return (*taken, f"The same bytes are installed already, as {twin}.") if twin else taken


def _name_of(folder: Path) -> str:
    """Raises RefusedError: the folder is called as no adapter can be."""
    try:
        return checked_name(name_from(folder))
    except RefusedError as error:
        why = f"{str(error).removesuffix('.')}; rename the folder, or say --name"
        raise refusal(folder, why) from error


def _called(candidate: Candidate, name: str) -> Candidate:
    return dataclasses.replace(candidate, manifest=dataclasses.replace(candidate.manifest, name=name))


def _completed(manifest: Manifest, files: AdapterFiles, name: str) -> Manifest:
    base = dataclasses.replace(manifest.base, model=manifest.base.model or files.settings.base_model)
    return dataclasses.replace(manifest, name=name, base=base, weights=claim_of(files))


def claim_of(files: AdapterFiles) -> WeightsClaim:
    """What ``adapter.toml`` says of the weights, from their bytes."""
    return WeightsClaim(
        files.sha256, files.config_sha256, files.layout.rank, files.layout.parameters, len(files.weights)
    )


class Taken(Exception):
    """Another program put something there between the look and the rename."""


def write(candidate: Candidate, target: Path) -> None:
    """Write a checked adapter as the folder ``target``, durably, by one rename.

    Raises:
        Taken: something is there.
        OSError: the disk takes nothing; nothing is left.
        RefusedError: its manifest could not be read again.
    """
    contents = {
        CONFIG_NAME: candidate.files.config,
        WEIGHTS_NAME: candidate.files.weights,
        MANIFEST_NAME: _readable(to_toml(candidate.manifest).encode()),
        **candidate.texts,
    }
    try:
        with staged_folder(target) as stage:
            for file_name, data in contents.items():
                (stage / file_name).write_bytes(data)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise Taken from error
        raise


def _named(manifest: Manifest, signature: BaseSignature) -> Manifest:
    """With the base's own name where its folder is declared, which means nothing on another machine."""
    if not is_path(manifest.base.model) or not signature.is_called(manifest.base.model):
        return manifest
    return dataclasses.replace(manifest, base=dataclasses.replace(manifest.base, model=signature.lineage))


def _place(candidate: Candidate, paths: Paths) -> tuple[Path, Installed | None]:
    """Where a candidate would go; or is already, under the name it wishes for or one of that name's numbers."""
    origins: tuple[tuple[Path, Origin], ...] = ((paths.adapters, "user"), (paths.bundled_adapters, "bundled"))
    for name in numbered(candidate.manifest.name):
        for root, origin in origins:
            if holds_same(root / name, candidate.files):
                there = read_installed(root / name, origin)
                return root / name, Installed(there, True, candidate.ignored, candidate.warnings)
        if not any(os.path.lexists(root / name) for root, _ in origins):
            break
    return paths.adapters / name, None


def _readable(raw: bytes) -> bytes:
    """What is written must be read again: a caller's manifest may be too large or hold what TOML cannot."""
    read_manifest(raw)
    return raw


def texts_of(source: Path) -> dict[str, bytes]:
    """README.md and LICENSE where they are ordinary files; a link or a huge one is not worth refusing the adapter."""
    found = {}
    for name in TEXTS:
        with suppress(NotFoundError, RefusedError):
            found[name] = clean(read_bytes(source / name, TEXT_LIMIT).decode("utf-8", "replace")).encode()
    return found


def holds_same(target: Path, files: AdapterFiles) -> bool:
    """Whether the adapter in ``target`` is these bytes."""
    try:
        same = read_bytes(target / WEIGHTS_NAME, WEIGHTS_LIMIT) == files.weights
        return same and read_bytes(target / CONFIG_NAME, CONFIG_LIMIT) == files.config
    except LoraChatError:
        return False
