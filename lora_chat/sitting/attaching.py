"""The files that a message names with ``@``. Owns what such a name means, and how a file is read; never sends.

``@notes.md`` at the beginning of a word is the file of that name, from the folder where the program was started. A word
that is no file's name stays a word, as ``@someone`` and ``@dataclass``; only one that can be nothing else than a path
is refused where there is no such file. Inside of backticks everything is text.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from lora_chat.chat.attached import File, joined
from lora_chat.chat.conversation import Role, Turn
from lora_chat.errors import LoraChatError, NotFoundError, RefusedError, did_you_mean
from lora_chat.text import clean, clean_line

if TYPE_CHECKING:
    from lora_chat.engine.protocol import Engine

MOST_BYTES = 1_000_000
"""Of all files of a message together: more than the largest window of a base that runs here."""

BEGINS = r"(?<![^\s(\[{\u3000-\u303f\u3400-\u9fff\uff00-\uff65“‘])@"
"""An ``@`` at the beginning of a word; Chinese has no spaces between them."""

_MENTION = re.compile(BEGINS + r'(?:"([^"\n]+)"|([^\s"]+))')
_CODE = re.compile(r"(`{3,}).*?(?:\1|\Z)|`[^`\n]*`", re.DOTALL)
_WIDE = "，。；：！？、）】》」』”’"
_BEHIND = ".,;:!?)]}>'" + _WIDE
"""What may stand behind a name in a sentence."""

_TEXTS = re.compile(
    r"\.(bash|c|cc|cfg|conf|cpp|cs|css|csv|diff|docx?|go|hp?p?|html|ini|ipynb|java|js|jsonl?|kt|log|lua|md|odt|patch|pdf"
    r"|php|pl|ps1|py|r|rb|rst?|rtf|sh|sql|srt|svg|swift|tex|toml|tsx?|tsv|txt|vue|xml|ya?ml|zig)\Z",
    re.IGNORECASE,
)
"""Endings by which a word is a file's name; it is then said where there is none."""

_LONGEST_NAME = 1_000
"""Characters; what is longer is no name."""

_LISTED = 2_000
"""Names of a folder that are compared with one that is not there."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""The marks that say how a text is written; the longer ones first."""


@dataclass(frozen=True)
class Look:
    """What one name is."""

    mention: str
    file: File | None = None
    """None where it cannot be attached."""
    problem: LoraChatError | None = None


def takes_files(line: str) -> bool:
    """Whether an ``@`` in ``line`` can mean a file: in a message, and in ``/branch``."""
    return not line.startswith("/") or line.startswith(("//", "/branch "))


def attach(text: str, kept: Sequence[File] = ()) -> str:
    """The message that ``text`` is sent as, with the files that it names; ``kept`` are not read again.

    Raises:
        NotFoundError: what can be nothing but a path leads nowhere.
        RefusedError: a file is no text, cannot be read, or is too large.
    """
    text = clean(text)
    files = []
    for look in look_at(text, kept):
        if look.problem is not None:
            raise look.problem
        if look.file is not None:
            files.append(look.file)
    return joined(text.strip(), files) if files else text


def look_at(text: str, kept: Sequence[File] = ()) -> list[Look]:
    """What each name in ``text`` is, in its order and each file once; words that are no names are left out."""
    known = {file.mention: file for file in kept}
    found: list[Look] = []
    seen: set[str] = set()
    room = MOST_BYTES
    for name, quoted in names_in(text):
        mention, path = _meant(name, quoted, known)
        key = mention if path is None else os.path.realpath(path)
        if key in seen:
            continue
        seen.add(key)
        if mention in known:
            look = Look(mention, known[mention])
        elif path is not None:
            look = _looked(mention, path, room)
        elif _is_surely_a_path(name):
            look = Look(mention, problem=_missing(_bare(name), quoted))
        else:
            continue
        found.append(look)
        room -= len(look.file.text.encode()) if look.file is not None else 0
    return found


def names_in(text: str) -> list[tuple[str, bool]]:
    """The words behind an ``@``, which may be names, and whether they are quoted; each once."""
    if "@" not in text:
        return []
    bare = _CODE.sub(lambda code: " " * len(code[0]), text)
    words = ((found[1] or found[2], bool(found[1])) for found in _MENTION.finditer(bare))
    return list(dict.fromkeys(word for word in words if len(word[0]) <= _LONGEST_NAME))


def weigh(engine: Engine, file: File) -> int | None:
    """Tokens that ``file`` takes of a message; None where nobody can count them now."""
    if not engine.is_running:
        return None
    try:
        alone = engine.count_tokens((Turn(Role.USER, "."),))
        return max(0, engine.count_tokens((Turn(Role.USER, f"{file.block}\n\n."),)) - alone)
    except LoraChatError:
        return None


