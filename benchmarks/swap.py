"""What a change of bases needs and takes: two need never fit beside each other.

    python benchmarks/swap.py [--out swap.json] [--runs 3] [--work DIR] [--first NAME --second NAME] [--quick]

The chat without its window: a sitting as the terminal has it, whose engine is a process of its own. It answers with the
first base, changes to the second (`/model use`), answers, and changes back. Every 20 ms the memory of the whole process
tree is summed (resident, so that what two processes map of one file counts twice) and its engines are counted.

alone   the same with one base that is never changed: what that alone needs at its peak.
swap    its peak from the first change to the last answer, against the larger of the two alone; the process of the base
        before must be gone when the change is done. Seconds are until the first token of the next base's answer.

Without --first and --second the bases are the embedded one (`lora-chat model pull smollm2-135m`) and random weights of
Qwen3-0.6B's shape in bfloat16. A first round is not counted: it packs the weights. --quick makes no such round, one
run, and answers of 4 tokens.

Owns this table; never runs two programs at once.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import trial
from trial import median, ratio, shown

SHAPE = "qwen3-0.6b"
QUESTION = "Tell me a story about an old lighthouse keeper and the sea."
TOKENS, QUICK_TOKENS = 32, 4
_EVERY_S = 0.02
_LIMIT_S = 1800


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="rounds; medians are shown")
    parser.add_argument("--out", type=Path, help="write everything here as JSON")
    parser.add_argument("--work", type=Path, help="keep what is made here for the next time; a temporary folder if not")
    parser.add_argument("--first", help="an installed base")
    parser.add_argument("--second", help="another one")
    parser.add_argument("--quick", action="store_true", help="for trying it")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        sys.stdout.write(json.dumps(worker(options.worker.split(","), options.quick)) + "\n")
        return
    with trial.work_folder(options) as work:
        home, bases = _home(options, work)
        result = measure(home, bases, options)
    trial.keep(result, options.out)
    for line in table(result):
        print(line)


def measure(home: Path, bases: tuple[str, str], options: argparse.Namespace) -> dict[str, Any]:
    """All rounds of all rows, each run a process of its own."""
    first, second = bases
    rows = {f"{first} alone": [first], f"{second} alone": [second], "swap": [first, second, first]}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in rows}
    for number in [1] if options.quick else range(options.runs + 1):
        for name, course in rows.items():
            sys.stderr.write(f"round {number} of {options.runs}: {name}\n")
            runs[name].append(_run(home, course, quick=options.quick))
    counted = {name: found if options.quick else found[1:] for name, found in runs.items()}
    swaps = counted.pop("swap")
    alone = {name: median(found, "peak_mb") for name, found in counted.items()}
    peak = median(swaps, "swap_peak_mb")
    figures = ("bare_mb", "first_mb", "second_mb", "back_mb", "to_second_s", "to_first_s", "gone_s")
    return {
        "machine": trial.machine(),
        "versions": trial.versions(),
        "bases": list(bases),
        "alone_peak_mb": alone,
        "swap": {name: median(swaps, name) for name in figures}
        | {
            "peak_mb": peak,
            "engines_at_once": max(run["engines_at_once"] for run in swaps),
            "gone": all(run["gone"] for run in swaps),
        },
        "ratio": ratio(peak, max(each for each in alone.values() if each is not None)),
        "busy_elsewhere": max(run["elsewhere"] for found in (*counted.values(), swaps) for run in found),
        "runs": runs,
    }


def table(result: dict[str, Any]) -> Iterator[str]:
    """What is printed."""
    yield from trial.heading(result)
    swap, (first, second) = result["swap"], result["bases"]
    for name, alone in result["alone_peak_mb"].items():
        yield f"{name:28} peak {shown(alone, 0, ' MB'):>9}"
    peak = shown(swap["peak_mb"], 0, " MB")
    yield f"{f'{first}, {second}, {first}':28} peak {peak:>9} = {result['ratio']} of the larger"
    names = {"before": "bare_mb", first: "first_mb", second: "second_mb", f"{first} again": "back_mb"}
    yield "the whole tree: " + "; ".join(f"{name} {shown(swap[key], 0, ' MB')}" for name, key in names.items())
    seconds = [shown(swap[key], 2, " s") for key in ("to_second_s", "to_first_s", "gone_s")]
    yield f"to {second} {seconds[0]}, back to {first} {seconds[1]}; the one before is gone after {seconds[2]}"
    yield f"engines at once: {swap['engines_at_once']}; each left none behind: {swap['gone']}"
    yield trial.busy_line(result)


def worker(course: list[str], quick: bool) -> dict[str, Any]:
    """One program from its start: it answers with each base of ``course`` in turn."""
    from typing import cast

    from lora_chat.config import Config
    from lora_chat.models.installed import find_base
    from lora_chat.paths import find_paths
    from lora_chat.services import Services
    from lora_chat.sitting.face import Face
    from lora_chat.sitting.sitting import Sitting

    paths = find_paths(os.environ)
    found: dict[str, Any] = {"gone": True}
    config = Config(model=course[0], temperature=0.0, max_tokens=QUICK_TOKENS if quick else TOKENS)
    with Services(paths, config) as services, _Watch() as watch:
        face = _Silent()
        sitting = Sitting(services, find_base(paths.models, course[0]), cast(Face, face))
        found["bare_mb"] = watch.now()
        _ask(sitting)
        found["first_mb"], found["peak_mb"] = watch.now(), watch.peak_mb
        watch.peak_mb = 0.0
        for place, name in enumerate(course[1:]):
            before, began = sitting.engine.pid, time.perf_counter()  # type: ignore[attr-defined]
            sitting.change_base(find_base(paths.models, name))
            found["gone_s"] = time.perf_counter() - began
            found["gone"] &= not _is_there(before)
            face.first_at = None
            _ask(sitting)
            assert face.first_at is not None, "nothing was answered"
            found["to_second_s" if place == 0 else "to_first_s"] = face.first_at - began
            found["second_mb" if place == 0 else "back_mb"] = watch.now()
        found["swap_peak_mb"], found["engines_at_once"] = watch.peak_mb, watch.engines
        sitting.close()
    return found


def _ask(sitting: Any) -> None:
    from lora_chat.sitting.commands import take

    take(sitting, QUESTION)


class _Silent:
    """A face that has answers made at once and shows nothing."""

    first_at: float | None = None

    def play(self, turn: Any) -> None:
        from lora_chat.engine.protocol import TextChunk
        from lora_chat.session import Ended

        for event in turn(threading.Event()):
            if isinstance(event, TextChunk | Ended):
                self.first_at = self.first_at or time.perf_counter()

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


class _Watch:
    """The memory of this process and of all below it, looked at by a thread."""

    def __init__(self) -> None:
        self.peak_mb, self.engines = 0.0, 0
        self._ended = threading.Event()

    def __enter__(self) -> _Watch:
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def now(self) -> float:
        """MB of the whole tree."""
        memory, _ = self._tree()
        self.peak_mb = max(self.peak_mb, memory)
        return round(memory, 1)

    def _look(self) -> None:
        while not self._ended.wait(_EVERY_S):
            memory, engines = self._tree()
            self.peak_mb, self.engines = max(self.peak_mb, memory), max(self.engines, engines)

    def _tree(self) -> tuple[float, int]:
        import psutil  # type: ignore[import-untyped]

        own = psutil.Process()
        total, engines = own.memory_info().rss, 0
        for each in own.children(recursive=True):
            with suppress(psutil.Error):  # it has ended meanwhile
                total += each.memory_info().rss
                engines += 1
        return total / 1e6, engines


def _is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() if sys.platform.startswith("linux") else _answers(pid)


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _run(home: Path, course: list[str], *, quick: bool) -> dict[str, Any]:
    command = [sys.executable, __file__, "--worker", ",".join(course), *(["--quick"] if quick else [])]
    began, busy = time.perf_counter(), trial.busy_elsewhere()
    environ = os.environ | {"LORA_CHAT_HOME": str(home)}
    done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=_LIMIT_S, check=False)
    wall, busy = time.perf_counter() - began, trial.busy_elsewhere() - busy
    if done.returncode:
        raise SystemExit(f"{course} failed: {done.stderr.strip()[-600:]}")
    elsewhere = round(max(busy, 0.0) / wall / (os.cpu_count() or 1), 3)
    found: dict[str, Any] = {
        "wall_s": round(wall, 2),
        "elsewhere": elsewhere,
        **json.loads(done.stdout.splitlines()[-1]),
    }
    return {name: round(each, 3) if isinstance(each, float) else each for name, each in found.items()}


def _home(options: argparse.Namespace, work: Path) -> tuple[Path, tuple[str, str]]:
    """A home of its own, so that no conversation of the person's is added to; its bases are links to where they lie."""
    from lora_chat.paths import find_paths

    models = find_paths(os.environ).models
    home = work / "swap-home"
    bases = options.first or "smollm2-135m", options.second or SHAPE
    for name in bases:
        place = home / "models" / name
        if place.exists():
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if name == SHAPE and not options.second:
            _install(home, work)
        else:
            shutil.copytree(models / name, place, copy_function=_linked)
    return home, bases


def _install(home: Path, work: Path) -> None:
    from shapes import random_base

    from lora_chat.models.catalog import resolve
    from lora_chat.models.sources import pull
    from lora_chat.paths import find_paths

    pull(resolve(str(random_base(SHAPE, work))), find_paths({"LORA_CHAT_HOME": str(home)}), lambda *_: None)


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


if __name__ == "__main__":
    sys.exit(main())
