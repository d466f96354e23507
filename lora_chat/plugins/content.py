"""The files of a plugin. Owns their hash and count, and what its source says it hooks into; never runs any of it."""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lora_chat.adapters.reading import read_bytes, refusal, shown
from lora_chat.errors import RefusedError

MOST_FILES = 1_000
MOST_BYTES = 20_000_000
DEEPEST = 16
HOOKS = ("importers", "exporters", "engines", "commands", "example_filters", "model_sources")
"""In the order they are shown; a hook's function is called ``lora_chat_`` and this."""
_MOST_NAMES = 20
_NOT_CONTENT = {"__pycache__"}  # never read by a plugin's process, see ``loading``


@dataclass(frozen=True)
class Content:
    """All that a plugin is made of."""

    sha256: str
    """Of the names and bytes of all of its files, in hex."""
    files: int
    lines: int
    """Of its Python files."""
    bytes: int
    hooks: tuple[str, ...]
    """What its source says it hooks into; its code alone knows for sure."""
    engines: tuple[str, ...] = ()
    """Names of engines that its source says it adds, as far as they stand there in quotes."""
    fault: str = ""
    """Why its source cannot run, where that can be seen without running it."""


def read_content(root: Path) -> Content:
    """Read every file of the folder ``root``, or the one file that it is.

    Raises:
        RefusedError: a link, a device, too many or too large files, or one that cannot be read.
    """
    digest = hashlib.sha256()
    files = lines = size = 0
    hooks: set[str] = set()
    engines: list[str] = []
    fault = ""
    for name, path in _files(root):
        data = read_bytes(path, MOST_BYTES)
        files, size = files + 1, size + len(data)
        if files > MOST_FILES or size > MOST_BYTES:
            raise refusal(root, f"it has more than {MOST_FILES:,} files or {MOST_BYTES:,} bytes; keep data elsewhere")
        digest.update(f"{name}\0{len(data)}\0".encode("utf-8", "surrogateescape") + data)
        if name.endswith(".py"):
            lines += data.count(b"\n") + (not data.endswith(b"\n") and bool(data))
            try:
                tree = ast.parse(data)
                hooks |= _hooks(tree)
                engines += _engines(tree)
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                fault = fault or f"{shown(name)} is not valid Python ({_told(error)})"
    known = tuple(each for each in HOOKS if each in hooks)
    return Content(digest.hexdigest(), files, lines, size, known, tuple(engines[:_MOST_NAMES]), fault)


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    """Each file with its name below ``root``, in the same order everywhere."""
    if root.is_symlink():
        raise refusal(root, "it is a link; copy the folder itself into its place")
    if root.is_file():
        yield root.name, root
        return
    try:
        yield from _below(root, "", 0)
    except OSError as error:
        raise refusal(root, f"it cannot be read ({error.strerror}); correct its permissions") from error


def _below(folder: Path, prefix: str, depth: int) -> Iterator[tuple[str, Path]]:
    if depth > DEEPEST:
        raise refusal(folder, f"its folders lie more than {DEEPEST} deep; make it flatter")
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda each: each.name):
            path = folder / entry.name
            if entry.is_symlink():
                raise refusal(path, "it is a link; copy the file itself into its place")
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _NOT_CONTENT:
                    yield from _below(path, f"{prefix}{entry.name}/", depth + 1)
            else:
                yield prefix + entry.name, path


def _hooks(tree: ast.Module) -> set[str]:
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    return {hook for hook in HOOKS if f"lora_chat_{hook}" in names}


def _engines(tree: ast.Module) -> list[str]:
    """What the hook ``lora_chat_engines`` gives to ``add`` as a name."""
    hooks = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "lora_chat_engines"]
    calls = [node for hook in hooks for node in ast.walk(hook) if isinstance(node, ast.Call)]
    named = [
        [*call.args[:1], *(each.value for each in call.keywords if each.arg == "name")]
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "add"
    ]
    return [shown(each.value, 32) for found in named for each in found
            if isinstance(each, ast.Constant) and isinstance(each.value, str)]  # fmt: skip


def _told(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return shown(f"line {error.lineno}: {error.msg}", 120)
    return shown(str(error) or type(error).__name__, 120)


def same_content(root: Path, sha256: str) -> bool:
    """Whether the files are those of that hash, now."""
    try:
        return read_content(root).sha256 == sha256
    except RefusedError:
        return False
