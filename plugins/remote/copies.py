"""Adapters written anew for a server. Owns their folder and under which path the server sees it; never loads one.

vLLM has no strength per request, wears one adapter at a time, and reads neither ``rank_pattern`` nor
``alpha_pattern``: what asks for one of these is sent as a plain adapter that already holds it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePath

from lora_chat.plugins.engine_api import (
    CONFIG_NAME,
    WEIGHTS_NAME,
    AdapterFiles,
    EngineError,
    clean_line,
    mixed,
    plain_config,
    uniform_weights,
)

from .settings import Settings


class Copies:
    """A folder of adapters that are gone with the engine."""

    def __init__(self, settings: Settings) -> None:
        self._chosen = Path(settings.copies).expanduser() if settings.copies else None
        self._made: Path | None = None

    def write(self, name: str, parts: Sequence[tuple[AdapterFiles, float]]) -> Path:
        """The sum of ``parts``, each times its scale, as the plain folder ``name``.

        Raises:
            RefusedError: they cannot be mixed, or one number is too large.
            EngineError: the disk said no.
        """
        files = mixed(parts, name)
        weights, strength = uniform_weights(files)
        targets = {module.rsplit(".", 1)[-1] for module in files.layout.modules}
        try:
            folder = self._folder() / name
            shutil.rmtree(folder, ignore_errors=True)  # of a program that was killed
            folder.mkdir(parents=True, mode=0o755 if self._chosen else 0o700)
            (folder / CONFIG_NAME).write_bytes(plain_config(files.settings.base_model, strength, targets))
            (folder / WEIGHTS_NAME).write_bytes(weights)
        except OSError as error:
            raise EngineError(
                f"The adapter cannot be written for the server ({error.strerror}): make room, or choose another folder "
                "by copies below [remote]."
            ) from error
        return folder

    def remove(self, folder: Path) -> None:
        """Delete one that was written."""
        shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Delete the folder, where it is not the person's own."""
        if self._made is not None:
            shutil.rmtree(self._made, ignore_errors=True)

    def _folder(self) -> Path:
        if self._chosen is not None:
            return self._chosen
        if self._made is None:
            self._made = Path(tempfile.mkdtemp(prefix="lora-chat-remote-"))
        return self._made


def seen_there(folder: Path, adapters_at: Mapping[str, str]) -> str:
    """The path under which the server sees ``folder``: that of the longest folder in ``adapters_at`` it lies in."""
    whole = folder.absolute()
    for here in sorted(adapters_at, key=len, reverse=True):
        with suppress(ValueError):
            inside: PurePath = whole.relative_to(Path(here).expanduser().absolute())
            return "/".join((adapters_at[here].rstrip("/\\"), *inside.parts))
    return str(whole)


def told(path: str) -> str:
    """A path within a sentence."""
    return clean_line(path, 200)