def estimated(text: str) -> int:
    """About how many tokens that is; a tokenizer makes one of some four bytes."""
    return -(-len(text.encode()) // 4)


def told(file: File, tokens: int | None = None, longest: int = 0) -> str:
    """``@notes.md · 12 lines · 340 tokens``, with ``≈`` where nobody has counted them; ``longest`` cuts the name."""
    about = "≈ " if tokens is None else ""
    count = estimated(file.block) if tokens is None else tokens
    parts = clean_line(file.mention, longest), _several(file.lines, "line"), about + _several(count, "token")
    return " · ".join(parts)


def _several(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _meant(name: str, quoted: bool, known: dict[str, File]) -> tuple[str, Path | None]:
    """How the file is written in the text, and where it is; None where there is none of that name."""
    for each in [name] if quoted else _readings(name):
        mention = written(each, quoted)
        if mention in known:
            return mention, None
        path = place_of(each)
        if os.path.lexists(path) and ("/" in each or not path.is_dir()):  # a word can be a folder's name by chance
            return mention, path
    return written(name if quoted else _bare(name), quoted), None


def _readings(name: str) -> Iterator[str]:
    """``name``, then without what may stand behind it in a sentence."""
    yield name
    if (clause := _until_wide(name)) != name:
        yield from _readings(clause)
        return
    for end in ("'s", "’s"):
        if name.endswith(end):
            yield name.removesuffix(end) or name
    for _ in range(8):
        if name[-1] not in _BEHIND or len(name) == 1:
            return
        name = name[:-1]
        yield name


def _until_wide(name: str) -> str:
    """``name`` as far as the first sign that ends a clause in Chinese, behind which no space stands."""
    return next((name[:place] for place, letter in enumerate(name) if place and letter in _WIDE), name)


def _bare(name: str) -> str:
    *_, shortest = _readings(name)
    return shortest


def written(name: str, quoted: bool = False) -> str:
    """As it stands in a text."""
    return f'@"{name}"' if quoted or re.search(r"\s", name) else f"@{name}"


def place_of(name: str) -> Path:
    """Where that is; other people's homes are not asked for."""
    return Path.cwd() / (Path.home() / name[2:] if name.startswith("~/") else name)


def _is_surely_a_path(name: str) -> bool:
    name = _bare(name)
    if name.startswith(("/", "./", "../", "~/")):
        return len(name.strip("./~")) > 0
    first, slash, _ = name.partition("/")
    return bool(_TEXTS.search(name)) or bool(slash and first and (Path.cwd() / first).is_dir())


def _missing(name: str, quoted: bool) -> LoraChatError:
    """Why nothing is there, with the nearest name."""
    shown, path = clean_line(name, 120), place_of(name)
    try:
        path.lstat()
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no such name can be"
        return RefusedError(f"{shown} cannot be reached ({why}): name a file that you may read.")
    folder = path.parent
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, _LISTED) if clean_line(entry.name) == entry.name]
    except OSError:
        names = []
    head = name[: len(name) - len(path.name)] if name.endswith(path.name) else ""
    near = did_you_mean(path.name, names)
    if near:
        nearest = near.removeprefix("; did you mean ").removesuffix("?")
        return NotFoundError(f"There is no file {shown}; did you mean {written(head + nearest, quoted)}?")
    where = clean_line(str(folder if folder.is_dir() else Path.cwd()), 120)
    return NotFoundError(f"There is no file {shown} (looked in {where}): write its path, or leave the @ away.")


def _looked(mention: str, path: Path, room: int) -> Look:
    try:
        return Look(mention, File(mention, _text(path, clean_line(File(mention, "").name, 120), room)))
    except LoraChatError as error:
        return Look(mention, problem=error)


def _text(path: Path, shown: str, room: int) -> str:
    """What is in the file, cleaned; ``room`` is in bytes.

    Raises:
        RefusedError: it is no text, holds none, cannot be read, or is larger than that.
    """
    try:
        data = _bytes(path, shown, room)
    except RefusedError:
        raise
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise RefusedError(f"{shown} cannot be read ({clean_line(str(why), 80)}): attach a file that can.") from error
    text = clean(_decoded(data, shown)).rstrip("\n")
    if not text.strip():
        raise RefusedError(f"{shown} is empty: there is nothing in it to attach.")
    return text


def _bytes(path: Path, shown: str, room: int) -> bytes:
    """No more than decides that it is too large. Nothing but a file is opened, and none is waited for."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise RefusedError(f"{shown} is a folder: attach the files in it that matter, one by one.")
    if stat.S_ISREG(mode):
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags), "rb") as file:
            there = os.fstat(file.fileno())
            if stat.S_ISREG(there.st_mode):
                data = file.read(room + 1) or b""
                if len(data) > room:
                    size = max(there.st_size, len(data))
                    raise RefusedError(
                        f"{shown} has {size:,} bytes, and the files of a message may have {MOST_BYTES:,} together: "
                        "attach the part that matters."
                    )
                return data
    raise RefusedError(f"{shown} is a pipe, a device or a socket: attach a file.")


def _decoded(data: bytes, shown: str) -> str:
    encoding = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "utf-8")
    binary = RefusedError(f"{shown} is no text: attach what it says as a text file.")
    if data.startswith(b"%PDF-") or (encoding.startswith("utf-8") and b"\0" in data):
        raise binary
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-8":
            raise RefusedError(
                f"{shown} is not written in UTF-8 (byte {error.start + 1:,} is not): save it in UTF-8, then attach it."
            ) from error
        raise RefusedError(f"{shown} says that it is {encoding.upper()}, and is not: save it in UTF-8.") from error
    if "\0" in text:
        raise binary
    return text
