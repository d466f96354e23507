"""Base models on this machine. Owns ``models/<name>/base.json`` and what it says; never fetches, converts or loads one.

A folder under ``models/`` is a base model when it carries a ``base.json``; the weights lie beside it, or in the folder
of the person's own that it points to. Problems are values: a broken folder is listed with its reason.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lora_chat.adapters.signature import BaseSignature
from lora_chat.errors import LoraChatError, NotFoundError, RefusedError, did_you_mean
from lora_chat.hub import is_hub_id
from lora_chat.models.catalog import is_name
from lora_chat.models.prompt import read_chat_template
from lora_chat.text import clean_line

SCHEMA = 1
RECORD = "base.json"
_TOKENIZER_FILES = ("tokenizer.model", "vocab.json", "merges.txt", "vocab.txt")
UNNAMED_WINDOW = 2048
"""The context window, in tokens, of a base whose configuration names none."""
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Described:
    """What a base model's code and configuration say about it, read without its weights."""

    architecture: str
    modules: Mapping[str, tuple[int, int]]
    """Each linear module's full name to (out, in), the output head left out."""
    parameters: int
    """Tied ones counted once."""
    context_window: int
    """In tokens; 0 when the configuration names none."""


@dataclass(frozen=True)
class InstalledBase:
    """A base model that can be loaded without any network."""

    name: str
    folder: Path
    """What transformers loads; outside ``models/`` when a folder of the person's own is used in place."""
    source: str
    """``pypi``, ``hub``, ``folder``, ``gguf``, or ``plugin:`` and its source's name."""
    bytes: int
    parameters: int
    context_window: int
    """In tokens; 0 when the configuration names none."""
    signature: BaseSignature

    @property
    def window(self) -> int:
        """Tokens that a conversation and its answer may take together."""
        return self.context_window or UNNAMED_WINDOW

    def is_any_of(self, names: Iterable[str]) -> bool:
        """Whether one of ``names``, as a server or an adapter says them, is this base."""
        return any(name.casefold() == self.name.casefold() or self.signature.is_called(name) for name in names)

    @property
    def is_wide(self) -> bool:
        """Whether its weights are kept in four bytes, so that what loads them in float32 maps them as they lie."""
        return self.bytes > 3 * self.parameters


@dataclass(frozen=True)
class Problem:
    """A folder under ``models/``, or what was found elsewhere, that is not a usable base model, and why."""

    path: Path
    reason: str
    foreign: bool = False
    """Whether it is another program's or the person's own, and so not ours to remove."""


def find_base(models: Path, name: str, *, declared: bool = False) -> InstalledBase:
    """Read the base model called ``name``: its folder's name, its hub id, or its last part.

    ``declared`` is for what an adapter says that it was made on: there the last part decides, whoever's it is.

    Raises:
        NotFoundError: not on this machine, or its own folder is gone.
        RefusedError: it is there and cannot be used.
    """
    if is_name(name) and (models / name).is_dir():
        return _read(models / name)
    bases, _ = list_bases(models)
    for base in bases:
        if base.signature.is_called(name) if declared else base.signature.is_named(name):
            return base
    shown = clean_line(name, 120)
    hint = did_you_mean(name, [base.name for base in bases])
    raise NotFoundError(
        f"The base model {shown} is not on this machine{f'{hint} Else' if hint else ':'} "
        f"run `lora-chat model pull {shown}`."
    )


def list_bases(models: Path) -> tuple[tuple[InstalledBase, ...], tuple[Problem, ...]]:
    """Every base model by name, and every folder that should be one and is not."""
    bases: list[InstalledBase] = []
    problems: list[Problem] = []
    for folder in _folders(models):
        try:
            bases.append(_read(folder))
        except LoraChatError as error:
            problems.append(Problem(folder, str(error)))
    return tuple(bases), tuple(problems)


def base_names(models: Path) -> list[str]:
    """The names under which something is kept as a base, in order; none of it is read."""
    return [folder.name for folder in _folders(models) if (folder / RECORD).is_file()]


def remove_base(models: Path, name: str) -> Path:
    """Delete ``models/<name>``, whatever is in it; a folder it points to stays. Return what was deleted.

    Raises:
        NotFoundError: there is none of this name.
        RefusedError: it cannot be deleted.
    """
    folder = models / name
    if not is_name(name) or not (folder.is_dir() or folder.is_symlink()):
        folder = models / find_base(models, name).name
    try:
        # One rename first: a removal that is killed half-way must not leave half a model that looks whole. A link is
        # renamed and deleted as a link.
        doomed = Path(tempfile.mkdtemp(prefix=".incoming-", dir=models))
        os.replace(folder, doomed / "removed")
        shutil.rmtree(doomed)
    except OSError as error:
        raise RefusedError(f"Cannot remove {folder} ({error.strerror}): correct its permissions.") from error
    return folder


