"""Where the adapter commands look. Owns finding the folder and the base that are meant; never reads an adapter."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lora_chat.adapters.manifest import Manifest
    from lora_chat.adapters.weights import AdapterFiles
    from lora_chat.models.installed import InstalledBase
    from lora_chat.paths import Paths


def places() -> tuple[Paths, str]:
    """Where things are, and the configured base model's name; a change of version that was killed is put right."""
    import os

    from lora_chat.adapters.line_folder import recover
    from lora_chat.config import load_config
    from lora_chat.paths import find_paths

    paths = find_paths(os.environ)
    recover(paths)
    return paths, load_config(paths.config).model


@contextmanager
def folder_of(name: str, paths: Paths) -> Iterator[Path]:
    """The folder of an adapter's name, broken or not, else of a path, which may be an archive's.

    Names come first; ``./x`` is always a path.
    """
    from lora_chat.adapters.incoming.source import existing, opened_path
    from lora_chat.adapters.index import Index

    is_name = Path(name).name == name and not name.startswith(".")
    for root in (paths.adapters, paths.bundled_adapters):
        if is_name and os.path.isdir(root / name):  # noqa: PTH112 (a name too long is none, and no failure)
            yield root / name
            return
    path = existing(name)
    if path is None and is_name:
        Index(paths).catalog().get(name)  # raises, naming what is near
    with opened_path(path or Path(name), paths) as found:
        yield found.folder


def base_for(paths: Paths, model: str, declared: str) -> InstalledBase:
    """The base named by ``--model``, else the one the adapter declares if it is here, else the configured one."""
    from lora_chat.errors import NotFoundError
    from lora_chat.models.installed import find_base

    if declared and not model:
        try:
            return find_base(paths.models, declared, declared=True)
        except NotFoundError:
            pass
    return find_base(paths.models, model or places()[1])


def base_if_here(paths: Paths, model: str, declared: str) -> InstalledBase | None:
    """The same, or None where it is not on this machine; one that ``--model`` names must be."""
    from lora_chat.errors import NotFoundError

    try:
        return base_for(paths, model, declared)
    except NotFoundError:
        if model:
            raise
        return None


def declared_base(files: AdapterFiles, manifest: Manifest | None) -> str:
    """The base an adapter says it was made for; empty where it does not."""
    return (manifest.base.model if manifest else "") or files.settings.base_model
