"""How long it takes to see what is installed: one look cold and warm, and the whole command.

    python benchmarks/shelf.py [--out shelf.json] [--runs 5]

Needs no base. Each home holds copies of the shipped support-bot under other names, the weights as hard links. Cold is
a look without the index, which reads every header and writes it; warm is another program's first look, and again one
more look of the same program, as the window takes every second. The command is `lora-chat adapter list` from the start
of the process to its end, with the index, and beside it `lora-chat --version`: what starting Python costs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trial

from lora_chat.adapters.index import Index
from lora_chat.paths import Paths, find_paths

SIZES = (1, 100, 1000)


def main() -> None:
    """Measure each size and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "shelf.json")
    parser.add_argument("--runs", type=int, default=5)
    wishes = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [measured(Path(folder) / str(size), size, wishes.runs) for size in SIZES]
    print(f"{'installed':>9} {'cold ms':>9} {'warm ms':>9} {'again ms':>9} {'command ms':>11} {'--version ms':>13}")
    for row in rows:
        print("{installed:>9} {cold_ms:>9} {warm_ms:>9} {again_ms:>9} {command_ms:>11} {version_ms:>13}".format(**row))
    report = {"machine": trial.machine(), "rows": rows}
    wishes.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def measured(root: Path, size: int, runs: int) -> dict[str, Any]:
    """One home: medians in ms."""
    paths = find_paths({"LORA_CHAT_HOME": str(root)})
    fill(paths, size)

    def forget() -> None:
        (paths.models / ".adapters.json").unlink(missing_ok=True)

    cold = timed(lambda: Index(paths).catalog(), max(runs // 2, 1), forget)
    warm = timed(lambda: Index(paths).catalog(), runs)
    index = Index(paths)
    index.catalog()
    again = timed(index.catalog, runs)
    commands: dict[str, list[float]] = {"adapter list": [], "--version": []}
    for _ in range(runs):  # in turns: the machine's mood is shared
        for words, found in commands.items():
            found.append(run(root, *words.split()))
    command, version = (round(statistics.median(found), 1) for found in commands.values())
    return {
        "installed": size, "cold_ms": cold, "warm_ms": warm, "again_ms": again, "command_ms": command,
        "version_ms": version,
    }  # fmt: skip


def fill(paths: Paths, size: int) -> None:
    """Install by hand, without reading a gigabyte."""
    source = paths.bundled_adapters / "support-bot"
    for number in range(size):
        folder = paths.adapters / f"bot-{number:04}"
        folder.mkdir(parents=True)
        for name in ("adapter_config.json", "adapter.toml"):
            shutil.copy(source / name, folder / name)
        os.link(shared(source, paths), folder / "adapter_model.safetensors")


def shared(source: Path, paths: Paths) -> Path:
    """One copy of the weights, on the same disk as the home."""
    copy = paths.adapters.parent / "weights"
    if not copy.exists():
        shutil.copy(source / "adapter_model.safetensors", copy)
    return copy


def timed(look: Callable[[], object], runs: int, before: Callable[[], object] = lambda: None) -> float:
    """The median of ``runs``, in ms."""
    found = []
    for _ in range(runs):
        before()
        began = time.perf_counter()
        look()
        found.append((time.perf_counter() - began) * 1000)
    return round(statistics.median(found), 1)


def run(root: Path, *words: str) -> float:
    """One command from start to end, in ms."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "lora_chat", *words]
    subprocess.run(command, env=os.environ | {"LORA_CHAT_HOME": str(root)}, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
