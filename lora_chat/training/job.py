"""A training job: a folder of plain files. Owns ``job.toml``, ``train.jsonl`` and ``heldout.jsonl``; never trains.

What else lies there is others': ``state.json`` and the lock (``state``), the checkpoints (``checkpoint``).
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import tomli_w

from lora_chat.adapters.manifest import FIRST, checked_name
from lora_chat.adapters.peft_config import CONFIG_NAME
from lora_chat.adapters.reading import read_bytes
from lora_chat.adapters.weights import WEIGHTS_NAME
from lora_chat.chat.rows import this_writer
from lora_chat.errors import LoraChatError, TrainingError
from lora_chat.files import staged_folder, write_durably
from lora_chat.text import clean_line
from lora_chat.training.digest import dataset_digest
from lora_chat.training.growth import Start
from lora_chat.training.job_file import HEADER, SCHEMA, Model, NewerJob, read_header
from lora_chat.training.lesson_file import lesson_row, read_lesson, to_lines
from lora_chat.training.recipe import Recipe
from lora_chat.training.selection import Lesson, Selection
from lora_chat.training.state import JobState, write_state

RESULT = "adapter"
"""The folder inside the job into which the trained weights are written."""
START = "start"
"""The folder inside the job that holds the weights it starts from, where it makes a next version."""

CHECKPOINT_S = 60.0
"""Seconds of training, at most, between two checkpoints."""

TRAIN, HELDOUT = "train.jsonl", "heldout.jsonl"
_FILES = (HEADER, TRAIN, HELDOUT)
_HEADER_LIMIT, _LESSONS_LIMIT = 1 << 20, 1 << 30
"""Bytes."""
_STARTS_FROM = (CONFIG_NAME, WEIGHTS_NAME)


@dataclass(frozen=True)
class Job:
    """What a job folder says."""

    name: str
    """Of the adapter to be made."""
    base: str
    source: str
    """``history`` or the file's name."""
    recipe: Recipe
    train: tuple[Lesson, ...]
    heldout: tuple[Lesson, ...]
    dropped: dict[str, int]
    redacted: int
    private: dict[str, int]
    """Pieces of private data that were masked, counted by rule."""
    kept: dict[str, int]
    """Those that were not."""
    checkpoint_s: float = CHECKPOINT_S
    version: str = FIRST
    """Of the adapter."""
    after: str = ""
    """The version that it grows from; empty where it is the first."""
    replayed: int = 0
    """Lessons that an earlier version learnt already."""
    start: Path | None = None
    """The folder of the weights it starts from; None where it starts from nothing."""
    checks_of: tuple[str, str] = ("", "")
    """An adapter and its version whose checks hold for this one too, as it learns the same on another base; or none."""
    model: Model | None = None
    """What its base is, where it was written out to be trained elsewhere; else the base is this machine's own."""


def create_job(
    training: Path,
    name: str,
    base: str,
    source: str,
    selection: Selection,
    recipe: Recipe,
    checkpoint_s: float = CHECKPOINT_S,
    start: Start | None = None,
    checks_of: tuple[str, str] = ("", ""),
) -> Path:
    """Write a job folder under ``training`` and return it; it appears whole. With ``start`` it makes a next version.

    ``checks_of`` is the adapter and its version whose lessons these are, where the job teaches another base.
    """
    checked_name(name)
    folder = training / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"
    while folder.exists():
        folder = folder.with_name(folder.name + "x")
    with staged_folder(folder) as stage:
        write_files(stage, name, base, source, selection, recipe, checkpoint_s, start, checks_of)
        write_state(stage, JobState("waiting", digest(stage), time.time(), this_writer()))
    return folder


