"""The person's own keys. Owns the entries of ``config.toml`` and what is wrong with them; never binds one.

Problems are values: a wrong entry is told in a sentence that names file and entry and says what to do; its keys stay
as they are, and the others are used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lora_chat.config import KEYS, load_own_keys
from lora_chat.errors import RefusedError, did_you_mean
from lora_chat.text import clean_line, spelt
from lora_chat.tui import bound
from lora_chat.tui.key_names import is_written, read_keys, told
from lora_chat.tui.keymap import Keymap

NEEDED = {"left", "right", "up", "down", "home", "end", "pageup", "pagedown", "backspace", "delete"}
"""What writing takes, beside letters."""

FOLLOWS = {"transcript.unfold": "prompt.unfold"}
"""What is one action to a person, in two places: the first has the key of the second, unless they gave it its own."""


def read_keymap(config: Path) -> Keymap:
    """What ``config`` says of keys; a file that cannot be read says nothing, and has its sentence elsewhere."""
    try:
        found = load_own_keys(config)
    except RefusedError as error:
        return Keymap(problems=(str(error),))
    wanted: dict[str, tuple[str, ...]] = {}
    problems = []
    found_ids = {id for id, _ in _flat(found)}
    for id, value in _flat(found):
        try:
            wanted[id] = _read(id, value, config)
        except RefusedError as error:
            problems.append(str(error))
    while clash := next(_clashes(wanted), None):
        loser, winner, key = clash
        problems.append(
            f"The key {told(key)} of {loser} in {config} is that of {winner} already: choose another for one of them."
        )
        del wanted[loser]
    for id, other in FOLLOWS.items():
        if other in wanted and id not in found_ids:
            following = {**wanted, id: wanted[other]}
            wanted = wanted if any(id in clash[:2] for clash in _clashes(following)) else following
    return Keymap({id: _whole(id, keys) for id, keys in wanted.items()}, tuple(problems))


def _flat(found: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """An id without its quotes is a table inside a table in TOML: it is meant all the same."""
    for name, value in found.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _read(id: str, value: Any, config: Path) -> tuple[str, ...]:
    what = f'The entry "{clean_line(id, 80)}" below [{KEYS}] in {config}'
    known = {each.id: each for each in bound.all_bound()}
    if id not in known:
        near = did_you_mean(id, known)
        raise RefusedError(f"{what} is nothing that has a key{near or ': `lora-chat keys` lists what has one.'}")
    one = known[id]
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        value = ",".join(value)
    if not isinstance(value, str):
        raise RefusedError(f'{what} must be a text in quotes, such as "ctrl+y", not {clean_line(spelt(value), 80)}.')
    try:
        keys = read_keys(value)
    except RefusedError as error:
        raise RefusedError(f"{what} {error}") from error
    for key in keys:
        if one.writing and key not in one.keys and (is_written(key) or key in NEEDED):
            raise RefusedError(
                f"{what} names {told(key)}, which is needed to write there: choose one with ctrl or alt, or f5 to f12."
            )
    return keys


def _whole(id: str, keys: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*keys, *bound.find(id).kept]))


def _clashes(wanted: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str, str]]:
    """(who has to give way, to whom, the key): of two that the person moved the later one."""
    order = list(wanted)
    for id in reversed(order):
        for other in bound.all_bound():
            if other.id == id or not bound.find(id).meets(other):
                continue
            if other.id in wanted and order.index(other.id) > order.index(id):
                continue
            if set(bound.find(id).keys) & set(other.keys):
                continue  # what shares a key from the beginning is told apart by what can be done
            theirs = _whole(other.id, wanted[other.id]) if other.id in wanted else other.keys
            for key in wanted[id]:
                if key in theirs:
                    yield id, other.id, key
