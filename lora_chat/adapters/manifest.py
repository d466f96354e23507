"""What an adapter says about itself. Owns ``adapter.toml`` and the rule for names; never says whether it is true.

Everything read is foreign: kinds are checked, text is cleaned and cut, unknown keys are dropped and named.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lora_chat.adapters.reading import quoted, refusal, shown
from lora_chat.errors import RefusedError
from lora_chat.text import clean, clean_line

MANIFEST_NAME = "adapter.toml"
MANIFEST_LIMIT = 16 * 1024  # tomllib needs the square of a dotted key's parts: 0.5 s here, 1.9 s for 32 KB
SCHEMA = 1
FIRST = "1.0.0"
"""The version of an adapter that says none, and of one that was trained for the first time."""
NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_WINDOWS_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")
# tomllib walks a table's whole path at each of its keys: `[a.a.a…]` of 8 KB and 4,000 keys take half a minute.
_LONG_TABLE = re.compile(r"^[ \t]*\[.{200,}", re.MULTILINE)
_KINDS = {str: "a text", int: "a whole number", bool: "true or false", list: "a list", dict: "a table"}
_CORRECT = "correct or delete it"
_HASH = re.compile(r"(sha256:)?[0-9a-f]{64}")


@dataclass(frozen=True)
class BaseClaim:
    """``[base]``: the base model it was made for. Hashes are ``sha256:…`` or empty."""

    model: str = ""
    fingerprint: str = ""
    """Of the base's shapes and tokenizer: what must fit."""
    weights: str = ""
    """Of the base's weights: shown, not required."""
    chat_template: str = ""


@dataclass(frozen=True)
class ChatSettings:
    """``[chat]``: how to wear it; the person can override each."""

    system_prompt: str = ""
    temperature: float | None = None
    starters: tuple[str, ...] = ()


@dataclass(frozen=True)
class WeightsClaim:
    """``[weights]``: written at install from the bytes themselves; 0 or empty means not said."""

    sha256: str = ""
    """Hex, of ``adapter_model.safetensors``."""
    config_sha256: str = ""
    """Hex, of ``adapter_config.json``: alpha and patterns are there."""
    rank: int = 0
    parameters: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Manifest:
    """One ``adapter.toml``."""

    name: str = ""
    """Passed ``checked_name``, or empty."""
    version: str = FIRST
    description: str = ""
    license: str = ""
    authors: tuple[str, ...] = ()
    private: bool = False
    """Trained here and not exported yet."""
    base: BaseClaim = BaseClaim()
    chat: ChatSettings = ChatSettings()
    weights: WeightsClaim = WeightsClaim()
    training: Mapping[str, Any] = field(default_factory=dict)
    """Provenance: counts, recipe, seed, versions; never the text."""
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    """Held-out and general loss, before and after."""
    ignored: tuple[str, ...] = ()
    """Keys that were read and mean nothing here; not written."""


def checked_name(name: str, what: str = "an adapter") -> str:
    """Return ``name`` if ``what`` can be called so.

    Raises:
        RefusedError: it cannot, saying what a name is made of.
    """
    unfit = not NAME_PATTERN.fullmatch(name) or name.endswith(".") or _WINDOWS_DEVICES.fullmatch(name)
    if unfit or ".." in name:
        raise RefusedError(
            f'"{shown(name, 40)}" cannot be the name of {what}: take up to 64 of a-z, 0-9, ".", "_" and "-", '
            "begin with a letter or digit, and avoid names that Windows reserves."
        )
    return name


def _own_name(name: str, where: str) -> str:
    try:
        return checked_name(name)
    except RefusedError as error:
        raise refusal(where, f"{str(error).removesuffix('.')}; {_CORRECT}") from error


def numbered(name: str) -> Iterator[str]:
    """``name``, then ``name-2``, ``name-3``, … within 64 characters: for one that finds its name taken."""
    yield name
    for number in itertools.count(2):
        tail = f"-{number}"
        yield name[: 64 - len(tail)] + tail


def version_key(version: str) -> tuple[bool, tuple[int, ...], str]:
    """What versions are sorted by: the numbers between the dots; what is no such number comes last, by its letters."""
    parts = version.split(".")
    if all(part.isdecimal() and part.isascii() and len(part) < 10 for part in parts):
        return False, tuple(map(int, parts)), ""
    return True, (), version


