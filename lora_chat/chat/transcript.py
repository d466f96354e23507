"""Conversations as files others can read, and back. Owns the formats; never decides which conversations go out.

Read are OpenAI messages (``{"messages": [{"role", "content"}]}``) and ShareGPT (``{"conversations": [{"from",
"value"}]}``), one JSON object a line, or one JSON array of such objects, and the Markdown that an export writes. A file
is checked whole before anything is kept: one bad line in 10,000 is named and nothing is imported, unless that is asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from lora_chat.chat import markdown_file
from lora_chat.chat.attached import words_of
from lora_chat.chat.conversation import ROLE_NAMES, Conversation, Message, Role, Status, Turn
from lora_chat.chat.store import Store
from lora_chat.chat.text_parts import joined
from lora_chat.chat.titles import TITLE_LENGTH
from lora_chat.chat.zipped import zip_refusal
from lora_chat.errors import RefusedError
from lora_chat.text import clean, clean_line

LONGEST_LINE = 1_000_000
"""Bytes of one conversation."""
LARGEST_FILE = 1_000_000_000
"""Bytes of a file of lines, which is read line by line."""
LARGEST_ARRAY = 64_000_000
"""Bytes of a JSON array, which is parsed in memory at several times its size."""
NEVER_TRAIN = "never_train"
"""Beside a conversation's messages, true where nothing of it is ever to be trained on."""
_SHOWN_PROBLEMS = 3
_SHOWN_TITLES = 5

_SHAREGPT_NAMES = {Role.SYSTEM: "system", Role.USER: "human", Role.ASSISTANT: "gpt"}


class Format(StrEnum):
    """What an export can be."""

    JSONL = "jsonl"
    """OpenAI messages, one conversation a line."""
    MARKDOWN = "md"
    """For people."""
    SHAREGPT = "sharegpt"
    """ShareGPT, one conversation a line."""


@dataclass(frozen=True)
class Transcript:
    """One conversation read from a file."""

    system: str
    turns: tuple[Turn, ...]
    never_train: bool = False
    """Whether whoever exported it said that nothing of it is ever to be trained on."""
    title: str = ""
    """What it is called; empty where the file does not say."""
    parents: tuple[int, ...] = ()
    """Of each turn the place of the one it follows, which stands before it, or -1; empty: each follows the last one.

    The last turn of all is the end of the branch that is seen.
    """


@dataclass(frozen=True)
class Problem:
    """What of a file is no conversation, or has no place in one."""

    place: str
    """Such as ``line 7``."""
    why: str
    """What follows the place in a sentence: ``is not JSON``."""
    part: bool = False
    """Only a part, such as pictures: the conversation is taken without it, and nothing is refused for it."""

    def __str__(self) -> str:
        return f"{self.place}: {self.why}"


@dataclass(frozen=True)
class Imported:
    """What an import added."""

    conversations: list[str]
    """Their ids, in the file's order."""
    messages: int
    left_out: tuple[str, ...] = ()
    """What has no place in a conversation here, and what is none where that was to be left out."""


def export_conversations(store: Store, ids: Sequence[str] | None, format: Format) -> Iterator[str]:
    """Yield each conversation's visible branch as text that ends with a newline, oldest first when ``ids`` is None.

    Messages without any text, and conversations without messages, are left out: no importer takes them.

    Raises:
        NotFoundError: an id begins no conversation; RefusedError: it begins several. Both before the first is yielded.
    """
    chosen = store.conversations()[::-1] if ids is None else [store.conversation(id) for id in ids]
    for conversation in chosen:
        messages = [message for message in store.branch(conversation.id) if message.content.strip()]
        if messages:
            yield _WRITERS[format](conversation, messages)


@dataclass(frozen=True)
class Looked:
    """What an import would add, and what it would leave out."""

    conversations: int
    messages: int
    systems: int
    """Conversations with a system prompt."""
    kept_out: int
    """Conversations of which nothing is ever to be trained on."""
    titles: tuple[str, ...]
    """Of the first few: their titles, or how they begin."""
    problems: tuple[str, ...]
    """What is no conversation, each with its place and why."""


Entries = Callable[[Path], Iterator[Transcript | Problem]]
"""Reads a file: its conversations and what of it is none, in its order."""


def look_into(path: Path, entries: Entries | None = None) -> Looked:
    """Read a file as an import would, and keep nothing; ``entries`` reads another form than those known here.

    Raises:
        RefusedError: the file cannot be read, or nothing in it is a conversation.
    """
    problems: list[str] = []
    conversations = messages = systems = kept_out = 0
    titles: list[str] = []
    for each in read_transcripts(path, problems, entries):
        conversations, messages = conversations + 1, messages + len(each.turns)
        systems, kept_out = systems + bool(each.system.strip()), kept_out + each.never_train
        if len(titles) < _SHOWN_TITLES:
            titles.append(clean_line(each.title or words_of(each.turns[0].content), TITLE_LENGTH))
    return Looked(conversations, messages, systems, kept_out, tuple(titles), tuple(problems))


