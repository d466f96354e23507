"""What nobody reads while a plugin does not run. Owns naming the plugin that would read a file; runs none.

A plugin says of itself what its files are like (``[reads]`` of its ``plugin.toml``); of one that was enabled before,
the endings that it registered are remembered.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lora_chat.errors import RefusedError
from lora_chat.plugins.formats import Reader
from lora_chat.plugins.manager import Listed, Plugins
from lora_chat.plugins.manifest import Reads
from lora_chat.plugins.streaming import begins_with_keys


@contextmanager
def named_where_refused(plugins: Plugins, path: Path, reader: Reader | None, enable: str) -> Iterator[None]:
    """Where no plugin is the ``reader`` of ``path`` and it is refused, say which would be.

    ``enable`` is what is typed for one.

    Raises:
        RefusedError: the same, with that.
    """
    try:
        yield
    except RefusedError as error:
        listed = would_read(plugins, path) if reader is None else None
        if listed is None:
            raise
        if plugins.safe:
            raise RefusedError(f"{error} The plugin {listed.name} reads such files, and this is the safe mode, which "
                               "runs none: start without it.") from error  # fmt: skip
        raise RefusedError(f"{error} Or enable the plugin that reads such files: {enable} {listed.name}.") from error


def would_read(plugins: Plugins, path: Path) -> Listed | None:
    """The first plugin that does not run and whose files are like ``path``; None where none's are."""
    if not path.is_file():
        return None
    off = [each for each in plugins.shelf().plugins if each.state != "on"]
    return next((each for each in off if any(_is_like(path, reads) for reads in _reads(each))), None)


def _reads(listed: Listed) -> Iterator[Reads]:
    if (said := listed.plugin.manifest.reads).endings:
        yield said
    else:
        yield from (Reads(offer.suffixes) for offer in listed.offers.importers)


def _is_like(path: Path, reads: Reads) -> bool:
    if not path.name.lower().endswith(reads.endings):
        return False
    return not reads.keys or begins_with_keys(path, r".*\.json", reads.keys)
