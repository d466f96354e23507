"""A work folder with a home of its own, and programs run in it. Owns both; knows nothing of what is measured.

Each program is a process of its own and is seen from outside. Imported under peers' interpreters too, so that
everything but the standard library is imported where it is used.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import trial

EMBEDDED = "smollm2-135m"
_LIMIT_S = 3 * 3600


def make_home(work: Path) -> Path:
    """A home whose base is the person's own, file by file the same; what is made once for it is made anew."""
    from lora_chat.models.installed import find_base
    from lora_chat.paths import find_paths

    home = work / "home"
    if not home.exists():
        models = find_paths(os.environ).models
        find_base(models, EMBEDDED)
        shutil.copytree(models / EMBEDDED, home / "models" / EMBEDDED, copy_function=_linked)
        for made in (home / "models" / EMBEDDED / "made").glob("general-*"):
            made.unlink()
    return home


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


class Bench:
    """One work folder with its home, and how a program is run in it."""

    def __init__(self, options: argparse.Namespace, work: Path, script: str) -> None:
        self.options, self.work, self.home, self._script = options, work, make_home(work), script
        self.environ = os.environ | {"LORA_CHAT_HOME": str(self.home)}
        self.folder = str(self.home / "models" / EMBEDDED)
        self.busiest = 0.0

    def lora_chat(self, *words: str | Path | int) -> dict[str, Any]:
        """One command from outside: its wall clock, and what it printed, a JSON object a line."""
        return self._run([sys.executable, "-m", "lora_chat", *map(str, words)])

    def worker(self, name: str, settings: dict[str, Any], python: str = sys.executable) -> dict[str, Any]:
        """One function of the script's peers in a process of its own."""
        found = self._run([python, self._script, "--worker", name, "--settings", json.dumps(settings)])
        return {"wall_s": found["wall_s"], **found["lines"][-1]}

    def rounds(self, rows: dict[str, Callable[[int], dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
        """Each row in turn; the first round is kept apart by ``counted``."""
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in rows}
        for number in range(self.options.runs + 1):
            for name, run in rows.items():
                sys.stderr.write(f"round {number} of {self.options.runs}: {name}\n")
                found[name].append(run(number))
        return found

    def recipe(self, lessons: int) -> tuple[Any, list[str]]:
        """The default recipe for that many lessons on the base, and the modules that it adapts."""
        from lora_chat.models.installed import find_base
        from lora_chat.paths import find_paths
        from lora_chat.training.recipe import choose_recipe, target_modules

        base = find_base(find_paths(self.environ).models, EMBEDDED)
        recipe = choose_recipe(lessons, base.parameters)
        return recipe, target_modules(base.signature, recipe)

    def _run(self, command: list[str]) -> dict[str, Any]:
        began, busy = time.perf_counter(), trial.busy_elsewhere()
        done = subprocess.run(command, capture_output=True, text=True, env=self.environ, timeout=_LIMIT_S, check=False)
        wall, busy = time.perf_counter() - began, trial.busy_elsewhere() - busy
        if done.returncode:
            raise SystemExit(f"{command[2:5]} failed: {done.stderr.strip()[-600:]}")
        self.busiest = max(self.busiest, max(busy, 0.0) / wall / (os.cpu_count() or 1))
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"')]
        return {"wall_s": round(wall, 2), "lines": lines}


def counted(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All rounds but the first; with `--runs 0`, which is for trying it, that one."""
    return found[1:] or found


def make_parser(about: str, only: str, runs: int, each: str) -> argparse.ArgumentParser:
    """What all of these scripts take; ``only`` and ``runs`` are defaults, ``each`` says what a run is."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=only, help="parts, separated by commas")
    parser.add_argument("--runs", type=int, default=runs, help=each)
    parser.add_argument("--out", type=Path, help="write everything here as JSON")
    parser.add_argument("--work", type=Path, help="keep what is made here for the next time; a temporary folder if not")
    parser.add_argument("--trl-python", help="an interpreter that has trl")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--settings", help=argparse.SUPPRESS)
    return parser


def parse(parser: argparse.ArgumentParser, peers: ModuleType) -> argparse.Namespace:
    """The options; called again by ``Bench.worker``, the script runs that function of ``peers`` instead and ends."""
    options = parser.parse_args()
    if options.worker:
        settings = json.loads(options.settings)
        paths = {name: Path(settings[name]) for name in ("into", "job") if settings.get(name)}
        trial.report(getattr(peers, options.worker)(**{**settings, **paths}))
        raise SystemExit
    return options


def measure(
    script: str,
    options: argparse.Namespace,
    parts: Mapping[str, Callable[[Bench], dict[str, Any]]],
    table: Callable[[dict[str, Any]], Iterable[str]],
    **facts: Any,
) -> None:
    """Run the parts that were asked for, print ``table`` of their result, and write it with ``facts``."""
    result = {"benchmark": Path(script).stem, "machine": trial.machine(), "versions": trial.versions(), **facts}
    with trial.work_folder(options) as work:
        bench = Bench(options, work, script)
        for name in options.only.split(","):
            result[name] = parts[name](bench)
        result["busy_elsewhere"] = round(bench.busiest, 3)
    trial.keep(result, options.out)
    for line in table(result):
        print(line)