def import_file(store: Store, path: Path, *, leave_out: bool = False, entries: Entries | None = None) -> Imported:
    """Add every conversation of ``path`` to ``store``, all or none; ``leave_out``: without what is no conversation.

    Raises:
        RefusedError: the file cannot be read, or lines of it are not conversations; they are named by number.
    """
    for _ in _read(path, entries, [], leave_out=leave_out):  # only looks: the store is not locked meanwhile
        pass
    ids, count, left_out = [], 0, list[Problem]()
    with store.as_one():
        for transcript in _read(path, entries, left_out, leave_out=leave_out):
            ids.append(_keep(store, transcript))
            count += len(transcript.turns)
    return Imported(ids, count, tuple(map(str, left_out)))


def read_transcripts(
    path: Path, left_out: list[str] | None = None, entries: Entries | None = None
) -> Iterator[Transcript]:
    """Yield the conversations of a file; after the last one, refuse the file if any of it was bad.

    ``left_out`` takes what was bad instead, each with its place and why.

    Raises:
        RefusedError: with the first bad lines by number and how many there are.
    """
    problems: list[Problem] = []
    yield from _read(path, entries, problems, leave_out=left_out is not None)
    if left_out is not None:
        left_out += map(str, problems)


def _read(path: Path, entries: Entries | None, problems: list[Problem], *, leave_out: bool) -> Iterator[Transcript]:
    found = 0
    for each in (entries or _known)(path):
        if isinstance(each, Problem):
            problems.append(each)
        else:
            yield each
            found += 1
    bad = [problem for problem in problems if not problem.part]
    if bad and not (leave_out and found):
        more = f" (and {len(bad) - _SHOWN_PROBLEMS:,} more)" if len(bad) > _SHOWN_PROBLEMS else ""
        shown = "; ".join(map(str, bad[:_SHOWN_PROBLEMS]))
        said = f"{path} was not imported, nothing was changed. {shown}{more}."
        raise RefusedError(f"{said} Correct it, or repeat with --leave-out to import the rest." if found else said)
    if not found:
        raise RefusedError(f"{path} holds no conversations: nothing was changed.")


def _known(path: Path) -> Iterator[Transcript | Problem]:
    """The forms that are known here."""
    for place, raw in _entries(path):
        try:
            yield _parse(raw)
        except _BadEntryError as problem:
            yield Problem(place, str(problem))


class _BadEntryError(Exception):
    """Why one line cannot be a conversation."""


def _entries(path: Path) -> Iterator[tuple[str, bytes | str | dict[str, Any]]]:
    """Yield each line, array element or part of Markdown with the words that name its place."""
    try:
        if not path.is_file():
            raise RefusedError(f"{path} is not a file: name a file of conversations.")
        with path.open("rb") as file:
            start = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
            size = path.stat().st_size
            if start.startswith(b"PK\x03\x04"):
                raise zip_refusal(path, file)
            file.seek(0)
            if start.startswith(b"["):
                _require_size(path, size, LARGEST_ARRAY)
                yield from _array(path, file.read(LARGEST_ARRAY + 1))
                return
            if start.startswith(b"# "):
                _require_size(path, size, LARGEST_ARRAY)
                yield from _markdown_parts(path, file.read(LARGEST_ARRAY + 1))
                return
            _require_size(path, size, LARGEST_FILE)
            number = 0
            while line := file.readline(LONGEST_LINE + 2):
                number += 1
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                if line.strip():
                    yield f"line {number:,}", line
                while line and not line.endswith(b"\n"):  # the rest of a line that is too long
                    line = file.readline(LONGEST_LINE)
    except OSError as error:
        raise RefusedError(f"Cannot read {path} ({error.strerror}): correct its name or permissions.") from error


def _require_size(path: Path, size: int, largest: int) -> None:
    if size > largest:
        raise RefusedError(
            f"{path} has {size:,} bytes and at most {largest:,} are read: split it; nothing was changed."
        )


