"""Which plugins the person agreed to. Owns ``plugins/.enabled.json``: name, hash, and why one was switched off.

A plugin runs while its name and the hash of all of its files are those that were agreed to, and not a byte longer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lora_chat.adapters.disk import telling
from lora_chat.adapters.reading import read_bytes
from lora_chat.errors import LoraChatError, NotFoundError
from lora_chat.files import write_durably
from lora_chat.paths import Paths, make_private
from lora_chat.plugins.finding import Plugin
from lora_chat.plugins.manifest import is_name
from lora_chat.plugins.offers import NOTHING, Offers, read_offers
from lora_chat.text import clean_line

_LIMIT = 1_000_000


@dataclass(frozen=True)
class Word:
    """What was said last of one plugin."""

    sha256: str
    """Of the content that it was said of."""
    on: bool
    why: str = ""
    """Why the program switched it off; empty where the person did."""
    offers: Offers = NOTHING


class Trust:
    """The words that were said, read anew at each look: another program may have said one."""

    def __init__(self, paths: Paths) -> None:
        self._file = paths.plugins / ".enabled.json"

    def words(self) -> dict[str, Word]:
        """By name; a file that is damaged says nothing, so that nothing runs."""
        try:
            found = json.loads(read_bytes(self._file, _LIMIT))["plugins"]
            return {name: _word(value) for name, value in found.items() if is_name(name)}
        except NotFoundError:
            return {}
        except (LoraChatError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {}

    def agree(self, plugin: Plugin, offers: Offers) -> None:
        """The person wants it, as it is now.

        Raises:
            RefusedError: the disk refuses.
        """
        self._say(plugin.name, Word(plugin.content.sha256, on=True, offers=offers))

    def switch_off(self, name: str, sha256: str, why: str = "") -> None:
        """It runs no more: the person's word, or the program's with its reason. Raises as ``agree``."""
        before = self.words().get(name)
        kept = before if before is not None and before.sha256 == sha256 else Word(sha256, on=False)
        self._say(name, replace(kept, on=False, why=clean_line(why, 300)))

    def _say(self, name: str, word: Word) -> None:
        with telling(f"keep what was said of the plugin {name}"), self._locked():
            words = self.words() | {name: word}
            plain = {name: _plain(each) for name, each in sorted(words.items())}
            write_durably(self._file, json.dumps({"schema": 1, "plugins": plain}, indent=1).encode())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        from filelock import FileLock

        folder: Path = make_private(self._file.parent)
        with FileLock(folder / ".enabled.lock"):
            yield


def _word(value: Any) -> Word:
    if not isinstance(value["sha256"], str) or type(value["on"]) is not bool or not isinstance(value["why"], str):
        raise ValueError("no word of a plugin")
    return Word(value["sha256"], value["on"], clean_line(value["why"], 300), read_offers(value["offers"]))


def _plain(word: Word) -> dict[str, Any]:
    return {"sha256": word.sha256, "on": word.on, "why": word.why, "offers": word.offers.plain()}