def write_files(
    folder: Path,
    name: str,
    base: str,
    source: str,
    selection: Selection,
    recipe: Recipe,
    checkpoint_s: float,
    start: Start | None,
    checks_of: tuple[str, str],
    **more: Mapping[str, str],
) -> None:
    """Write what a job is made of into ``folder``; ``more`` are further tables of its ``job.toml``."""
    train, heldout = split(selection.lessons, recipe.heldout, recipe.seed, start.replayed if start else 0)
    header = {
        "schema": SCHEMA,
        "name": name,
        "base": base,
        "source": source,
        "redacted": selection.redacted,
        "checkpoint_s": checkpoint_s,
        "version": start.version if start else FIRST,
        "after": start.after if start else "",
        "replayed": start.replayed if start else 0,
        "dataset_sha256": dataset_digest(selection.lessons),
        "checks_of": list(checks_of),
        "dropped": selection.dropped,
        "private": selection.private,
        "kept": selection.kept,
        "recipe": asdict(recipe),
        **more,
    }
    write_durably(folder / HEADER, tomli_w.dumps(header).encode())
    write_durably(folder / TRAIN, _lines(train))
    write_durably(folder / HELDOUT, _lines(heldout))
    if start is not None:
        for each in _STARTS_FROM:
            write_durably(folder / START / each, (start.folder / each).read_bytes())


def read_job(folder: Path) -> Job:
    """Read a job folder.

    Raises:
        TrainingError: it is not one, naming what is wrong.
    """
    try:
        header = read_header(read_bytes(folder / HEADER, _HEADER_LIMIT).decode("utf-8"))
        return Job(
            name=header["name"],
            base=header["base"],
            source=header["source"],
            recipe=Recipe(**header["recipe"]),
            train=_read_lines(folder / TRAIN),
            heldout=_read_lines(folder / HELDOUT),
            dropped=header["dropped"],
            redacted=header["redacted"],
            private=header.get("private", {}),
            kept=header.get("kept", {}),
            checkpoint_s=float(header.get("checkpoint_s", CHECKPOINT_S)),
            version=header.get("version", FIRST),
            after=header.get("after", ""),
            replayed=header.get("replayed", 0),
            start=folder / START if (folder / START).is_dir() else None,
            checks_of=tuple(header.get("checks_of", ("", ""))),
            model=Model(**header["model"]) if "model" in header else None,
        )
    except NewerJob as error:
        raise TrainingError(f"{folder} was written by a newer lora-chat ({error}): update this one.") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError, LoraChatError) as error:
        raise _not_whole(folder, error) from error


def digest(folder: Path) -> str:
    """Of what the job in ``folder`` learns and how, in hexadecimal.

    Raises:
        TrainingError: it is not a whole job.
    """
    try:
        started = [f"{START}/{name}" for name in _STARTS_FROM if (folder / START).is_dir()]
        files = [(folder / name).read_bytes() for name in (*_FILES, *started)]
    except OSError as error:
        raise _not_whole(folder, error) from error
    return hashlib.sha256(b"".join(hashlib.sha256(each).digest() for each in files)).hexdigest()


def _not_whole(folder: Path, error: Exception) -> TrainingError:
    why = clean_line(str(error).rstrip("."), 300)
    return TrainingError(f"{folder} is not a whole training job ({why}): start the training again.")


def split(
    lessons: Sequence[Lesson], heldout: int, seed: int, replayed: int = 0
) -> tuple[tuple[Lesson, ...], tuple[Lesson, ...]]:
    """Hold out ``heldout`` whole conversations, chosen by ``seed``; the rest keeps its order.

    Of a next version only what is ``replayed``, the first so many, where that is enough: what is new is to be learnt.
    """
    chosen = set(random.Random(seed).sample(range(replayed if replayed >= heldout else len(lessons)), heldout))
    train = tuple(lesson for index, lesson in enumerate(lessons) if index not in chosen)
    return train, tuple(lessons[index] for index in sorted(chosen))


def _lines(lessons: Sequence[Lesson]) -> bytes:
    return to_lines(map(lesson_row, lessons))


def _read_lines(path: Path) -> tuple[Lesson, ...]:
    """Raises ValueError: a line is no lesson, naming it."""
    lessons = []
    for number, line in enumerate(read_bytes(path, _LESSONS_LIMIT).decode("utf-8").split("\n"), 1):
        try:
            lessons += [read_lesson(json.loads(line))] if line else []
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
            why = f"it has no {error}" if isinstance(error, KeyError) else error
            raise ValueError(f"{path.name}, line {number:,} is no lesson: {why}") from error
    return tuple(lessons)
