"""How several programs are measured. Owns the options, the worker processes and the medians; never imports torch.

Each measurement is a process of its own, so that its memory and wall clock are its own; the rows take turns round by
round, so that the machine's noise meets all of them alike.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peers import LLAMA, LORA_CHAT, TRANSFORMERS

_LIMIT_S = 3600
_PATH = re.compile(r"(?<!\w)/\S+")


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    kind: str
    precision: str
    worn: bool

    @property
    def name(self) -> str:
        """As the table has it."""
        return f"{self.kind} {self.precision}"


def add_options(parser: argparse.ArgumentParser, shapes: tuple[str, ...]) -> None:
    """What every benchmark of peers takes."""
    parser.add_argument("--shape", choices=shapes, default=shapes[0], help="model to run")
    parser.add_argument("--runs", type=int, default=5, help="rounds; medians are shown")
    parser.add_argument("--out", type=Path, help="write everything here as JSON")
    parser.add_argument("--work", type=Path, help="keep what is made here for the next time; a temporary folder if not")
    parser.add_argument("--gguf", type=Path, help="the embedded model's own GGUF; fetched if not given")
    parser.add_argument("--llama-python", help="an interpreter that has llama-cpp-python; this one if it has")
    parser.add_argument("--only", default="", help="peers to run, separated by commas")
    parser.add_argument("--precisions", default="fp32,int8,int4,auto", help="of lora-chat, separated by commas")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--precision", default="", help=argparse.SUPPRESS)
    parser.add_argument("--worn", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--job", type=Path, help=argparse.SUPPRESS)


def rows(options: argparse.Namespace, *, worn: tuple[bool, ...] = (True, False)) -> list[Row]:
    """The lines asked for, the reference first."""
    precisions = {
        TRANSFORMERS: ["fp32"],
        LORA_CHAT: options.precisions.split(","),
        LLAMA: ["q4_1"],
    }
    wanted = options.only.split(",") if options.only else list(precisions)
    return [Row(kind, each, on) for kind in wanted for each in precisions[kind] for on in worn]


@contextlib.contextmanager
def work_folder(options: argparse.Namespace) -> Iterator[Path]:
    """Where models and adapters are made."""
    if options.work:
        options.work.mkdir(parents=True, exist_ok=True)
        yield options.work.resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def run_rounds(
    script: str, rows: list[Row], job: Path, options: argparse.Namespace, extra: tuple[str, ...] = ()
) -> dict[Row, list[dict[str, Any]]]:
    """Each row's runs, taken in turns; a row that was skipped or failed is not tried again.

    The first round's are not counted: they read the disk, and make what a program keeps between starts. They come
    first in each list.
    """
    runs: dict[Row, list[dict[str, Any]]] = {row: [] for row in rows}
    for number in range(options.runs + 1):
        for row in rows:
            if any("skipped" in each for each in runs[row]):
                continue
            sys.stderr.write(f"round {number} of {options.runs}: {row.name}{' + adapter' if row.worn else ''}\n")
            runs[row].append(run(script, row, job, options, extra))
    return runs


def run(script: str, row: Row, job: Path, options: argparse.Namespace, extra: tuple[str, ...]) -> dict[str, Any]:
    """One worker from its start to its exit, seen from outside."""
    interpreter = _interpreter(row, options)
    if interpreter is None:
        return {"skipped": "llama-cpp-python is not here: name an interpreter that has it with --llama-python"}
    command = [interpreter, script, "--worker", row.kind, "--precision", row.precision, "--job", str(job), *extra]
    began, busy = time.perf_counter(), busy_elsewhere()
    done = subprocess.run(
        command + ["--worn"] * row.worn, capture_output=True, text=True, timeout=_LIMIT_S, check=False
    )
    wall, busy = time.perf_counter() - began, busy_elsewhere() - busy
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        last = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
        return {"skipped": f"failed: {_PATH.sub('…', last)[:300]}"}
    found: dict[str, Any] = json.loads(lines[-1])
    return {"wall_s": round(wall, 3), "elsewhere": round(max(busy, 0.0) / wall / (os.cpu_count() or 1), 3), **found}


def busy_elsewhere() -> float:
    """Seconds that the cores spent on other things than workers so far, stolen ones included."""
    import psutil  # type: ignore[import-untyped]

    times = psutil.cpu_times()
    own = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent: float = sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)
    return spent - own.ru_utime - own.ru_stime


def busiest(runs: dict[Row, list[dict[str, Any]]]) -> float:
    """The largest share of the cores that other processes had during a counted run: above some percent, run again."""
    return max((run["elsewhere"] for found in runs.values() for run in found[1:] if "elsewhere" in run), default=0.0)


def _interpreter(row: Row, options: argparse.Namespace) -> str | None:
    if row.kind != LLAMA or importlib.util.find_spec("llama_cpp"):
        return sys.executable
    return str(options.llama_python) if options.llama_python else None


def report(found: dict[str, Any]) -> None:
    """A worker's last line: ``found``, with this process's peak of memory."""
    sys.stdout.write(json.dumps({"peak_mb": round(peak_mb()), **found}) + "\n")


def peak_mb() -> float:
    """This process's largest resident memory, mapped files included.

    Linux's ``ru_maxrss`` would also count the parent's, from between fork and exec.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def median(runs: list[dict[str, Any]], name: str) -> float | None:
    """Of the figure ``name``; None when no run has it."""
    values = [run[name] for run in runs if run.get(name) is not None]
    return statistics.median(values) if values else None


def ratio(over: float | None, under: float | None) -> float | None:
    """``over / under``, where both are known."""
    return round(over / under, 3) if over is not None and under else None


def keep(result: dict[str, Any], out: Path | None) -> None:
    """Write ``result`` as JSON, where that was asked for."""
    if out:
        out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def heading(result: dict[str, Any]) -> list[str]:
    """What every table begins with."""
    return [result["machine"], ", ".join(f"{name} {version}" for name, version in result["versions"].items())]


def busy_line(result: dict[str, Any]) -> str:
    """How much to trust the table."""
    return f"other processes had at most {result['busy_elsewhere']:.0%} of the cores during a run"


def machine() -> str:
    """In one line."""
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def versions() -> dict[str, str]:
    """Of what is measured under this interpreter."""
    return {name: importlib.metadata.version(name) for name in ("lora-chat", "torch", "transformers", "peft")}


def shown(value: float | None, digits: int = 1, unit: str = "") -> str:
    """A table's cell."""
    return "-" if value is None else f"{value:,.{digits}f}{unit}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{next(named, platform.processor())} {platform.machine()}".strip()
