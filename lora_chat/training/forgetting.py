"""A conversation that nothing is ever to be learnt from. Owns what of it is deleted, and the words for what is not."""

from __future__ import annotations

import json
import re
from pathlib import Path

from lora_chat.errors import LoraChatError, StoreError
from lora_chat.paths import Paths
from lora_chat.training.proof.line import forget_conversation
from lora_chat.training.shelf import discard, list_jobs
from lora_chat.training.state import claimed, is_claimed

KEPT = "presets made from it and copies that were saved or shared are not touched"

_LEARNT_FROM = ("train.jsonl", "heldout.jsonl")


def forget_everywhere(id: str, paths: Paths) -> str:
    """Delete what adapters and trainings keep of that conversation; say, as the end of a sentence, what is not touched.

    A job that holds it is deleted as a whole, as what it learnt so far holds it too; one that runs stays as it is.

    Raises:
        StoreError: something could not be deleted; all else was.
    """
    told, failed = [KEPT], list[LoraChatError]()
    jobs = {job.folder: job for job in list_jobs(paths.training)}
    for folder in sorted(paths.training.iterdir()) if paths.training.is_dir() else ():
        job = jobs.get(folder)
        name = job.name if job else folder.name
        try:
            if folder.name.startswith(".") or not _holds(folder, id):
                continue
            if is_claimed(folder):
                told.append(f"the training of {name} runs and still learns it: cancel it, or say this again at its end")
                continue
            with claimed(folder):
                discard(folder)
            if folder.exists():
                raise StoreError(f"The training {folder} cannot be deleted: make its folder writable.")
            told += [f"the training of {name}, which was to learn it, is deleted"] if job and job.is_unfinished else []
        except LoraChatError as error:
            failed.append(error)
    forget_conversation(id, paths)
    if failed:
        raise failed[0]
    return "; ".join(told)


def _holds(job: Path, id: str) -> bool:
    """Whether something of the conversation is in its files, damaged ones too."""
    source = re.compile(rf'"source"\s*:\s*{re.escape(json.dumps(id))}')
    return any(source.search(_text(job / name)) for name in _LEARNT_FROM)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror}): make it readable, or delete it.") from error
