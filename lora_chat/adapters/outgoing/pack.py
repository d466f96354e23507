"""An adapter as an archive to hand on. Owns what goes into it and how; never asks, and never changes the adapter.

The same adapter becomes the same bytes on any machine, any day, for any person: members are sorted, without time,
owner or extra fields, and stored as they are. Deflate would save a tenth of the weights, but zlib and its successors
make other bytes of the same data from one version to the next.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lora_chat.adapters.install import Candidate, inspect_folder
from lora_chat.adapters.manifest import MANIFEST_NAME, Manifest, WeightsClaim, read_manifest, to_toml
from lora_chat.adapters.outgoing.card import card
from lora_chat.adapters.outgoing.place import FILE_MODE, writing
from lora_chat.adapters.outgoing.plain import plain_weights
from lora_chat.adapters.outgoing.public import public_config, public_manifest, public_readme
from lora_chat.adapters.peft_config import CONFIG_NAME
from lora_chat.adapters.reading import parse_object
from lora_chat.adapters.registry import Adapter
from lora_chat.adapters.tensor_file import METADATA, PREFIX
from lora_chat.adapters.weights import WEIGHTS_NAME, AdapterFiles
from lora_chat.files import write_durably

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can say."""
_UNIX = 3


@dataclass(frozen=True)
class Package:
    """What would leave the machine, in memory, before anything is written."""

    manifest: Manifest
    """As it goes out: not private, and without a place of this machine."""
    files: Mapping[str, bytes]
    """Name to content, sorted."""
    private: bool
    """Whether the adapter itself is private: the person should be asked."""
    notes: tuple[str, ...]
    """What differs from the installed files, as sentences."""

    @property
    def archive(self) -> bytes:
        """The bytes of the ``.zip``."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for name, data in self.files.items():
                archive.writestr(_member(name), data)
        return buffer.getvalue()


def package(adapter: Adapter, dtype: str = "") -> Package:
    """Read, check and gather what would leave; ``dtype`` (``F32``, ``F16``, ``BF16``) rewrites the weights.

    Raises:
        RefusedError: the adapter is damaged or was edited after install, or its numbers do not fit ``dtype``.
    """
    candidate = inspect_folder(adapter.path, adapter.name)
    files = candidate.files
    config, weights = public_config(files), _weights(files, dtype)
    manifest = _with_hashes(public_manifest(candidate.manifest), config, weights)
    contents = {
        CONFIG_NAME: config,
        WEIGHTS_NAME: weights,
        MANIFEST_NAME: to_toml(manifest).encode(),
        "README.md": card(manifest, files.layout, f"{manifest.name}.zip", public_readme(candidate)).encode(),
    }
    read_manifest(contents[MANIFEST_NAME])  # what is handed on must be read again at the other end
    if "LICENSE" in candidate.texts:
        contents["LICENSE"] = candidate.texts["LICENSE"]
    notes = tuple(_notes(candidate, contents, dtype))
    return Package(manifest, dict(sorted(contents.items())), candidate.manifest.private, notes)


def write_archive(archive: bytes, path: Path) -> None:
    """Write it whole, replacing what is there; readable by all, since it is made to be handed on.

    Raises:
        RefusedError: the disk said no.
    """
    with writing(path):
        write_durably(path, archive, FILE_MODE)


def _with_hashes(manifest: Manifest, config: bytes, weights: bytes) -> Manifest:
    claim = WeightsClaim(
        hashlib.sha256(weights).hexdigest(),
        hashlib.sha256(config).hexdigest(),
        manifest.weights.rank,
        manifest.weights.parameters,
        len(weights),
    )
    return dataclasses.replace(manifest, weights=claim)


def _weights(files: AdapterFiles, dtype: str) -> bytes:
    """The weights as they are, where plain PEFT reads all of them and nothing else stands in their header."""
    views = [view for module in files.layout.modules.values() for view in (module.a, module.b)]
    named = all(view.name.startswith(PREFIX) and not view.name.endswith(".default.weight") for view in views)
    same = all(dtype in ("", view.dtype) for view in views)
    bare = _metadata(files.weights) in (None, METADATA)
    return files.weights if named and same and bare else plain_weights(files, dtype)


def _metadata(weights: bytes) -> object:
    length = int.from_bytes(weights[:8], "little")
    return parse_object(weights[8 : 8 + length], WEIGHTS_NAME, depth=4).get("__metadata__")


def _notes(candidate: Candidate, contents: Mapping[str, bytes], dtype: str) -> list[str]:
    files, notes = candidate.files, []
    if contents[CONFIG_NAME] != files.config:
        notes.append(f"Paths of this machine were taken out of {CONFIG_NAME}.")
    if contents[WEIGHTS_NAME] != files.weights:
        notes.append(
            f"The weights are written anew in {dtype.lower()}, so their sha256 is another."
            if dtype
            else "The weights are written anew under PEFT's own names and without further remarks, so their sha256 is "
            "another."
        )
    own = candidate.texts.get("README.md", b"").decode()
    if not own.strip():
        notes.append("README.md is a model card made from adapter.toml.")
    else:
        if public_readme(candidate) != own:
            notes.append("Paths of this machine were taken out of README.md.")
        if not own.startswith("---\n"):
            notes.append("README.md got the front matter of a model card.")
    return notes


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, _EPOCH)
    member.create_system = _UNIX  # or it would say where it was packed
    member.external_attr = (0o100000 | FILE_MODE) << 16
    member.compress_type = zipfile.ZIP_STORED
    return member
