"""The names of keys. Owns how people write them, how they are read and how they are told; never what one does."""

from __future__ import annotations

from textual.keys import REPLACED_KEYS, Keys, _character_to_key, key_to_character

from lora_chat.errors import RefusedError, did_you_mean
from lora_chat.text import clean_line

MODIFIERS = ("alt", "ctrl", "hyper", "meta", "shift", "super")
"""In the order in which Textual writes them."""
_OTHERWISE = {
    "esc": "escape",
    "return": "enter",
    "del": "delete",
    "ins": "insert",
    "pgup": "pageup",
    "pgdn": "pagedown",
    "page-up": "pageup",
    "page-down": "pagedown",
    "←": "left",
    "→": "right",
    "↑": "up",
    "↓": "down",
    "control": "ctrl",
    "option": "alt",
    "cmd": "super",
}
"""What else people write."""
_NAMED = {each.value.rpartition("+")[2] for each in Keys if not each.value.startswith(("<", "ctrl-", "return"))}
"""What Textual calls the keys that are no characters."""
_WORDS = sorted(each for each in _NAMED if len(each) > 1)
_SAME = {
    "ctrl+i": "tab",
    "ctrl+m": "enter",
    "ctrl+h": "backspace",
    "ctrl+left_square_bracket": "escape",
}
"""What terminals send as another key."""
_TOLD = {"escape": "esc", "up": "↑", "down": "↓", "left": "←", "right": "→", "question_mark": "?", "slash": "/"}


def read_keys(text: str) -> tuple[str, ...]:
    """``Ctrl+Y, ?`` as Textual calls them: ``("ctrl+y", "question_mark")``, each once.

    Raises:
        RefusedError: one is no key, or none is named; the sentence has no place in it.
    """
    keys = [read_key(each) for each in text.split(",") if each.strip()]
    if not keys:
        raise RefusedError('names no key: write one, such as "ctrl+y".')
    return tuple(dict.fromkeys(keys))


def read_key(text: str) -> str:
    """One key as Textual calls it.

    Raises:
        RefusedError: there is no such key, or a terminal sends it as another.
    """
    said = text.strip()
    head, _, base = said[:-1].rpartition("+")
    base += said[-1:]  # which may be a plus itself
    modifiers = [_OTHERWISE.get(each.strip().casefold(), each.strip().casefold()) for each in head.split("+") if head]
    base = base.strip() if len(base.strip()) == 1 else _plain(base)
    if len(base) == 1 and modifiers and base.isalpha():
        base = base.casefold()
        if modifiers == ["shift"]:
            modifiers, base = [], base.upper()
    if len(base) == 1:
        base = _character_to_key(base)
    wrong = next((each for each in modifiers if each not in MODIFIERS), None)
    if wrong is not None or not _is_known(base):
        near = did_you_mean(wrong, MODIFIERS) if wrong is not None else did_you_mean(base, _WORDS)
        near = near or ': write it such as "ctrl+y" or "f5".'
        raise RefusedError(f'names the key "{clean_line(said, 40)}", which is none{near}')
    key = "+".join([*sorted(set(modifiers)), base])
    if key in _SAME:
        raise RefusedError(f"names {told(key)}, which terminals send as {told(_SAME[key])}: choose another key.")
    return key


def told(key: str) -> str:
    """``ctrl+s``, ``esc``, ``?``: as keyboards have it."""
    *modifiers, base = key.split("+")
    return "+".join([*modifiers, _TOLD.get(base) or _character(base) or base])


def is_written(key: str) -> bool:
    """Whether it puts a character into a text."""
    return key == "space" or len(key) == 1 or ("+" not in key and key not in _NAMED and _character(key) is not None)


def _plain(base: str) -> str:
    base = base.strip().casefold()
    return _OTHERWISE.get(base, base)


def _is_known(base: str) -> bool:
    return base in _NAMED or (len(base) == 1 and base.isprintable()) or _character(base) is not None


def _character(base: str) -> str | None:
    """What a named key writes; of foreign scripts the character itself is its name."""
    character = key_to_character(REPLACED_KEYS.get(base, base)) if len(base) > 1 else None
    return character if character is not None and "!" <= character <= "~" else None
