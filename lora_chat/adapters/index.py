"""What the adapters' headers said when last read. Owns ``.adapters.json``, a cache; never believes it over a file.

Reading a header takes 4 ms, so a thousand take seconds; the index holds what a listing shows of each, and whether it
fits the bases it was asked about, for as long as its files keep their times, sizes and numbers. Wearing never asks it.
"""

from __future__ import annotations

import json
import os
import threading
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from lora_chat import __version__
from lora_chat.adapters.manifest import BaseClaim, ChatSettings, Manifest, WeightsClaim
from lora_chat.adapters.reading import read_bytes
from lora_chat.adapters.registry import Adapter, Catalog, Look, Problem, discover, stamp_of
from lora_chat.adapters.signature import BaseSignature
from lora_chat.adapters.verify import Verdict, check_fit
from lora_chat.adapters.weights import read_adapter_header
from lora_chat.errors import LoraChatError
from lora_chat.files import write_durably
from lora_chat.paths import Paths

_LIMIT = 256 * 2**20
_WORTH = 8
"""Fewer news are not written: reading so many headers again takes no longer than a person notices."""

_PLAIN = [each.name for each in fields(Adapter) if each.name not in ("path", "manifest")]
_SAID = [each.name for each in fields(Manifest)]
_KINDS = (Adapter, Manifest, BaseClaim, ChatSettings, WeightsClaim, Verdict)
_FORMAT = f"{__version__} {zlib.crc32(repr([[each.name for each in fields(kind)] for kind in _KINDS]).encode()):08x}"
"""Another program's rules may be others, and so may what it keeps of each."""


class Index:
    """The adapters of one home, remembered between looks and between programs; any thread may ask."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._file = paths.models / ".adapters.json"  # not among the adapters: a cache, like the models beside it
        self._seen: dict[str, Look] | None = None
        self._kept = b""
        self._news = 0
        self._lock = threading.Lock()

    def catalog(self) -> Catalog:
        """What can be worn now; a folder dropped in a moment ago is there."""
        with self._lock:
            seen = self._remembered()
            before = dict(seen)
            catalog = discover(self._paths, seen)
            self._news += sum(look is not before.get(folder) for folder, look in seen.items())
            self._forget(catalog)
            self._keep(_WORTH)
            return catalog

    def is_as_listed(self, adapter: Adapter) -> bool:
        """Whether the files of ``adapter``, which a look found, are what they were then: four calls, not thousands."""
        look = (self._seen or {}).get(str(adapter.path))
        return look is not None and look.found is adapter and look.stamp == stamp_of(str(adapter.path))

    def verdict(self, adapter: Adapter, signature: BaseSignature) -> Verdict:
        """Whether an adapter fits a base, from its header.

        Raises:
            LoraChatError: it is gone or broken since it was listed.
        """
        if not signature.has_shapes:  # only names are compared then, which takes no time
            return check_fit(read_adapter_header(adapter.path), signature, adapter.manifest)
        base = _name_of(signature)
        look = (self._seen or {}).get(str(adapter.path))
        known = look.verdicts.get(base) if look is not None and look.found is adapter else None
        if known is None:
            known = check_fit(read_adapter_header(adapter.path), signature, adapter.manifest)
            if look is not None and look.found is adapter:
                look.verdicts[base] = known
                self._news += 1
        return known

    def keep(self) -> None:
        """Write what was learnt since; a disk that takes nothing costs only that it is learnt again."""
        with self._lock:
            self._keep(0)

    def _remembered(self) -> dict[str, Look]:
        if self._seen is None:
            self._kept, self._seen = _read(self._file)
        return self._seen

    def _forget(self, catalog: Catalog) -> None:
        """Folders that are gone."""
        seen = self._remembered()
        if len(seen) > len(catalog.adapters) + len(catalog.problems):
            here = {str(adapter.path) for adapter in catalog.adapters} | {str(each.path) for each in catalog.problems}
            for folder in [each for each in seen if each not in here and not Path(each).is_dir()]:
                del seen[folder]

    def _keep(self, worth: int) -> None:
        if self._news < worth or self._seen is None:
            return
        rows = [row for folder, look in self._seen.items() if (row := _row(folder, look)) is not None]
        body = json.dumps({"format": _FORMAT, "rows": rows}, separators=(",", ":")).encode("ascii")
        if rows and body != self._kept:
            with suppress(OSError, LoraChatError):
                write_durably(self._file, b"%08x\n" % zlib.crc32(body) + body)
        self._kept, self._news = body, 0


def _read(file: Path) -> tuple[bytes, dict[str, Look]]:
    """What is kept, as bytes and read; nothing where that is damaged or another program's."""
    try:
        check, _, body = read_bytes(file, _LIMIT).partition(b"\n")
        if int(check, 16) != zlib.crc32(body):
            return b"", {}
        found = json.loads(body)
        roots: dict[str, Path] = {}
        return (body, dict(_look(row, roots) for row in found["rows"])) if found["format"] == _FORMAT else (b"", {})
    except (LoraChatError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return b"", {}


def _row(folder: str, look: Look) -> list[Any] | None:
    """One folder in the order of the fields; a broken one is read anew by each program, whose rules may be milder."""
    adapter = look.found
    if isinstance(adapter, Problem):
        return None
    manifest = adapter.manifest
    plain = [getattr(adapter, name) for name in _PLAIN]
    hashes = {name: adapter.__dict__[name] for name in ("sha256", "config_sha256") if name in adapter.__dict__}
    verdicts = {base: astuple(verdict) for base, verdict in look.verdicts.items()}
    return [folder, look.stamp, plain, [_plain(getattr(manifest, name)) for name in _SAID], hashes, verdicts]


def _plain(value: Any) -> Any:
    if isinstance(value, BaseClaim | ChatSettings | WeightsClaim):
        return astuple(value)
    return dict(value) if isinstance(value, Mapping) else value


def _look(row: list[Any], roots: dict[str, Path]) -> tuple[str, Look]:
    """A row read back; ``roots`` saves taking a thousand paths apart, a third of the time."""
    folder, stamp, plain, said, hashes, verdicts = row
    name, origin, base_model, rank, parameters, size, targets = plain
    place, _, last = folder.rpartition(os.sep)
    if place not in roots:
        roots[place] = Path(place)
    adapter = Adapter(
        name, roots[place] / last, origin, base_model, rank, parameters, size, tuple(targets), _manifest(said)
    )
    adapter.__dict__.update(hashes)  # where ``cached_property`` keeps them
    known = {base: _verdict(*verdict) for base, verdict in verdicts.items()}
    return folder, Look(tuple(map(tuple, stamp)), adapter, known)


def _manifest(said: list[Any]) -> Manifest:
    kept = dict(zip(_SAID, said, strict=True))
    system_prompt, temperature, starters = kept["chat"]
    kept["base"], kept["weights"] = BaseClaim(*kept["base"]), WeightsClaim(*kept["weights"])
    kept["chat"] = ChatSettings(system_prompt, temperature, tuple(starters))
    kept["authors"], kept["ignored"] = tuple(kept["authors"]), tuple(kept["ignored"])
    return Manifest(**kept)


def _verdict(ok: bool, reason: str, warnings: list[str], matched: int, total: int, doubt: str) -> Verdict:
    return Verdict(ok, reason, tuple(warnings), matched, total, doubt)


def _name_of(signature: BaseSignature) -> str:
    """All of a base that a verdict depends on."""
    facts = (signature.lineage, signature.fingerprint, signature.weights, sorted(signature.aliases), signature.place)
    return f"{signature.lineage} {zlib.crc32(repr(facts).encode()):08x}"
