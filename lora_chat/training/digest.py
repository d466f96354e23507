"""Which lessons a training learns. Owns their digest: the same lessons in any order and from any file have the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from lora_chat.training.selection import Lesson


def dataset_digest(lessons: Iterable[Lesson]) -> str:
    """``sha256:…`` of the messages and of which of them are learnt; held-out lessons belong to it too."""
    each = sorted(hashlib.sha256(_written(lesson)).digest() for lesson in lessons)
    return "sha256:" + hashlib.sha256(b"".join(each)).hexdigest()


def _written(lesson: Lesson) -> bytes:
    turns = [[turn.role.value, turn.content] for turn in lesson.messages]
    return json.dumps([turns, list(lesson.learn)]).encode()
