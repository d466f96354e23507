"""Conversations out of the chat into files, and back. Owns how that is asked for and shown first; the formats are
``chat/transcript``'s.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lora_chat.chat.transcript import Format, Looked, export_conversations, import_file, look_into
from lora_chat.errors import RefusedError
from lora_chat.files import sync_folder
from lora_chat.plugins.formats import Reader, Writer, reader_for, saved_conversations, writers
from lora_chat.plugins.manager import Plugins
from lora_chat.plugins.unread import named_where_refused
from lora_chat.text import clean_line

if TYPE_CHECKING:
    from lora_chat.sitting.sitting import Sitting

SHOWN = 5
"""Parts that are left out, and conversations, which the look before an import names."""

FORMATS = (("md", "Markdown, for people"), ("jsonl", "OpenAI messages"), ("sharegpt", "ShareGPT"))
"""What ``/export`` knows, and what each is."""

_ENDINGS = {Format.JSONL: "jsonl", Format.MARKDOWN: "md", Format.SHAREGPT: "json"}


def export(sitting: Sitting, words: str) -> None:
    """Write the visible branch of the open conversation into a file; one that is there already is asked about.

    Raises:
        RefusedError: nothing was said yet, or the disk refuses.
    """
    sitting.refresh()
    current = sitting.conversation
    _refuse_what_is_off(words.strip().partition(" ")[0], sitting.services.plugins)
    format, place = _format(words, writers(sitting.services.plugins))
    text = "".join(_texts(sitting, current.id, format)) if current else ""
    if current is None or not text:
        raise RefusedError("Nothing was said here yet: write a message, or /open a conversation, then /export it.")
    ending = format.suffix if isinstance(format, Writer) else _ENDINGS[format]
    path = Path(place).expanduser() if place else _free(current.title or current.id, ending)
    shown = clean_line(str(path), 200)
    if path.exists() and not sitting.face.confirm(f"Replace {shown}?", loses=True):
        sitting.face.note("Nothing was written.")
        return
    write_private(path, text)
    sitting.face.note(f"Written as {_told(format)}: {clean_line(str(path.absolute()), 200)}")


def import_(sitting: Sitting, place: str) -> None:
    """Add the conversations of a file, once the person has seen what comes and what does not.

    Raises:
        RefusedError: the file cannot be read, or nothing in it is a conversation.
    """
    path = Path(place).expanduser()
    plugins = sitting.services.plugins
    reader = reader_for(plugins, path)
    for news in plugins.news():
        sitting.face.note(news)
    with named_where_refused(plugins, path, reader, "/plugin enable"):
        looked = look_into(path, reader)
    count = _count(looked.conversations, "conversation")
    if not sitting.face.confirm(f"Import {count}?", about=facts(path, looked, reader)):
        sitting.face.note("Nothing was imported.")
        return
    imported = import_file(sitting.store, path, leave_out=True, entries=reader)
    if len(imported.conversations) == 1:
        sitting.open(imported.conversations[0])
    else:
        sitting.face.changed()
    came = _count(len(imported.conversations), "conversation")
    sitting.face.note(f"Imported {came} with {_count(imported.messages, 'message')}.")


def facts(path: Path, looked: Looked, reader: Reader | None = None) -> list[tuple[str, str]]:
    """What an import brings, and what it leaves out and why."""
    rows = [
        ("file", str(path)),
        ("read as", reader.told if reader is not None else ""),
        ("brings", f"{_count(looked.conversations, 'conversation')}, {_count(looked.messages, 'message')}"),
    ]
    systems = [_count(looked.systems, "system prompt")] if looked.systems else []
    kept_out = [f"{looked.kept_out:,} never to be trained on"] if looked.kept_out else []
    if beside := "; ".join([*systems, *kept_out]):
        rows.append(("with", beside))
    rows += [("", title) for title in looked.titles]
    if looked.conversations > len(looked.titles):
        rows.append(("", f"and {looked.conversations - len(looked.titles):,} more"))
    rows += [("left out", problem) for problem in looked.problems[:SHOWN]]
    if len(looked.problems) > SHOWN:
        rows.append(("left out", f"{len(looked.problems) - SHOWN:,} more"))
    return [(name, clean_line(fact, 200)) for name, fact in rows if fact]


def write_private(path: Path, text: str) -> None:
    """Replace ``path`` whole, readable by its owner alone: chats are private until the person hands them on.

    Not ``write_durably``, which would make the person's own folder private too.

    Raises:
        RefusedError: the disk refuses.
    """
    part = None
    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            path.write_text(text, encoding="utf-8")  # /dev/stdout, a FIFO: never replaced; a folder refuses by itself
            return
        with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            part = Path(file.name)
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        sync_folder(path.parent)
    except OSError as error:
        if part:
            part.unlink(missing_ok=True)
        raise RefusedError(f"Cannot write {path} ({error.strerror}): choose another place.") from error


def _texts(sitting: Sitting, id: str, format: Format | Writer) -> Iterator[str]:
    if isinstance(format, Writer):
        chosen = list(saved_conversations(sitting.store, [id]))
        return format.write(chosen) if chosen else iter(())
    return export_conversations(sitting.store, [id], format)


def _refuse_what_is_off(word: str, plugins: Plugins) -> None:
    """A plugin's format that is named while the plugin does not run is no file's name."""
    for each in plugins.shelf().plugins:
        formats = {each.name, *(offer.name for offer in each.offers.exporters)}
        if each.state != "on" and "exporters" in each.plugin.content.hooks and word.lower() in formats:
            raise RefusedError(
                f'"{word.lower()}" is a format of the plugin {each.name}, which does not run: /plugin enable '
                f"{each.name} has it, and ./{word} would be a file."
            )


def _format(words: str, others: Sequence[Writer]) -> tuple[Format | Writer, str]:
    """The format that is named, else that of the file's ending, else Markdown; and the file, if any.

    ``others`` are the formats that plugins write.
    """
    first, _, rest = words.strip().partition(" ")
    known: dict[str, Format | Writer] = {each.name: each for each in others} | {each.value: each for each in Format}
    if first.lower() in known:
        return known[first.lower()], rest.strip()
    endings: dict[str, Format | Writer] = {each.suffix: each for each in others} | {"jsonl": Format.JSONL}
    return endings.get(words.strip().lower().rpartition(".")[2], Format.MARKDOWN), words.strip()


def _free(title: str, ending: str) -> Path:
    """A name in the folder where the program was started that no file has yet."""
    name = re.sub(r"[^\w-]+", "-", title.lower()).strip("-_")[:40].rstrip("-_") or "conversation"
    paths = (Path(f"{name}{(number and f'-{number}') or ''}.{ending}") for number in (0, *range(2, 1_000_000)))
    return next(path for path in paths if not path.exists())


def _told(format: Format | Writer) -> str:
    if isinstance(format, Writer):
        return format.told
    return dict(FORMATS)[format.value].partition(",")[0]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