def _array(path: Path, data: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        entries = _json(data)
    except _BadEntryError as problem:
        raise RefusedError(f"{path} was not imported, nothing was changed: it {problem}.") from problem
    for number, entry in enumerate(entries, 1):
        yield f"conversation {number:,}", entry


def _markdown_parts(path: Path, data: bytes) -> Iterator[tuple[str, str]]:
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise RefusedError(f"{path} was not imported, nothing was changed: it is not UTF-8.") from error
    for number, part in enumerate(markdown_file.parted(text), 1):
        yield f"conversation {number:,}", part


def _json(data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise _BadEntryError("is not UTF-8") from error
    except (ValueError, RecursionError) as error:  # RecursionError: nested thousands deep
        raise _BadEntryError("is not JSON") from error


def _parse_markdown(part: str) -> Transcript:
    found = markdown_file.read(part)
    if found is None:
        raise _BadEntryError('has no "## User" or "## Assistant" below a title, as an export writes them')
    turns = [_turn({"role": role, "content": text}, number, "role", "content")
             for number, (role, text) in enumerate(found.said, 1)]  # fmt: skip
    return Transcript(clean(found.system), tuple(turns), found.never_train, clean_line(found.title))


def _parse(raw: bytes | Any) -> Transcript:
    """Turn one line, one element of an array or one part of Markdown into a transcript."""
    if isinstance(raw, str) and raw.lstrip("\n").startswith("# "):
        return _parse_markdown(raw)
    if isinstance(raw, bytes):
        if len(raw) > LONGEST_LINE:
            raise _BadEntryError(f"is longer than {LONGEST_LINE:,} bytes")
        raw = _json(raw)
    if not isinstance(raw, dict):
        raise _BadEntryError("is not a JSON object")
    if "messages" in raw:
        turns = _turns(raw["messages"], "role", "content")
    elif "conversations" in raw:
        turns = _turns(raw["conversations"], "from", "value")
    else:
        raise _BadEntryError('has neither "messages" nor "conversations"')
    system = raw.get("system") if isinstance(raw.get("system"), str) else ""
    if turns and turns[0].role is Role.SYSTEM:
        system, turns = turns[0].content, turns[1:]
    if not turns:
        raise _BadEntryError("has no messages")
    return Transcript(clean(system or ""), tuple(turns), raw.get(NEVER_TRAIN) is True)


def _turns(items: Any, role_key: str, text_key: str) -> list[Turn]:
    if not isinstance(items, list):
        raise _BadEntryError("its messages are not a list")
    return [_turn(item, number, role_key, text_key) for number, item in enumerate(items, 1)]


def _turn(item: Any, number: int, role_key: str, text_key: str) -> Turn:
    if not isinstance(item, dict):
        raise _BadEntryError(f"message {number} is not an object")
    role = item.get(role_key)
    if not isinstance(role, str) or role not in ROLE_NAMES:
        raise _BadEntryError(f'message {number} has the unknown {role_key} "{clean_line(str(role), 40)}"')
    text = joined(item.get(text_key))
    if text is None:  # a picture, a tool call
        raise _BadEntryError(f'message {number} has a "{text_key}" that is not text')
    content = clean(text)
    if not content.strip():
        raise _BadEntryError(f"message {number} is empty")
    return Turn(ROLE_NAMES[role], content)


def _keep(store: Store, transcript: Transcript) -> str:
    conversation = store.create_conversation(system=transcript.system, title=transcript.title)
    if transcript.never_train:
        store.update_conversation(conversation.id, never_train=True)
    kept: list[int] = []
    for number, turn in enumerate(transcript.turns):
        before = transcript.parents[number] if transcript.parents else number - 1
        parent = kept[before] if before >= 0 else None
        kept.append(store.add_message(conversation.id, turn.role, turn.content, parent=parent).id)
    return conversation.id


def _jsonl(conversation: Conversation, messages: Sequence[Message]) -> str:
    turns = _spoken(conversation, messages)
    return _line({"messages": [{"role": turn.role, "content": turn.content} for turn in turns]} | _mark(conversation))


def _sharegpt(conversation: Conversation, messages: Sequence[Message]) -> str:
    turns = [{"from": _SHAREGPT_NAMES[t.role], "value": t.content} for t in _spoken(conversation, messages)]
    return _line({"id": conversation.id, "conversations": turns} | _mark(conversation))


def _mark(conversation: Conversation) -> dict[str, bool]:
    """The one key of ours, only where it says something: other importers may mind a key they do not know."""
    return {NEVER_TRAIN: True} if conversation.never_train else {}


def _markdown(conversation: Conversation, messages: Sequence[Message]) -> str:
    title = clean_line(conversation.title) or conversation.id
    said = [(_heading(message), message.content) for message in messages]
    return markdown_file.written(title, conversation.system, conversation.never_train, said)


def _heading(message: Message) -> str:
    facts = [message.adapter or "", "" if message.status is Status.DONE else message.status]
    named = ", ".join(clean_line(fact) for fact in facts if fact)
    return message.role.capitalize() + (f" ({named})" if named else "")


def _spoken(conversation: Conversation, messages: Sequence[Message]) -> list[Turn]:
    system = [Turn(Role.SYSTEM, conversation.system)] if conversation.system.strip() else []
    return system + [message.turn for message in messages]


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


_WRITERS = {Format.JSONL: _jsonl, Format.MARKDOWN: _markdown, Format.SHAREGPT: _sharegpt}
