"""The same chats in elia, another chat client on Textual. Owns how they get into its store and its keys.

elia lists all conversations and mounts all messages of the one that is opened. It is seen from outside, as ours is.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import sqlite3
import statistics
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import ui_stores
from ui_window import NeverCame, Window

PATIENCE_S = 300.0
"""Seconds after which an opening counts as never done."""

_MODEL = "elia-gpt-4o"
_MAKE = """
import asyncio
import elia_chat.database.models
from elia_chat.database.database import create_database
asyncio.run(create_database())
"""
_VERSION = "import importlib.metadata as known; print(known.version('elia-chat'))"


def elia(python: Path, home: Path, chats: Iterable[ui_stores.Said], runs: int) -> dict[str, Any]:
    """Medians of its start to the list and of an opening from there; null where that did not come in time."""
    environment = os.environ | {
        "XDG_DATA_HOME": str(home / "data"), "XDG_CONFIG_HOME": str(home / "config"),
        "TERM": "xterm-256color", "COLORTERM": "truecolor",
    }  # fmt: skip
    home.mkdir(parents=True, exist_ok=True)
    version = subprocess.run([python, "-c", _VERSION], capture_output=True, text=True, check=True).stdout.strip()
    database = home / "data" / "elia" / "elia.sqlite"
    if not database.exists():
        subprocess.run([python, "-c", _MAKE], env=environment, check=True)
        fill(database, chats)
    lists, openings = list[float](), list[float]()
    for _ in range(runs):
        window = Window([str(python), "-m", "elia_chat"], environment)
        with contextlib.suppress(NeverCame):
            lists.append(window.until(ui_stores.LONG[1:].encode(), PATIENCE_S))
            window.settle(2.0)
            window.press(b"\x1b[B")  # from the prompt to the list
            window.settle(0.5)
            window.press(b"\r")
            openings.append(window.until(ui_stores.LAST[4:].encode(), PATIENCE_S))
        window.close()
    listed = round(statistics.median(lists), 2) if lists else None
    opened = round(statistics.median(openings), 2) if openings else None
    return {"version": version, "list_s": listed, "open_s": opened, "runs": runs}


def fill(database: Path, chats: Iterable[ui_stores.Said]) -> None:
    """Write ``chats`` into elia's store, a minute between two messages."""
    at = datetime.datetime(2023, 11, 14, tzinfo=datetime.UTC)
    with sqlite3.connect(database) as connection:
        for title, said in chats:
            cursor = connection.execute(
                "INSERT INTO chat (model, title, started_at, archived) VALUES (?, ?, ?, 0)",
                (_MODEL, title or said[0][:60], _time(at)),
            )
            rows = []
            for place, text in enumerate(["You are a helpful assistant named Elia.", *said]):
                at += datetime.timedelta(minutes=1)
                role = "system" if place == 0 else ("user", "assistant")[(place - 1) % 2]
                rows.append((cursor.lastrowid, role, text, _time(at), "{}", _MODEL))
            connection.executemany(
                "INSERT INTO message (chat_id, role, content, timestamp, meta, model) VALUES (?, ?, ?, ?, ?, ?)", rows
            )
    connection.close()


def _time(at: datetime.datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S.%f")
