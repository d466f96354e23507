"""Beginnings that conversations can share. Owns a preset's file, its limits and what choosing one changes; never asks
a model anything.

A preset is a system prompt and examples: questions with the answers that are wanted, which stand before the first
message of each prompt. A conversation copies it, so that it stays what it was when the preset is changed or removed.
A file may be written by hand or come from a stranger: it is read under caps, and its text is cleaned.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lora_chat.adapters.manifest import checked_name
from lora_chat.adapters.reading import quoted, read_bytes, refusal, shown
from lora_chat.adapters.registry import Problem
from lora_chat.chat.conversation import Conversation, Role, Turn
from lora_chat.chat.rows import ConversationFields
from lora_chat.errors import LoraChatError, NotFoundError, RefusedError, did_you_mean
from lora_chat.files import is_disk_full, sync_folder, write_durably
from lora_chat.paths import Paths
from lora_chat.text import clean, clean_line

SCHEMA = 1
LARGEST = 1_000_000
"""Bytes of a file."""
MOST = 1_000
"""Examples of a preset."""
LONGEST_DESCRIPTION = 300

_KEYS = ("schema", "name", "description", "system", "examples")
_OF_AN_EXAMPLE = ("question", "answer")
_CORRECT = "correct or delete it"
# Comments and texts, also where no end follows: what is left of a file are its keys, numbers and brackets.
_TEXTS = re.compile(
    r'#[^\n]*+|"""(?:[^"\\]|\\.|"{1,2}(?!"))*+(?:"{3,5}|\\?\Z)'
    r"|'''(?:[^']|'{1,2}(?!'))*+(?:'{3,5}|\Z)"
    r'|"(?:[^"\\\n]|\\[^\n])*+(?:"|\\?$)'
    r"|'[^'\n]*+(?:'|$)",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Preset:
    """What a conversation can begin with."""

    name: str
    system: str = ""
    examples: tuple[tuple[str, str], ...] = ()
    """Questions with their answers."""
    description: str = ""

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The examples as what was said; without the system prompt."""
        return turns_of(self.examples)

    @property
    def holds(self) -> str:
        """Such as ``a system prompt and 14 examples``."""
        count = len(self.examples)
        examples = f"{count:,} example{'' if count == 1 else 's'}" if count else ""
        return " and ".join(part for part in ("a system prompt" if self.system else "", examples) if part)


def turns_of(examples: tuple[tuple[str, str], ...]) -> tuple[Turn, ...]:
    """Examples as what was said: the person's, the answer, the person's, …"""
    return tuple(
        Turn(role, text) for pair in examples for role, text in zip((Role.USER, Role.ASSISTANT), pair, strict=True)
    )


def chosen(preset: Preset | None, before: Conversation | None) -> ConversationFields:
    """What a conversation begins with when ``preset`` takes the place of the one it has; None takes that off.

    A system prompt that the one before brought goes with it. The person's own is kept while one of a preset stands in
    its place, and holds again afterwards.
    """
    own = own_system(before)
    if preset is None:
        return {"preset": "", "examples": (), "system": own, "own_system": None}
    told: ConversationFields = {"system": own, "own_system": None}
    if preset.system:
        told = {"system": preset.system, "own_system": own}
    return {"preset": preset.name, "examples": preset.examples, **told}


def own_system(conversation: Conversation | None) -> str:
    """The person's own system prompt there, whether it holds or a preset's stands in its place; empty for none."""
    if conversation is None:
        return ""
    return conversation.system if conversation.own_system is None else conversation.own_system


def keep_preset(preset: Preset, paths: Paths, *, replace: bool = False) -> Path:
    """Write ``preset`` to the disk and return its file.

    Raises:
        RefusedError: the name cannot be one or is taken (unless ``replace``), it holds nothing, too much, or an example
            that lacks a side, or the disk refuses.
    """
    path = paths.presets / f"{checked_name(preset.name, 'a preset')}.toml"
    if preset.name in preset_names(paths) and not replace:
        raise RefusedError(
            f"There is a preset called {preset.name} already: take another name, or first "
            f"`lora-chat preset remove {preset.name}`."
        )
    said = _harmless(preset)
    data = _to_toml(_sound(said, f"the preset {said.name}", "correct it")).encode("utf-8")
    if len(data) > LARGEST:
        raise RefusedError(
            f"The preset {said.name} would take {len(data):,} bytes and a preset has at most {LARGEST:,}: "
            "take fewer or shorter examples."
        )
    try:
        write_durably(path, data)
    except OSError as error:
        what = "make room" if is_disk_full(error) else "correct the folder's permissions"
        raise RefusedError(f"Cannot write {path} ({error.strerror}): {what}.") from error
    return path


def read_preset(name: str, paths: Paths) -> Preset:
    """The preset of that name.

    Raises:
        NotFoundError: there is none, naming the nearest.
        RefusedError: its file is damaged, too large, or holds what no preset has.
    """
    return _read(preset_file(name, paths))


def preset_names(paths: Paths) -> list[str]:
    """The names of what is kept, in order; no file is opened."""
    try:
        files = [file for file in paths.presets.iterdir() if file.suffix == ".toml" and not file.name.startswith(".")]
    except OSError:
        return []
    return sorted(file.stem for file in files)


def list_presets(paths: Paths) -> tuple[list[Preset], list[Problem]]:
    """All that are kept, by name, and the files that cannot be used."""
    found, problems = [], []
    for name in preset_names(paths):
        path = paths.presets / f"{name}.toml"
        try:
            checked_name(name, "a preset")
            found.append(_read(path))
        except LoraChatError as error:
            problems.append(Problem(path, str(error)))
    return found, problems


def remove_preset(name: str, paths: Paths) -> None:
    """Delete it, broken or not; conversations that began with it keep their copy.

    Raises:
        NotFoundError: there is none, naming the nearest.
        RefusedError: the disk refuses.
    """
    path = preset_file(name, paths)
    try:
        path.unlink()
        sync_folder(path.parent)
    except OSError as error:
        raise RefusedError(f"Cannot delete {path} ({error.strerror}): correct the folder's permissions.") from error


def preset_file(name: str, paths: Paths) -> Path:
    """Where the preset of that name lies, broken or not.

    Raises:
        NotFoundError: there is none, naming the nearest.
    """
    known = preset_names(paths)
    if name not in known:
        near = did_you_mean(name, known)
        where = "`lora-chat preset list`, or /preset in the chat, shows them all"
        see = f"{near} ({where})" if near else f": {where}"
        raise NotFoundError(f'There is no preset called "{shown(name)}"{shown(see, 200)}.')
    return paths.presets / f"{name}.toml"


def _read(path: Path) -> Preset:
    values = _parse(read_bytes(path, LARGEST), path)
    _check_keys(values, _KEYS, path, "a preset")
    schema = _take(values, "schema", int, SCHEMA, path)
    if schema != SCHEMA:
        raise refusal(path, f"its schema is {shown(schema)} and this program reads {SCHEMA}; update lora-chat")
    if (name := _take(values, "name", str, path.stem, path)) != path.stem:
        raise refusal(path, f'its "name" is {quoted(name)}, which must be that of the file; make them alike')
    found = Preset(
        name,
        _take(values, "system", str, "", path),
        tuple(_example(each, path) for each in _take(values, "examples", list, [], path)),
        _take(values, "description", str, "", path),
    )
    return _sound(_harmless(found), path, _CORRECT)


def _parse(raw: bytes, path: Path) -> dict[str, Any]:
    try:
        text = raw.decode("utf-8")
        # tomllib takes the square of a dotted key's parts, minutes for one of 100 KB; no preset has any.
        if "." in _TEXTS.sub("", text):
            raise refusal(path, f"it has a dotted key or number, which no preset has; {_CORRECT}")
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise refusal(path, f"it is not valid TOML ({shown(str(error), 120)}); {_CORRECT}") from error


def _example(value: object, path: Path) -> tuple[str, str]:
    if not isinstance(value, dict):
        raise refusal(path, f"each of its examples must be a table, not {quoted(value)}; {_CORRECT}")
    _check_keys(value, _OF_AN_EXAMPLE, path, "an example")
    question, answer = (_take(value, key, str, "", path) for key in _OF_AN_EXAMPLE)
    return question, answer


def _check_keys(values: dict[str, Any], known: tuple[str, ...], path: Path, what: str) -> None:
    for key in values:
        if key not in known:
            near = did_you_mean(key, known)
            raise refusal(path, f'its "{shown(key, 40)}" is no key of {what}{near} ({", ".join(known)})')


def _take(values: dict[str, Any], key: str, kind: type, default: Any, path: Path) -> Any:
    value = values.get(key, default)
    if type(value) is not kind:
        wanted = {str: "a text", int: "a whole number", list: "a list"}[kind]
        raise refusal(path, f'its "{key}" must be {wanted}, not {quoted(value)}; {_CORRECT}')
    return value


def _harmless(preset: Preset) -> Preset:
    """The same with every text cleaned."""
    examples = tuple((clean(question).strip(), clean(answer).strip()) for question, answer in preset.examples)
    description = clean_line(preset.description, LONGEST_DESCRIPTION)
    return replace(preset, system=clean(preset.system).strip(), examples=examples, description=description)


def _sound(preset: Preset, where: Path | str, what_to_do: str) -> Preset:
    """``preset``, if a conversation can begin with it."""
    if not preset.system and not preset.examples:
        raise refusal(where, f"it has neither a system prompt nor examples; {what_to_do}")
    if len(preset.examples) > MOST:
        raise refusal(where, f"it has {len(preset.examples):,} examples where at most {MOST:,} are accepted; "
                             f"{what_to_do}")  # fmt: skip
    for number, pair in enumerate(preset.examples, 1):
        for side, text in zip(_OF_AN_EXAMPLE, pair, strict=True):
            if not text:
                raise refusal(where, f"its example {number:,} has no {side}; {what_to_do}")
    return preset


def _to_toml(preset: Preset) -> str:
    """What ``_read`` reads back as ``preset``; one table an example, where tomli-w would write short ones inline."""
    import tomli_w

    head = {"schema": SCHEMA, "name": preset.name, "description": preset.description, "system": preset.system}
    examples = (dict(zip(_OF_AN_EXAMPLE, pair, strict=True)) for pair in preset.examples)
    return tomli_w.dumps(head) + "".join(f"\n[[examples]]\n{tomli_w.dumps(each)}" for each in examples)