def read_manifest(raw: bytes, where: str = MANIFEST_NAME) -> Manifest:
    """Parse the bytes of an ``adapter.toml``; ``where`` names it in sentences.

    Raises:
        RefusedError: too large, not TOML, of a newer schema, or a value of the wrong kind, naming the key.
    """
    found = _Table(_parse(raw, where), where)
    schema = found.take("schema", int, SCHEMA)
    if schema != SCHEMA:
        raise refusal(where, f"its schema is {shown(schema)} and this program reads {SCHEMA}; update lora-chat")
    name = found.take("name", str, "")
    base, chat, weights = found.table("base"), found.table("chat"), found.table("weights")
    manifest = Manifest(
        name=_own_name(name, where) if name else "",
        version=found.line("version", 40) or FIRST,
        description=found.line("description", 300),
        license=found.line("license", 80),
        authors=found.lines("authors", 100),
        private=found.take("private", bool, False),
        base=BaseClaim(
            base.line("model", 200), base.hash("fingerprint"), base.hash("weights"), base.hash("chat_template")
        ),
        chat=ChatSettings(
            clean(chat.take("system_prompt", str, ""))[:4000], chat.temperature(), chat.lines("starters", 300)
        ),
        weights=WeightsClaim(
            weights.hash("sha256"), weights.hash("config_sha256"),
            *(weights.count(key) for key in ("rank", "parameters", "bytes")),
        ),
        training=_harmless(found.take("training", dict, {})),
        evaluation=_harmless(found.take("evaluation", dict, {})),
    )  # fmt: skip
    return dataclasses.replace(
        manifest, ignored=(*found.rest(), *base.rest("base."), *chat.rest("chat."), *weights.rest("weights."))
    )


def to_toml(manifest: Manifest) -> str:
    """The text of an ``adapter.toml`` that ``read_manifest`` reads back as ``manifest``; empty tables are left out."""
    import tomli_w

    value = {"schema": SCHEMA} | dataclasses.asdict(manifest)
    del value["ignored"]
    tables = ("base", "chat", "weights", "training", "evaluation")
    # Tables come last, or the plain keys after one would belong to it.
    ordered = {key: each for key, each in value.items() if key not in tables}
    ordered |= {key: kept for key in tables if (kept := _said(value[key]))}
    return tomli_w.dumps(ordered)


def _said(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in table.items()
            if value not in (None, "", ())}  # fmt: skip


def _parse(raw: bytes, where: str) -> dict[str, Any]:
    if len(raw) > MANIFEST_LIMIT:
        raise refusal(where, f"it has {len(raw):,} bytes where at most {MANIFEST_LIMIT:,} are accepted; {_CORRECT}")
    try:
        text = raw.decode("utf-8")
        if _LONG_TABLE.search(text):
            raise refusal(where, f"it has a table heading of more than 200 characters; {_CORRECT}")
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise refusal(where, f"it is not valid TOML ({shown(str(error), 120)}); {_CORRECT}") from error


def _harmless(value: Any, depth: int = 0) -> Any:
    """Foreign values that are only kept and shown: text cleaned, numbers finite and of 64 bits, dates as text, four
    levels deep.
    """
    if isinstance(value, dict) and depth < 4:
        return {clean_line(str(key), 80): _harmless(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list) and depth < 4:
        return [_harmless(each, depth + 1) for each in value]
    if (isinstance(value, int) and -(2**63) <= value < 2**63) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, str):
        return clean(value)[:2000]
    return shown(value if isinstance(value, int | dict | list) else str(value), 200)


class _Table:
    """One TOML table and which of its keys were asked for."""

    def __init__(self, values: dict[str, Any], where: str) -> None:
        self._values = dict(values)
        self._where = where

    def take(self, key: str, kind: type, default: Any) -> Any:
        value = self._values.pop(key, default)
        if type(value) is not kind:
            raise refusal(self._where, f'its "{key}" must be {_KINDS[kind]}, not {quoted(value)}; {_CORRECT}')
        return value

    def table(self, key: str) -> _Table:
        return _Table(self.take(key, dict, {}), self._where)

    def line(self, key: str, longest: int) -> str:
        return clean_line(self.take(key, str, ""), longest)

    def lines(self, key: str, longest: int) -> tuple[str, ...]:
        value = self.take(key, list, [])
        if len(value) > 50 or not all(isinstance(each, str) for each in value):
            raise refusal(self._where, f'its "{key}" must be a list of at most 50 texts; {_CORRECT}')
        return tuple(clean_line(each, longest) for each in value)

    def hash(self, key: str) -> str:
        value: str = self.take(key, str, "")
        if value and not _HASH.fullmatch(value):
            raise refusal(
                self._where, f'its "{key}" must be a sha256 in 64 hex digits, not {quoted(value)}; {_CORRECT}'
            )
        return value

    def count(self, key: str) -> int:
        value: int = self.take(key, int, 0)
        if not 0 <= value < 2**63:
            raise refusal(self._where, f'its "{key}" must be a whole number from 0 on, not {shown(value)}; {_CORRECT}')
        return value

    def temperature(self) -> float | None:
        value = self._values.pop("temperature", None)
        if value is None:
            return None
        if type(value) not in (int, float) or not 0 <= value <= 5:
            raise refusal(
                self._where, f"its chat.temperature must lie between 0 and 5, not {quoted(value)}; {_CORRECT}"
            )
        return float(value)

    def rest(self, prefix: str = "") -> tuple[str, ...]:
        return tuple(prefix + clean_line(key, 60) for key in self._values)
