"""The person's settings. Owns ``config.toml`` and its defaults; never reads the environment.

One dataclass declares every setting once: its name, type, default and meaning.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from lora_chat.errors import RefusedError, did_you_mean
from lora_chat.text import clean_line, spelt

Precision = Literal["auto", "fp32", "int8", "int4"]
"""What the base's weights are read in while decoding."""
HubName = Literal["huggingface", "modelscope"]
"""Where base models are fetched from."""

LanguageName = Literal["auto", "en", "zh"]
"""What the window and its sentences are in; auto asks the environment."""

Notify = Literal["bell", "desktop", "off"]
"""How a person who looks elsewhere is called."""


@dataclass(frozen=True)
class Config:
    """Every setting; a key of ``config.toml`` has the field's name."""

    model: str = "smollm2-135m"
    """Base model used when a command names none."""
    system: str = ""
    """System prompt of new conversations; empty leaves it to the chat template."""
    temperature: float = 0.2
    """Sampling temperature; 0 is greedy. An adapter's own suggestion comes before this default, a flag before both."""
    top_p: float = 0.9
    """Nucleus sampling: keep the most likely tokens up to this share."""
    top_k: int = 0
    """Keep this many most likely tokens; 0 keeps all."""
    repetition_penalty: float = 1.0
    """Divides the logits of tokens already seen (CTRL, arXiv:1909.05858); 1 is off."""
    max_tokens: int = 512
    """Longest reply, in tokens."""
    precision: Precision = "auto"
    """What the base decodes in: fp32, int8, int4, or auto: the smallest that is measured to be as good on this base."""
    hub: HubName = "huggingface"
    """Where base models come from: huggingface or modelscope."""
    theme: str = "dark"
    """Colours of the terminal UI: dark, light, contrast or mono. NO_COLOR in the environment leaves out all colours."""
    language: LanguageName = "auto"
    """What lora-chat speaks: en, zh (Chinese), or auto: what LC_ALL, LC_MESSAGES or LANG asks for."""
    notify: Notify = "bell"
    """How you are called when a long answer or a training ends and the terminal has no focus: bell, desktop or off."""
    engine: str = "local"
    """Who makes the answers: local, or the engine of an enabled plugin, such as ``openai`` of the plugin remote."""
    model_folders: tuple[str, ...] = ()
    """Folders of the person's own in which base models are looked for: full paths, ``~`` is home."""


BASES = "bases"
"""A table among the settings: the person's own base models, which ``models.own`` reads."""
KEYS = "keys"
"""Another: the window's keys that the person changed, which ``tui.remap`` reads."""
REMOTE = "remote"
"""A third: where the server is that an engine asks, which the plugin of that name reads."""
LOCAL = "local"
"""The engine of this machine."""
THEMES = ("dark", "light", "contrast", "mono")
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
HUBS: tuple[HubName, ...] = get_args(HubName)
_CHOICES: dict[str, tuple[str, ...]] = {
    "theme": THEMES,
    "precision": PRECISIONS,
    "hub": HUBS,
    "language": get_args(LanguageName),
    "notify": get_args(Notify),
}


_LIMITS: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 5.0),
    "top_p": (0.0, 1.0),
    "top_k": (0, 1_000_000),
    "repetition_penalty": (0.1, 10.0),
    "max_tokens": (1, 1_000_000),
}


def load_config(path: Path) -> Config:
    """Read ``path``; a missing file means all defaults.

    Raises:
        RefusedError: not TOML, an unknown setting (the nearest one is named), or a value of the wrong kind.
    """
    found = read_settings(path)
    for table in _tables(found):
        del found[table]
    return Config(**{name: _checked(name, value, path) for name, value in found.items()})


def load_own_bases(path: Path) -> dict[str, Any]:
    """What ``path`` says of the person's own base models, by name, as it stands there.

    Raises:
        RefusedError: not TOML, or no table of tables.
    """
    found = read_settings(path).get(BASES, {})
    if not isinstance(found, dict):
        raise RefusedError(
            f"{BASES} in {path} must be a table with one entry for each base model: begin each by [{BASES}.NAME]."
        )
    return found


def load_own_keys(path: Path) -> dict[str, Any]:
    """What ``path`` says of the window's keys, as it stands there.

    Raises:
        RefusedError: not TOML, or no table.
    """
    found = read_settings(path).get(KEYS, {})
    if not isinstance(found, dict):
        raise RefusedError(
            f'{KEYS} in {path} must be a table: write [{KEYS}] and below it lines as "chat.retry" = "f5".'
        )
    return found


