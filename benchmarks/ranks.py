"""One training in one process and in two: the same loss curve, and how long each takes.

    python benchmarks/ranks.py [--out ranks.json] [--lessons 12] [--effort light] [--processes 1,2]

The first lessons of the shipped support-bot, written out as a job (`lora-chat train … --write-job`) that each row runs
from a copy of its own: one process by `python -m lora_chat.training`, several by torchrun, which gives each of them one
thread. Seconds are from a process's start to its exit; on one machine's processors several are no faster than one with
as many threads, so what counts here is the loss. Needs the embedded base (`lora-chat model pull smollm2-135m`) in the
home, and its answers to general questions, which the first training there makes.

Owns this table; never runs two rows at once.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import trial

BASE = "smollm2-135m"
SOURCE = Path(__file__).parent.parent / "adapters" / "support-bot" / "examples.jsonl"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write everything here as JSON")
    parser.add_argument("--lessons", type=int, default=12)
    parser.add_argument("--effort", default="light")
    parser.add_argument("--processes", default="1,2", help="counts, separated by commas; the first is compared with")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        job = written(Path(work), options.lessons, options.effort)
        counts = [int(each) for each in options.processes.split(",")]
        result = told([trained(Path(shutil.copytree(job, job.with_name(f"job-{n}"))), n) for n in counts])
    result |= {"lessons": options.lessons, "effort": options.effort}
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def written(work: Path, lessons: int, effort: str) -> Path:
    """The job."""
    lines = SOURCE.read_text(encoding="utf-8").splitlines(keepends=True)[:lessons]
    (work / "lessons.jsonl").write_text("".join(lines), encoding="utf-8")
    words = ["train", str(work / "lessons.jsonl"), "--name", "ranks", "--base", BASE, "--effort", effort]
    command = [sys.executable, "-m", "lora_chat", *words, "--write-job", str(work / "job"), "--yes"]
    subprocess.run(command, check=True, capture_output=True)
    return work / "job"


def trained(job: Path, processes: int) -> dict[str, Any]:
    """One row, with the loss of each step."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    launcher = torchrun if processes > 1 else []
    job_bytes = sum(each.stat().st_size for each in job.iterdir())
    began, load = time.perf_counter(), os.getloadavg()[0]
    command = [sys.executable, *launcher, "-m", "lora_chat.training", str(job), "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = row(done.stdout, processes, time.perf_counter() - began, load)
    size = (job / "adapter" / "adapter_model.safetensors").stat().st_size
    return found | {"adapter_bytes": size, "job_bytes": job_bytes}


def row(lines: str, processes: int, wall_s: float, load: float) -> dict[str, Any]:
    """What the program said of one run."""
    events = [json.loads(line) for line in lines.splitlines()]
    report = events[-1]["report"]
    return {
        "processes": processes,
        "wall_s": round(wall_s, 1),
        "load_before": round(load, 2),
        "steps": report["steps"],
        "tokens_per_second": round(report["tokens_per_second"], 1),
        "memory": report["memory"],
        "losses": [event["loss"] for event in events if event["event"] == "step"],
        "general_loss_after": report["general_loss_after"],
    }


def told(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The rows with how far each one's losses are from the first's, printed."""
    for each in rows:
        pairs = list(zip(rows[0]["losses"], each["losses"], strict=True))
        each["loss_apart"] = max(abs(one - other) / one for one, other in pairs)
        print(
            f"{each['processes']} processes: {each['wall_s']:.1f} s, {each['steps']} steps, "
            f"{each['tokens_per_second']:.1f} tokens/s, losses at most {each['loss_apart']:.1e} apart"
        )
    return {"machine": trial.machine(), "versions": trial.versions(), "rows": rows}


if __name__ == "__main__":
    main()
