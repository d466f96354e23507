"""A base model comes onto this machine. Owns the process that brings it; never converts anything here.

Converting takes torch, which this process must not import, and a download must not hold up the window.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any


def fetch_base(name: str, tell: Callable[[str, float, float], None], cancel: threading.Event) -> str:
    """Run ``lora-chat model pull NAME --json`` and tell its progress; return why it failed, "" if it did not.

    Setting ``cancel`` ends the process; a fetch leaves nothing half-made behind.
    """
    command = [sys.executable, "-P", "-m", "lora_chat", "model", "pull", name, "--yes", "--json"]
    said = f"The base model {name} did not come: run `lora-chat model pull {name}` to see why."
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
    ) as process:
        assert process.stdout is not None
        threading.Thread(target=_end_when, args=(cancel, process), name="fetch-end", daemon=True).start()
        for line in process.stdout:
            event = _read(line)
            if event.get("event") == "progress":
                tell(str(event["what"]), float(event["done"]), float(event["total"]))
            elif event.get("event") == "failed":
                said = str(event["reason"])
    return said if process.returncode else ""


def _end_when(cancel: threading.Event, process: subprocess.Popen[str]) -> None:
    while process.poll() is None:
        if cancel.wait(0.2):
            process.terminate()
            return


def _read(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
