"""Finds what the program says to people in the code below its faces. Owns that search; never what is said in return.

A sentence is a text of several words, in any place of the code but those that ``UNSAID`` and ``NOBODY`` name: a new one
is then found wherever it is written, and whoever writes it need not think of this. A single word is found where it
stands among facts, in a hole of a sentence, or where one of two is taken.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lora_chat.language.catalogue import HOLE

CODE = Path(__file__).parents[2] / "lora_chat"

LAYERS = {
    "sitting": ("sitting",),
    "adapters": ("adapters",),
    "chat": ("chat",),
    "models": ("models",),
    "training": ("training",),
    "engine": ("engine", "decoder", "session.py", "memory.py", "services.py"),
    "settings": ("config.py", "files.py", "paths.py", "defects.py", "errors.py", "hub"),
    "plugins": ("plugins",),
    "cli": ("cli", "serve/guard.py"),
}
"""By the file of the catalogue that holds what is said there."""

RAISED = frozenset({"cli"})
"""Layers of whose texts only the refusals and the questions are here: their tables and their help are English."""

UNSAID = {
    "training/__main__.py": "the command line of a job, which is English as the help of all of them",
    "training/carried.py": "a file that goes with a job; what it refuses is in jobs.toml",
    "sitting/commands.py": "the table of commands has a file of its own",
    "adapters/outgoing/card.py": "a model card, which is for everybody",
    "training/report/markdown.py": "a file, as the model card",
    "training/report/picture.py": "a file, as the model card",
    "training/report/svg.py": "SVG",
    "training/choosing/private": "patterns, and what each takes, which the command line lists in English",
    "cli/line.py": "the line chat, whose words are with those of the window",
    "decoder/quality.py": "text that a base is measured with",
    "training/general.py": "questions that are put to the model",
    "training/proof/rewording.py": "questions that are put to the model",
    "training/proof/near_miss.py": "questions that are put to the model",
    "training/proof/indirect.py": "words of the questions that are put to the model",
    "training/variant.py": "words of the questions that are put to the model",
}
"""Files and folders of text that nobody is shown, and why."""

_COMMAND, _FORMAT, _NAME = "a command, which stays as it is", "a format", "a name, which stays as it is"
_OTHERS, _DEFECT = "what another program says", "a defect"
NOBODY = {
    "lora-chat model pull {} --anyway": _COMMAND,
    "/model pull {}": _COMMAND,
    "/compare base @NAME": _COMMAND,
    "/adapter use {}{}": _COMMAND,
    "/report {} {}": _COMMAND,
    "/adapter history": _COMMAND,
    "/plugin enable": _COMMAND,
    "/adapter pack": _COMMAND,
    "/adapter verify": _COMMAND,
    "code": _COMMAND,
    "chat": _COMMAND,
    "all": _COMMAND,
    "gguf": _FORMAT,
    "It {}.": "said whole among the words of every layer",
    "not {}": "said whole in choosing/reasons.py",
    "{} Else": "said whole among the words of every layer",
    "md": _FORMAT,
    "jsonl": _FORMAT,
    "sharegpt": _FORMAT,
    "{} --hash=sha256:{}\n": _FORMAT,
    "layers={} {} {}": _FORMAT,
    "{} {} groups={} torch={} threads={}": _FORMAT,
    "layers={} torch.float32 cpu, fast path": _FORMAT,
    "fast path": _FORMAT,
    "general path, {}": _FORMAT,
    "blob {}\x00": _FORMAT,
    "Bearer {}": _FORMAT,
    "<!-- never trained on -->": _FORMAT,
    "id = id": "SQL",
    "messages_fts CROSS JOIN messages ON messages.id = messages_fts.rowid": "SQL",
    "messages_fts MATCH :match": "SQL",
    "messages.content LIKE :word{} ESCAPE '\\'": "SQL",
    "LM Studio": _NAME,
    "Llama 3.2 Community": _NAME,
    "Llama 3": _NAME,
    "A mixture: {}": "what an adapter says of itself",
    "fence": "a kind of token of Markdown",
    "added": "a symbol's name",
    "mixed": "a symbol's name",
    "The quick brown fox jumps over the lazy dog.": "text that an adapter is measured with",
    "conversations": "a key",
    "steps": "a key",
    "step": "a count's noun, whose sentences are among the words of every layer",
    "hold": "an ending, for which the sentence around it stands",
    "holds": "an ending",
    "s hold": "an ending",
    "Retrying (": _OTHERS,
    "Max retries": _OTHERS,
    "os error 28": _OTHERS,
    "os error 112": _OTHERS,
    "not enough space": _OTHERS,
    "Invalid credentials in Authorization header": _OTHERS,
    "answer or version": "names of keys",
    "dangling reference: {}": _DEFECT,
    "nothing can be written inside one view": _DEFECT,
    "not a field that can be set: {}": _DEFECT,
    "the search index did not match the messages and was rebuilt": "what the log says",
}
"""Texts that nobody is shown, and why."""

FACTS = frozenset(
    f"sitting/{name}.py"
    for name in (
        *("arrival", "base_shelf", "base_words", "carrying", "completion", "copying", "departure", "history"),
        *("opening", "presets", "sampling", "shelf", "standing", "verbs"),
    )
) | {"adapters/incoming/preview.py"}
"""Files whose pairs are facts with their labels."""

_CALLS = frozenset({"compile", "execute", "executemany", "search", "match", "fullmatch", "sub", "startswith"})
_CALLS |= {"removesuffix", "removeprefix", "Rule", "AssertionError"}
"""What takes patterns, SQL, other programs' words or a defect's."""

_SQL = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|PRAGMA|CREATE|ALTER|BEGIN|COMMIT|ROLLBACK|WITH RECURSIVE)\b")
_CODE = re.compile(r"\(\?|\\[swdbn]|\[[^\]]*-[^\]]*\]\{|\{%|</?\w+>")
_WORD = re.compile(r"[A-Za-z][a-z]+")
_ROW = frozenset({"and", "or"})
"""Between holes they make a row of phrases, which the catalogue says by itself."""


@dataclass(frozen=True)
class Sentence:
    """What is said somewhere."""

    place: str
    """File and line, below the package."""

    english: str
    """With a hole for all that changes."""


def said(layer: str) -> Iterator[Sentence]:
    """What a layer says."""
    for path in _files(layer):
        name = path.relative_to(CODE).as_posix()
        yield from _said_in(path.read_text(encoding="utf-8"), name, raised=layer in RAISED)


def texts() -> frozenset[str]:
    """Every text of the code, whoever sees it."""
    return frozenset(text.strip(" ") for path in CODE.rglob("*.py") for text in _texts(path))


@cache
def _texts(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(text for node in ast.walk(tree) if (text := template(node)) is not None)


def _files(layer: str) -> Iterator[Path]:
    for each in LAYERS[layer]:
        for path in sorted((CODE / each).rglob("*.py")) if not each.endswith(".py") else [CODE / each]:
            name = path.relative_to(CODE).as_posix()
            if not any(name == file or name.startswith(f"{file}/") for file in UNSAID):
                yield path


def template(node: ast.AST) -> str | None:
    """The text that ``node`` makes, with its holes; None where it makes none."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in values)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            first, second = template(left), template(right)
            return None if first is None and second is None else f"{_or_hole(first)}{_or_hole(second)}"
    return None