def load_engine_table(path: Path, table: str) -> dict[str, Any]:
    """What ``path`` says below ``[table]``, the settings of the engine that a plugin has, as it stands there.

    Raises:
        RefusedError: not TOML, no table, or there is another one that nobody reads.
    """
    found = read_settings(path)
    for name in _tables(found):
        if name not in (BASES, KEYS, REMOTE, table):
            hint = did_you_mean(name, (BASES, KEYS, table)) or ": remove it."
            raise RefusedError(f'In {path} nobody reads the table "{clean_line(name, 80)}"{hint}')
    own = found.get(table, {})
    if not isinstance(own, dict):
        raise RefusedError(f"{table} in {path} must be a table: begin it by [{table}].")
    return own


def _tables(found: dict[str, Any]) -> list[str]:
    """Those of ``found`` that are read elsewhere; a plugin's engine may name any, see ``load_engine_table``."""
    settings = {each.name for each in fields(Config)}
    others = found.get("engine", LOCAL) != LOCAL
    known = (BASES, KEYS, REMOTE)
    return [name for name, value in found.items()
            if name in known or (others and isinstance(value, dict) and name not in settings)]  # fmt: skip


def save_settings(path: Path, **changes: object) -> Config:
    """Write ``changes`` into ``path``, keeping what else is set there; return the new settings."""
    import tomli_w

    from lora_chat.files import write_durably

    current, default, found = load_config(path), Config(), read_settings(path)
    tables = {name: found[name] for name in _tables(found)}
    names = [each.name for each in fields(Config)]
    settings = {name: getattr(current, name) for name in names if getattr(current, name) != getattr(default, name)}
    settings |= {name: _checked(name, value, path) for name, value in changes.items()}
    write_durably(path, tomli_w.dumps(settings | tables).encode())
    return load_config(path)


def read_settings(path: Path) -> dict[str, Any]:
    """Everything ``path`` says, unchecked; nothing where there is no such file.

    Raises:
        RefusedError: not TOML, or it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise RefusedError(f"{path} is not valid TOML ({error}): correct it or move it away.") from error
    except OSError as error:
        raise RefusedError(f"Cannot read {path} ({error.strerror}): correct its permissions.") from error


def _spoken(number: float) -> str:
    return f"{number:,}".removesuffix(".0") if abs(number) < 2**63 else _told(number)


def _told(value: object) -> str:
    return clean_line(spelt(value), 200)


_KINDS = {str: "a text in quotes", int: "a whole number", float: "a number"}


def _checked(name: str, value: Any, path: Path) -> Any:
    default = Config()
    kinds: dict[str, type] = {field.name: type(getattr(default, field.name)) for field in fields(Config)}
    if name not in kinds:
        hint = did_you_mean(name, (*kinds, BASES, KEYS, REMOTE)) or ": remove that line."
        raise RefusedError(f'Unknown setting "{name}" in {path}{hint}')
    kind = kinds[name]
    if kind is tuple:
        return _folders(name, value, path)
    fits = type(value) is kind or (kind is float and type(value) is int)
    if not fits:
        raise RefusedError(f'The setting "{name}" in {path} must be {_KINDS[kind]}, not {_told(value)}.')
    if name in _CHOICES and value not in _CHOICES[name]:
        raise RefusedError(f'The setting "{name}" in {path} must be {" or ".join(_CHOICES[name])}, not {_told(value)}.')
    low, high = _LIMITS.get(name, (float("-inf"), float("inf")))
    if isinstance(value, int | float) and not low <= value <= high:
        raise RefusedError(
            f'The setting "{name}" in {path} must lie between {_spoken(low)} and {_spoken(high)}, not {_spoken(value)}.'
        )
    return kind(value)


def _folders(name: str, value: Any, path: Path) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise RefusedError(
            f'The setting "{name}" in {path} must be a list of texts in quotes, such as ["~/models"], '
            f"not {_told(value)}."
        )
    for each in value:
        if "\0" in each or not (each.startswith("~/") or Path(each).is_absolute()):
            raise RefusedError(
                f'The setting "{name}" in {path} must list full paths, such as "~/models", not {_told(each)}.'
            )
    return tuple(value)
