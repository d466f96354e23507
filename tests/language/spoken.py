"""Finds what the window and the line chat say to people. Owns that search; never what is said in return.

Found is what is handed to ``tr``, what each key does and each command is for, and every other text of several words:
a new sentence is found wherever it is written, and whoever writes it need not think of this.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from lora_chat.language.catalogue import HOLE
from lora_chat.sitting.commands import COMMANDS

CODE = Path(__file__).parents[2] / "lora_chat"
FACES = (
    *sorted((CODE / "tui").rglob("*.py")),
    CODE / "cli" / "line.py",
    CODE / "cli" / "bases.py",
    CODE / "cli" / "plan.py",
    CODE / "cli" / "result.py",
    CODE / "cli" / "chat.py",
    CODE / "sitting" / "commands.py",
)

_STYLES = {"bold", "strike", "reverse", "wide", "solid", "none", "center", "middle", "left", "right"}
_UNSAID = (
    "tui/theme.py",  # colours
    "tui/terminal.py",  # what a terminal sends
)
_QUESTIONS = ("QUESTION", "WANTED", "REWORDED", "UNRELATED")
"""The tour's, which are put to a model that knows English."""
_NO_SENTENCES = {
    "How do I return an order?",  # as those
    "-m lora_chat model pull",
    "`lora-chat model pull {}`",
    "use {}",
    "{} {}, not {}",  # what flags of the shell change
    "    {}  {}  {}  in {}, message {}",  # the shell's own, as the next
    "    and {} more: --json counts them by rule",
    "not trained",  # what the tour waits for
    "s hold",
    "Cannot use ",  # looked for, as the next
    "does not fit: ",
}


def sentences() -> Iterator[tuple[str, str]]:
    """(place, English with its holes) of each."""
    typed = {text for command in COMMANDS for text in (command.words, command.argument)}
    for path in FACES:
        place = str(path.relative_to(CODE))
        if place not in _UNSAID:
            said = found(ast.parse(path.read_text("utf-8")))
            yield from ((f"{place}:{line}", text) for line, text in said if text not in typed)


def found(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, English with its holes) of what ``tree`` says."""
    said = {id(each) for call in ast.walk(tree) for each in _handed(call)}
    unsaid = {id(each) for node in ast.walk(tree) for each in _passed_over(node)}
    inside = {
        id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values
    }  # fmt: skip
    for node in ast.walk(tree):
        text = None if id(node) in inside or id(node) in unsaid else template(node)
        if text and (id(node) in said or _has_words(text)) and re.search("[A-Za-z]{2}", text.replace(HOLE, "")):
            yield node.lineno, text  # type: ignore[attr-defined]


def template(node: ast.AST) -> str | None:
    """The text that ``node`` makes, with a hole for all that changes; None where it makes none."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in values)
    return None


def _handed(node: ast.AST) -> Iterator[ast.AST]:
    """What ``tr`` is given, either side of a choice too, and what a key does."""
    match node:
        case ast.Call(func=ast.Name(id="tr"), args=[argument]):
            yield from _either(argument)
        case ast.Call(func=ast.Name(id="told"), args=[_, argument]):  # which names keys in what ``tr`` gives
            yield from _either(argument)
        case ast.Call(func=ast.Attribute(attr="told"), args=[argument]):
            yield from _either(argument)
        case ast.Call(func=ast.Name(id="Binding"), args=[_, _, does, *_]):
            yield does


def _either(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.IfExp(body=body, orelse=orelse):
            yield from (*_either(body), *_either(orelse))
        case ast.BoolOp(values=values):
            yield from (each for value in values for each in _either(value))
        case _:
            yield node


def _passed_over(node: ast.AST) -> Iterator[ast.AST]:
    """Documentation, looks, the names of types, and what no person reads."""
    match node:
        case ast.Expr(value=ast.Constant() as text):
            yield text
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if name.endswith("CSS") or name in _QUESTIONS:
            yield from ast.walk(value)
        case ast.Call(func=ast.Name(id="Binding"), args=[keys, action, *_]):
            yield from (keys, action)
        case ast.Raise() | ast.Assert() if "NotImplementedError" in ast.dump(node):
            yield from ast.walk(node)
        case ast.AnnAssign(annotation=annotation) | ast.arg(annotation=annotation) if annotation is not None:
            yield from ast.walk(annotation)


def _has_words(text: str) -> bool:
    """Whether it is more than a name, a style or a selector."""
    plain = text.replace(HOLE, "x")
    if text in _NO_SENTENCES or plain.startswith(("/", "#", ".", "-", "\x1b")) or "$" in plain or "::" in plain:
        return False
    words = plain.split()
    return len(words) > 1 and not _STYLES & set(words) and any(word.isalpha() and len(word) > 2 for word in words)