def _or_hole(text: str | None) -> str:
    return HOLE if text is None else text


def _said_in(source: str, name: str, *, raised: bool) -> Iterator[Sentence]:
    tree = ast.parse(source)
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
    begins = [node for node in ast.walk(tree) if _is_put_to_a_person(node)] if raised else [tree]
    for node, around in (each for begun in begins for each in _walk(begun, None)):
        english = template(node)
        if english is None or id(node) in told:
            continue
        english = english.strip(" ")
        alone = isinstance(around, ast.FormattedValue) or (isinstance(around, ast.Tuple) and name in FACTS)
        if english not in NOBODY and (_is_sentence(english) or (alone and _WORD.fullmatch(english))):
            yield Sentence(f"{name}:{node.lineno}", english)  # type: ignore[attr-defined]


def _is_put_to_a_person(node: ast.AST) -> bool:
    """A refusal, but not one of the API, which programs read; or a question."""
    match node:
        case ast.Raise(exc=ast.Call(func=ast.Name(id="ApiError"))):
            return False
        case ast.Raise() | ast.Call(func=ast.Name(id="confirm")):
            return True
    return False


def _is_sentence(text: str) -> bool:
    bare = text.replace(HOLE, "")
    if bare.strip() in _ROW or not _WORD.search(bare) or _SQL.match(text) or _CODE.search(text):
        return False
    return " " in bare


def _walk(node: ast.AST, around: ast.AST | None) -> Iterator[tuple[ast.AST, ast.AST | None]]:
    """Every text that is none's part, and what is in the holes of each, with what it stands in."""
    if template(node) is not None:
        yield node, around
        for hole in _holes(node):
            yield from _walk(hole, ast.FormattedValue(hole, -1))
        return
    called = isinstance(node, ast.Call) and (getattr(node.func, "attr", "") or getattr(node.func, "id", "")) in _CALLS
    for child in ast.iter_child_nodes(node):
        if isinstance(node, ast.Compare | ast.Subscript | ast.match_case) and template(child) is not None:
            continue
        if called and child in getattr(node, "args", ()) and template(child) is not None:
            continue
        row = isinstance(node, ast.Tuple) and len(node.elts) == 2
        yield from _walk(child, node if row else around if isinstance(node, ast.IfExp | ast.BoolOp) else None)


def _holes(node: ast.AST) -> Iterator[ast.expr]:
    match node:
        case ast.JoinedStr(values=values):
            yield from (part.value for part in values if isinstance(part, ast.FormattedValue))
        case ast.BinOp(left=left, right=right):
            for side in (left, right):
                yield from _holes(side) if template(side) is not None else [side]
