"""What the screen is told of base models. Owns these messages; ``bridge`` and what it begins alone post them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lora_chat.tui.messages import News

if TYPE_CHECKING:
    from lora_chat.models.answering import Answerer
    from lora_chat.models.catalog import CatalogEntry
    from lora_chat.models.installed import InstalledBase
    from lora_chat.sitting.bases import Choices


@dataclass
class BaseMissing(News):
    """There is no base model yet: it can be fetched."""

    entry: CatalogEntry


@dataclass
class Fetching(News):
    """How far the fetch of a base model is; ``done`` and ``total`` in any unit, total 0 is unknown."""

    what: str
    done: float
    total: float
    name: str = ""
    """What comes."""


@dataclass
class FetchFailed(News):
    """The base model did not come."""

    reason: str
    name: str = ""


@dataclass
class BaseCame(News):
    """It is on this machine now, beside the one that answers."""

    base: InstalledBase


@dataclass
class BasesSeen(News):
    """Every base of this machine and of the catalog."""

    choices: Choices
    asked: bool
    """By a command: the screen opens with it."""


@dataclass
class BaseFound(News):
    """The chat can begin; the model may still be loading."""

    base: Answerer
    first_time: bool
    """Nothing was ever said here."""


@dataclass
class BaseChanged(News):
    """Another one answers, and may still be loading; or a server has told who does."""

    base: Answerer
