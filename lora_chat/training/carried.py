"""A job that is trained elsewhere. Owns the folder that travels and what came back in it; never trains or installs.

It is a job (``job``) whose ``job.toml`` also says which base it is for, with the base's answers to general questions
where they are made, and a README. What comes of it stays in it: ``adapter/``, a plain PEFT folder, and ``report.json``.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lora_chat.adapters.reading import read_bytes
from lora_chat.adapters.signature import BaseSignature
from lora_chat.errors import LoraChatError, NotFoundError, RefusedError
from lora_chat.files import staged_folder, write_durably
from lora_chat.models.installed import InstalledBase, find_base, list_bases
from lora_chat.text import clean_line
from lora_chat.training.events import Trained
from lora_chat.training.growth import Start
from lora_chat.training.job import CHECKPOINT_S, HELDOUT, RESULT, START, TRAIN, Job, write_files
from lora_chat.training.job_file import HEADER, Model
from lora_chat.training.pace import PACE
from lora_chat.training.recipe import Recipe
from lora_chat.training.selection import Selection

GENERAL = "general-answers.safetensors"
REPORT = "report.json"
README = "README.md"
_STATES = "general-states.safetensors"
_REPORT_LIMIT = 1 << 24
_PROGRAMS = ("lora-chat", "torch", "transformers", "peft")


@dataclass(frozen=True)
class Part:
    """One file of a job that was written out."""

    name: str
    bytes: int
    what: str


def write_out(
    folder: Path,
    name: str,
    base: InstalledBase,
    source: str,
    selection: Selection,
    recipe: Recipe,
    checkpoint_s: float = CHECKPOINT_S,
    start: Start | None = None,
    checks_of: tuple[str, str] = ("", ""),
    general: Path | None = None,
) -> tuple[Part, ...]:
    """Write a job into ``folder``, which appears whole and is readable by its owner alone; what is in it.

    ``general`` is where the base's answers to general questions are kept, if they are made: they come along.

    Raises:
        RefusedError: there is something already, or it cannot be written.
    """
    if os.path.lexists(folder):
        raise RefusedError(f"{folder} is there already: name a folder that is not.")
    model = vars(Model.of(base.signature))
    versions = {each: version(each) for each in _PROGRAMS}
    try:
        with staged_folder(folder) as stage:
            what = (name, base.name, source, selection, recipe, checkpoint_s, start, checks_of)
            write_files(stage, *what, model=model, versions=versions)
            if general is not None and general.is_file():
                write_durably(stage / GENERAL, general.read_bytes())
            parts = _parts(stage)
            write_durably(stage / README, _readme(folder.name, name, base, selection, parts).encode())
    except OSError as error:
        raise RefusedError(f"Cannot write {folder} ({error.strerror}): choose another place.") from error
    return _parts(folder)


def find_base_of(job: Job, models: Path) -> InstalledBase:
    """The base of this machine that ``job`` is for: by its fingerprint, then by the weights, then by its name.

    Raises:
        NotFoundError: there is none; another of its name is told apart.
    """
    assert job.model is not None
    wanted = job.model
    fits = [base for base in list_bases(models)[0] if not _unlike(base.signature, wanted)]
    if fits:
        return max(fits, key=lambda base: (base.signature.weights == wanted.weights, base.name == job.base))
    called = clean_line(wanted.lineage, 120)
    try:
        why = _unlike(find_base(models, wanted.lineage, declared=True).signature, wanted)
    except LoraChatError:
        raise NotFoundError(
            f"The base {called} that this job is for is not on this machine: run `lora-chat model pull "
            f"{clean_line(job.base, 80)}`, or say where it lies, --base FOLDER."
        ) from None
    raise RefusedError(f"The base {called} of this machine is not the one that this job was written for: {why}.")


def check_base(job: Job, base: InstalledBase) -> InstalledBase:
    """``base`` under the name that the job knows it by.

    Raises:
        RefusedError: it is another one.
    """
    assert job.model is not None
    if why := _unlike(base.signature, job.model):
        raise RefusedError(
            f"{base.folder} is not the base that this job was written for, {clean_line(job.model.lineage, 120)}: {why}."
        )
    return replace(base, signature=replace(base.signature, lineage=job.model.lineage))


def _unlike(signature: BaseSignature, wanted: Model) -> str:
    """In what it differs so that the job would be another; empty where it fits."""
    if signature.fingerprint != wanted.fingerprint:
        return "its shapes or its tokenizer differ"
    return "its chat template differs" if signature.chat_template != wanted.chat_template else ""


def keep_result(folder: Path, event: Trained) -> None:
    """Write the report of what was trained beside its adapter, and clear away what only the training needed."""
    value = _adapter().dump_python(replace(event, folder=RESULT), mode="json")
    write_durably(folder / REPORT, (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode("utf-8", "replace"))
    for each in folder.glob("checkpoint-*"):
        shutil.rmtree(each, ignore_errors=True)
    for name in (PACE, _STATES):
        with suppress(OSError):
            (folder / name).unlink(missing_ok=True)


def job_with_result(path: Path) -> Path | None:
    """The job that ``path`` is, or whose ``adapter/`` it is, where it was trained to its end; else None."""
    for folder in (path, path.absolute().parent if path.name == RESULT else path):
        with suppress(OSError):
            if (folder / HEADER).is_file() and (folder / REPORT).is_file() and (folder / RESULT).is_dir():
                return folder
    return None


def read_result(folder: Path) -> Trained:
    """What was trained in the job ``folder``, as it was on that machine.

    Raises:
        RefusedError: its report is damaged.
        NotFoundError: there is none.
    """
    from pydantic import ValidationError

    from lora_chat.training.report.record import miscounted

    path = folder / REPORT
    try:
        found = json.loads(read_bytes(path, _REPORT_LIMIT).decode("utf-8"), parse_constant=_no_number)
        trained: Trained = _adapter().validate_python(found)
        if wrong := next(miscounted(trained, ""), ""):
            raise ValueError(wrong)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = clean_line(".".join(map(str, first["loc"])), 80)
        raise RefusedError(f"{path} is damaged ({where}: {first['msg']}): train the job again.") from error
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"{path} is damaged ({clean_line(str(error), 120)}): train the job again.") from error
    return replace(trained, folder=str(folder / RESULT))


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Trained)


_WHAT: dict[str, Callable[[str], bool]] = {
    "which base, the whole recipe, counts and versions": lambda name: name == HEADER,
    "the conversations that are learnt, in your own words": lambda name: name == TRAIN,
    "those that are held out, to measure by": lambda name: name == HELDOUT,
    "what the base answers to general questions, which it is held to": lambda name: name == GENERAL,
    "how to run it": lambda name: name == README,
    "the version that it grows from": lambda name: name.startswith(f"{START}/"),
}


def _parts(folder: Path) -> tuple[Part, ...]:
    files = sorted(each for each in folder.rglob("*") if each.is_file())
    named = [(each.relative_to(folder).as_posix(), each.stat().st_size) for each in files]
    return tuple(
        Part(name, size, next(what for what, is_it in _WHAT.items() if is_it(name)))
        for name, size in sorted(named, key=lambda row: ("/" in row[0], row[0] == README))
    )


def _readme(folder: str, name: str, base: InstalledBase, selection: Selection, parts: tuple[Part, ...]) -> str:
    masked = f", {selection.redacted:,} pieces of private data masked" if selection.redacted else ""
    rows = "".join(f"| `{each.name}` | {each.bytes:,} | {each.what} |\n" for each in parts)
    return f"""# A training job of lora-chat: {name}

It teaches {base.signature.lineage} {selection.examples:,} answers in {len(selection.lessons):,} conversations{masked}.
They are somebody's own words: keep this folder as private as those.

On any machine with lora-chat and that base (`lora-chat model pull {base.name}`, or `--base FOLDER`), in one process or
in several; what was stopped goes on when it is started again:

```sh
python -m lora_chat.training {folder}
torchrun --nproc-per-node 2 -m lora_chat.training {folder}
```

Back where it came from, what was trained is checked, asked what it was taught, and installed:

```sh
lora-chat adapter install {folder}
```

| file | bytes | what |
|---|---|---|
{rows}"""
