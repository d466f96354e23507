"""A report as files of the person's own. Owns where they go and how they are called; never says what is in them."""

from __future__ import annotations

import os
from pathlib import Path

from lora_chat.adapters.manifest import numbered
from lora_chat.errors import NotFoundError
from lora_chat.files import write_new
from lora_chat.paths import Paths
from lora_chat.training.report.markdown import to_markdown
from lora_chat.training.report.picture import to_svg
from lora_chat.training.report.shelf import report


def save_report(name: str, version: str, paths: Paths, folder: Path | None = None) -> str:
    """Write Markdown and picture next to each other into ``folder``, else where the program was begun; say where.

    Raises:
        NotFoundError: no report of that version is kept.
        RefusedError: nothing can be written there.
        StoreError: the report is damaged.
    """
    kept = report(paths.lines / name, version)
    if kept is None:
        raise NotFoundError(f"No report of {name} {version} is kept: `lora-chat report` shows those there are.")
    place = (folder or Path()).absolute()
    stem = next(
        each
        for each in numbered(f"{name}-{version}-report")
        if not any(os.path.lexists(place / f"{each}{ending}") for ending in (".md", ".svg"))
    )
    write_new(place / f"{stem}.md", to_markdown(kept).encode("utf-8", "replace"))
    write_new(place / f"{stem}.svg", to_svg(kept).encode("utf-8", "replace"))
    return f"Saved as {place / stem}.md and .svg: your own words, readable by you alone."
