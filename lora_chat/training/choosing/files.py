"""Examples from a file, taken as given. Owns which rows become lessons and the words for those that cannot; never
parses a file and never learns less than all of it.

What a person put into a file they chose: a shop's own address belongs into its answers. So private data in it is
counted and said, and masked only where that is asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from lora_chat.chat.conversation import Role
from lora_chat.chat.transcript import NEVER_TRAIN
from lora_chat.errors import RefusedError
from lora_chat.training.choosing.forms import BadRowError, turns_of
from lora_chat.training.choosing.history import NEVER
from lora_chat.training.choosing.redact import RULES, redact
from lora_chat.training.choosing.rows import LONGEST_LINE, UNCHANGED, Row, read_rows
from lora_chat.training.lesson import Lesson, Selection

_ALL = frozenset(rule.name for rule in RULES)


def select_from_file(path: Path, *, mask: bool = False, keep: Collection[str] = ()) -> Selection:
    """Read lessons from a file of JSON lines, JSON, CSV, TSV or Parquet, in any form that ``forms`` knows.

    Every row is checked before anything is returned. Only with ``mask`` is private data replaced; what the rules named
    in ``keep`` find stays even then.

    Raises:
        NotFoundError: there is no such file.
        RefusedError: a row cannot be used, by number; or there is none.
    """
    left_on = frozenset(keep) if mask else _ALL
    dropped: Counter[str] = Counter()
    lessons = []
    for row in read_rows(path):
        lesson = _lesson(row)
        if row.value.get(NEVER_TRAIN) is True:
            dropped[NEVER] += len(lesson.learn)
        else:
            lessons.append(_masked(lesson, left_on))
    if not lessons:
        kept_out = f" but {dropped[NEVER]} {NEVER}" if dropped else ""
        raise RefusedError(f"{path} holds no examples{kept_out}: give one example a row.")
    return Selection(tuple(lessons), dict(dropped))


def _lesson(row: Row) -> Lesson:
    try:
        if not isinstance(row.value, dict):
            raise BadRowError("has none of the known forms: it is not an object")
        turns = turns_of(row.value)
        if sum(len(turn.content) for turn in turns) > LONGEST_LINE:
            raise BadRowError(f"is longer than {LONGEST_LINE:,} characters")
        learn = tuple(i for i, turn in enumerate(turns) if turn.role is Role.ASSISTANT and turn.content)
        if not learn or not any(turn.role is Role.USER for turn in turns[: learn[0]]):
            raise BadRowError("has no answer to a question")
    except BadRowError as problem:
        what = f"{row.where} {problem}"
        raise RefusedError(f"{what}: correct it; {UNCHANGED}.") from problem
    return Lesson(tuple(turns[: learn[-1] + 1]), learn, row.source, ("example",) * len(learn))


def _masked(lesson: Lesson, keep: Collection[str]) -> Lesson:
    masked = [redact(turn.content, keep) for turn in lesson.messages]
    said = tuple(replace(turn, content=each.text) for turn, each in zip(lesson.messages, masked, strict=True))
    return replace(lesson, messages=said, hits=tuple(each.hits for each in masked))
