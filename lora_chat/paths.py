"""Where things are. Owns every location lora-chat reads or writes; never creates one until asked.

``LORA_CHAT_HOME`` puts everything under one folder; without it platformdirs decides.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from lora_chat.errors import RefusedError


@dataclass(frozen=True)
class Paths:
    """All locations, absolute. See the table in ``README.md``."""

    config: Path
    """``config.toml``, the person's settings."""
    database: Path
    """``chats.db``, the SQLite store of conversations."""
    adapters: Path
    """One folder for each adapter the person installed."""
    plugins: Path
    """One folder for each plugin the person installed."""
    models: Path
    """One folder for each base model: a cache, safe to delete."""
    training: Path
    """One folder for each training job."""
    lines: Path
    """One folder for each adapter that was trained here: what its versions were taught, and the earlier ones."""
    presets: Path
    """One file for each preset: a system prompt and examples that a conversation can begin with."""
    copied: Path
    """``copied.md``, what was copied last where there is no clipboard."""
    logs: Path
    """Engine logs; never message text."""
    bundled_adapters: Path
    """Adapters shipped with the program, read-only."""
    bundled_plugins: Path
    """Plugins shipped with the program, read-only."""

    def as_dict(self) -> dict[str, str]:
        """Name to absolute path, for ``lora-chat paths``."""
        return {field.name: str(getattr(self, field.name)) for field in fields(self)}


def find_paths(environ: Mapping[str, str]) -> Paths:
    """Decide every location from the environment; touches no disk but to look for the shipped folders."""
    bundled = _bundled_root()
    shipped = {"bundled_adapters": bundled / "adapters", "bundled_plugins": bundled / "plugins"}
    home = environ.get("LORA_CHAT_HOME")
    if home:
        root = Path(home).expanduser().absolute()
        return Paths(
            config=root / "config.toml",
            database=root / "chats.db",
            adapters=root / "adapters",
            plugins=root / "plugins",
            models=root / "models",
            training=root / "training",
            lines=root / "lines",
            presets=root / "presets",
            copied=root / "copied.md",
            logs=root / "logs",
            **shipped,
        )
    import platformdirs

    dirs = platformdirs.PlatformDirs("lora-chat", appauthor=False)
    data = dirs.user_data_path
    return Paths(
        config=dirs.user_config_path / "config.toml",
        database=data / "chats.db",
        adapters=data / "adapters",
        plugins=data / "plugins",
        models=dirs.user_cache_path / "models",
        training=data / "training",
        lines=data / "lines",
        presets=data / "presets",
        copied=data / "copied.md",
        logs=dirs.user_log_path,
        **shipped,
    )


def make_private(folder: Path) -> Path:
    """Create ``folder`` and its missing parents, readable by their owner alone; return it.

    A folder that is there already keeps its mode: it may be one that a person shares on purpose, or not ours at all.
    ``lora-chat doctor`` says when others can read the home.

    Raises:
        RefusedError: the folder cannot be made, naming it and why.
    """
    try:
        for missing in reversed([place for place in (folder, *folder.parents) if not place.exists()]):
            missing.mkdir(mode=0o700, exist_ok=True)
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except OSError as error:
        raise RefusedError(
            f"Cannot use the folder {folder} ({error.strerror}): make it writable or set LORA_CHAT_HOME to another."
        ) from error
    return folder


def _bundled_root() -> Path:
    """The folder that holds ``adapters/`` and ``plugins/``: inside the wheel, or the checkout's top."""
    package = Path(__file__).resolve().parent
    inside_wheel = package / "_bundled"
    return inside_wheel if inside_wheel.is_dir() else package.parent
