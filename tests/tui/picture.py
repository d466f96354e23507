"""What a window shows, as text: its characters, then its colours. For snapshots that people can read."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

from rich.style import Style
from textual.app import App
from textual.strip import Strip

_LETTERS = string.ascii_letters + string.digits


def strips(app: App[Any]) -> list[Strip]:
    """Every row of the window as it would be drawn now, modal screens over what is below them."""
    return app.screen._compositor.render_strips()


def characters(app: App[Any]) -> str:
    """The rows, without the blanks behind them."""
    return "\n".join(strip.text.rstrip() for strip in strips(app))


def runs(app: App[Any]) -> str:
    """Each row's colours as runs of letters, then what the letters mean."""
    seen: dict[str, str] = {}
    rows = [_runs(strip, seen) for strip in strips(app)]
    return "\n".join([*rows, *(f"{letter} {meaning}" for meaning, letter in seen.items())])


def _runs(strip: Strip, seen: dict[str, str]) -> str:
    runs: list[tuple[str, int]] = []
    for segment in strip:
        letter = seen.setdefault(_meaning(segment.style), _LETTERS[len(seen)] if len(seen) < len(_LETTERS) else "?")
        if runs and runs[-1][0] == letter:
            runs[-1] = (letter, runs[-1][1] + segment.cell_length)
        else:
            runs.append((letter, segment.cell_length))
    return " ".join(f"{letter}{count}" for letter, count in runs)


def _meaning(style: Style | None) -> str:
    if style is None:
        return "plain"
    names = [name for name in ("bold", "dim", "italic", "underline", "strike", "reverse") if getattr(style, name)]
    front = style.color.get_truecolor().hex if style.color else "default"
    back = style.bgcolor.get_truecolor().hex if style.bgcolor else "default"
    return " ".join([f"{front} on {back}", *names])


def differs(found: str, kept: Path) -> bool:
    """Whether ``found`` is not what ``kept`` holds."""
    return not kept.exists() or kept.read_text(encoding="utf-8") != found
