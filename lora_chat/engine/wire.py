"""What passes between the program and its engine process. Owns the messages and their JSON lines; never a pipe.

One line each way. The program sends ``Call``; the engine answers each with any number of ``Item`` and then one
``Done`` or ``Error`` of the same number. ``cancel`` and ``stop`` name the call to be ended, ``pause`` the one that
shall wait.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lora_chat import errors
from lora_chat.chat.conversation import Turn
from lora_chat.config import Precision
from lora_chat.engine.kept import Kept
from lora_chat.engine.protocol import BaseInfo, Finished, Probe, Request, TextChunk, Worn
from lora_chat.errors import EngineError, LoraChatError
from lora_chat.models.installed import InstalledBase
from lora_chat.text import clean_line
from lora_chat.training.events import TrainingEvent

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@dataclass(frozen=True)
class Setup:
    """The first line the program sends: which base, where what it makes once is kept, and what to decode in."""

    base: InstalledBase | None
    """None only for an engine of a plugin, whose base may be elsewhere."""
    kept: Kept | None
    precision: Precision = "auto"
    plugin: dict[str, Any] = field(default_factory=dict)
    """Of an engine that is a plugin's: which, and what its settings are; see ``plugins.engines``."""


@dataclass(frozen=True)
class Load:
    """``Engine.load``; answered by one ``BaseInfo``."""

    call: Literal["load"] = "load"


@dataclass(frozen=True)
class Generate:
    """``Engine.generate``; answered by chunks."""

    request: Request
    call: Literal["generate"] = "generate"


@dataclass(frozen=True)
class Prepare:
    """``Engine.prepare``; answered by one number."""

    messages: tuple[Turn, ...]
    adapter: Worn | None = None
    call: Literal["prepare"] = "prepare"


@dataclass(frozen=True)
class ProbeAdapter:
    """``Engine.probe``; answered by one ``Probe``."""

    adapter: Worn
    call: Literal["probe"] = "probe"


@dataclass(frozen=True)
class CountTokens:
    """``Engine.count_tokens``; answered by one number."""

    messages: tuple[Turn, ...]
    continues: bool = False
    call: Literal["count"] = "count"


@dataclass(frozen=True)
class Train:
    """``Engine.train``; answered by events."""

    job: Path
    call: Literal["train"] = "train"


@dataclass(frozen=True)
class Cancel:
    """Ends the call of this message's number; not answered itself."""

    call: Literal["cancel"] = "cancel"


@dataclass(frozen=True)
class Stop:
    """Ends the training of this message's number with a checkpoint; not answered itself."""

    call: Literal["stop"] = "stop"


@dataclass(frozen=True)
class Pause:
    """Lets the training of this message's number wait or go on; not answered itself."""

    paused: bool
    call: Literal["pause"] = "pause"


Call = Load | Generate | Prepare | ProbeAdapter | CountTokens | Train | Cancel | Stop | Pause
Item = TextChunk | Finished | BaseInfo | Probe | TrainingEvent | int


@dataclass(frozen=True)
class Asked:
    """One line to the engine."""

    number: int
    call: Call
    cancelled: bool = False
    """Whether the call's cancel was set before it was sent: a message of its own could come after the answer."""


@dataclass(frozen=True)
class Told:
    """One line from the engine: an item; else the end of call ``number``, with an error or without."""

    number: int
    item: Item | None = None
    error: str = ""
    """What went wrong, as one sentence."""
    kind: str = ""
    """The error's class in ``lora_chat.errors``."""


def write(message: Setup | Asked | Told) -> bytes:
    """One line of JSON, in ASCII.

    Not pydantic's ``dump_json``, which writes NaN as null and refuses lone surrogates: either would end the protocol.
    """
    return json.dumps(_adapter(type(message)).dump_python(message, mode="json")).encode() + b"\n"


def read_setup(line: bytes) -> Setup:
    """The line that ``write`` made of a ``Setup``."""
    message: Setup = _adapter(Setup).validate_python(json.loads(line))
    return message


def read_asked(line: bytes) -> Asked:
    """The line that ``write`` made of an ``Asked``."""
    message: Asked = _adapter(Asked).validate_python(json.loads(line))
    return message


def read_told(line: bytes) -> Told:
    """The line that ``write`` made of a ``Told``."""
    message: Told = _adapter(Told).validate_python(json.loads(line))
    return message


def describe(number: int, error: BaseException) -> Told:
    """An exception as a line: refusals keep their kind, anything else is the engine's failure."""
    if isinstance(error, LoraChatError):
        kind = next(each.__name__ for each in type(error).__mro__ if each.__module__ == errors.__name__)
        return Told(number, error=str(error), kind=kind)
    return Told(
        number,
        error=f"The engine failed ({type(error).__name__}: {clean_line(str(error), 300)}): try again.",
        kind="EngineError",
    )


def raised(told: Told) -> LoraChatError:
    """The exception that ``describe`` described."""
    found = getattr(errors, told.kind, EngineError)
    ours = isinstance(found, type) and issubclass(found, LoraChatError)
    said = clean_line(told.error, 2000)  # a plugin's engine may say anything
    return found(said) if ours else EngineError(said)


def _adapter(kind: type) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


_ADAPTERS: dict[type, TypeAdapter[Any]] = {}
"""Built once for each kind: building takes some 10 ms, using it some 10 µs."""
