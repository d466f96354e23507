"""An adapter on its way out, under a person's eyes. Owns the order of it: gathered, shown, asked, written; never draws,
and writes nothing that was not agreed to.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from lora_chat.adapters.manifest import MANIFEST_NAME
from lora_chat.adapters.outgoing.pack import Package, package, write_archive
from lora_chat.adapters.outgoing.place import spelled_out
from lora_chat.adapters.peft_config import CONFIG_NAME
from lora_chat.adapters.reading import shown
from lora_chat.adapters.registry import Adapter
from lora_chat.adapters.weights import WEIGHTS_NAME
from lora_chat.errors import RefusedError
from lora_chat.sitting.face import Presenter
from lora_chat.text import clean_line

_KINDS = {
    WEIGHTS_NAME: "weights",
    CONFIG_NAME: "config",
    MANIFEST_NAME: "about it",
    "README.md": "card",
    "LICENSE": "its licence",
}


@dataclass(frozen=True)
class Departure:
    """An archive in memory, and where it would go."""

    package: Package
    archive: bytes
    target: Path

    @property
    def name(self) -> str:
        """The adapter's."""
        return self.package.manifest.name

    @property
    def is_there(self) -> bool:
        """Whether the very archive lies there already."""
        there = self.target
        return there.is_file() and there.stat().st_size == len(self.archive) and there.read_bytes() == self.archive


def pack(adapter: Adapter, output: Path | None, face: Presenter, dtype: str = "") -> Path | None:
    """Show what would leave, ask where there is something to ask, and write it; None where the person declined.

    ``output`` is a file or a folder, by default this one; ``dtype`` (``F32``, ``F16``, ``BF16``) rewrites the weights.

    Raises:
        RefusedError: the adapter is damaged, or the place cannot be written.
    """
    packed = package(adapter, dtype)
    leaving = Departure(packed, packed.archive, _place(packed.manifest.name, output))
    facts = contents(leaving)
    if not packed.private:
        face.details(f"{leaving.name} {packed.manifest.version} as it leaves the machine", facts)
    elif not face.confirm(private_question(leaving.name), loses=True, about=facts):
        return None
    if leaving.is_there:
        return leaving.target
    taken = f"{clean_line(str(leaving.target), 200)} is there already and holds something else: replace it?"
    if leaving.target.exists() and not face.confirm(taken, loses=True):
        return None
    write_archive(leaving.archive, leaving.target)
    return leaving.target


def contents(leaving: Departure) -> list[tuple[str, str]]:
    """Everything that leaves: nothing else is in the archive."""
    files = leaving.package.files
    said = files[MANIFEST_NAME].decode().splitlines()
    return [
        ("this leaves", f"in {clean_line(str(leaving.target), 300)}, {len(leaving.archive):,} bytes"),
        *(
            (_KINDS[name], f"{name}, {len(data):,} bytes, sha256 {hashlib.sha256(data).hexdigest()}")
            for name, data in files.items()
        ),
        *(("it says" if number == 0 else "", line) for number, line in enumerate(said) if line),
        *(("mind", remark) for remark in leaving.package.notes),
    ]


def private_question(name: str) -> str:
    """What is asked before a private adapter leaves."""
    return (
        f"{name} is private: it was trained here, and whoever has its weights can draw out of them again what it was "
        "taught, word by word. Let it leave?"
    )


def _place(name: str, output: Path | None) -> Path:
    """Where the archive goes: into a folder under its own name, as ``cp`` would.

    Raises:
        RefusedError: something else than a file is there.
    """
    target = spelled_out(output or Path())
    target = target / f"{name}.zip" if target.is_dir() else target
    if target.is_symlink() or (target.exists() and not target.is_file()):
        raise RefusedError(f"{shown(str(target), 200)} is a link, a folder or a device: name another place.")
    return target