def check_loadable(folder: Path) -> None:
    """Refuse a folder that transformers would not load as a plain base model.

    Raises:
        RefusedError: no configuration, no whole safetensors weights, no tokenizer, or an adapter planted beside them.
    """
    if (folder / "adapter_config.json").exists():
        # transformers would quietly load the adapter (and the base it names) instead of this model.
        raise RefusedError(f"{folder} holds an adapter_config.json, so it is no plain base model: move that file away.")
    if not (folder / "config.json").is_file():
        raise RefusedError(f"{folder} is not a model that transformers loads: it has no config.json.")
    if not any((folder / file).is_file() for file in ("tokenizer.json", *_TOKENIZER_FILES)):
        raise RefusedError(f"{folder} has no tokenizer: add its tokenizer.json.")
    weight_files(folder)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of the model in ``folder``, in order.

    Raises:
        RefusedError: none, one of several is missing, or one is cut short.
    """
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file():
        names = {"model.safetensors"}
    elif index.is_file():
        names = _shards(index)
    else:
        raise RefusedError(f"{folder} has no model.safetensors: only safetensors weights are loaded, never pickles.")
    files = [folder / name for name in sorted(names)]
    for file in files:
        _check_whole(file)
    return files


def weights_key(base: InstalledBase) -> str:
    """What things made of a base's weights are kept for: their hash, and that nobody wrote to the files since.

    A folder of the person's own is used where it lies, and may be trained on further.

    Raises:
        RefusedError: as ``weight_files``.
    """
    files = [file.stat() for file in weight_files(base.folder)]
    stamps = repr([(each.st_size, each.st_mtime_ns) for each in files])
    return f"{base.signature.weights} {hashlib.sha256(stamps.encode()).hexdigest()[:16]}"


def sign(folder: Path, described: Described, lineage: str, aliases: tuple[str, ...]) -> BaseSignature:
    """Hash what lies in ``folder`` into a signature; reads every weight once."""
    return BaseSignature(
        lineage=lineage,
        architecture=described.architecture,
        modules=described.modules,
        fingerprint=_fingerprint(folder, described.modules),
        weights=_hash_files(weight_files(folder)),
        chat_template=_hash_bytes((read_chat_template(folder) or "fallback").encode("utf-8", "surrogatepass")),
        aliases=aliases,
    )


def write_record(folder: Path, base: InstalledBase, *, in_place: bool) -> None:
    """Write ``base.json`` into ``folder``; only weights used in place are named by their path, so a folder can move."""
    record = asdict(replace(base, signature=replace(base.signature, modules=dict(base.signature.modules), place="")))
    record["folder"] = str(base.folder) if in_place else None
    record = {"schema": SCHEMA, **record}
    (folder / RECORD).write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _folders(models: Path) -> list[Path]:
    if not models.is_dir():
        return []
    return sorted(path for path in models.iterdir() if not path.name.startswith(".") and path.is_dir())


def _read(folder: Path) -> InstalledBase:
    again = f"run `lora-chat model remove {folder.name}`, then `lora-chat model pull {folder.name}`."
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if record["schema"] > SCHEMA:
            raise RefusedError(f"{folder / RECORD} was written by a newer lora-chat: update this one.")
        base = _parse(folder, record)
    except FileNotFoundError as error:
        raise RefusedError(f"{folder} has no {RECORD}, so it is no base model: {again}") from error
    except OSError as error:
        raise RefusedError(f"Cannot read {folder / RECORD} ({error.strerror}): correct its permissions.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RefusedError(f"{folder / RECORD} is damaged ({clean_line(repr(error), 120)}): {again}") from error
    if not base.folder.is_dir():
        page = base.signature.lineage if is_hub_id(base.signature.lineage) else "NAME"
        raise NotFoundError(
            f"The base model {base.name} lies in {base.folder}, which is gone: put it back, or run "
            f"`lora-chat model remove {base.name}`, then `lora-chat model pull {page}`."
        )
    check_loadable(base.folder)
    return base


def _parse(folder: Path, record: Mapping[str, Any]) -> InstalledBase:
    signature = record["signature"]
    place = Path(record["folder"]) if record["folder"] else folder
    texts = {key: str(signature[key]) for key in ("lineage", "architecture", "fingerprint", "weights", "chat_template")}
    texts["place"] = str(place)
    modules = {str(name): (int(out), int(wide)) for name, (out, wide) in signature["modules"].items()}
    return InstalledBase(
        name=folder.name,
        folder=place,
        source=str(record["source"]),
        bytes=int(record["bytes"]),
        parameters=int(record["parameters"]),
        context_window=int(record["context_window"]),
        signature=BaseSignature(modules=modules, aliases=tuple(map(str, signature["aliases"])), **texts),
    )


def _shards(index: Path) -> set[str]:
    try:
        names = set(_json(index)["weight_map"].values())
    except (KeyError, AttributeError, TypeError) as error:
        raise RefusedError(f"{index} is damaged: it has no weight_map.") from error
    if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise RefusedError(f"{index} names weight files outside its folder: it is refused.")
    return names


def _check_whole(file: Path) -> None:
    """A safetensors file says in its header how long it must be; reading that costs no weight."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        reason = "is missing" if not file.exists() else f"is damaged or cut short ({clean_line(str(error), 120)})"
        raise RefusedError(f"The weight file {file} {reason}: fetch the model again.") from error


def _fingerprint(folder: Path, modules: Mapping[str, tuple[int, int]]) -> str:
    digest = hashlib.sha256(json.dumps(sorted((name, *shape) for name, shape in modules.items())).encode())
    whole = folder / "tokenizer.json"
    files = [whole] if whole.is_file() else [folder / name for name in _TOKENIZER_FILES if (folder / name).is_file()]
    for file in files:
        digest.update(file.read_bytes())
    return f"sha256:{digest.hexdigest()}"


def _hash_files(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def _hash_bytes(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"{path} is not valid JSON: correct it or fetch the model again.") from error
    return found if isinstance(found, dict) else {}
