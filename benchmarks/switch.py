"""How long putting on another adapter takes until the next reply can start: lora-chat beside PEFT's set_adapter.

    python benchmarks/switch.py [--out switch.json] [--runs 5] [--work DIR] [--resident 1,8,64] [--installed 1000]

Adapters of rank 8 on every linear module of the embedded base, each a folder of its own with the same numbers. "cold"
is the first time one is worn: its files read from the disk's cache, checked, hashed and made ready (PEFT:
``load_adapter``, in its quick form ``low_cpu_mem_usage``, and ``set_adapter``). "warm" is going back to one that was
worn lately (PEFT: ``set_adapter``), "off" to the bare base (PEFT: entering ``disable_adapter``). "resident" counts the
adapters that were worn before; lora-chat keeps as many of them as its memory budget allows, PEFT all. "lookup" is
finding one by its name among --installed installed ones. Needs the embedded base (`lora-chat model pull
smollm2-135m`). A first round is not counted, as in decode.py.

Owns this table; never runs two programs at once.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import trial
from peers import LORA_CHAT, TRANSFORMERS, Subject, load_subject
from shapes import EMBEDDED, prepare
from trial import Row, median, shown

SWITCHES = 9
"""Of each kind in one worker; their median is the worker's figure."""


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    trial.add_options(parser, (EMBEDDED,))
    parser.add_argument("--resident", default="1,8,64", help="adapters worn before, separated by commas")
    parser.add_argument("--installed", type=int, default=1000, help="adapters installed for the lookup")
    options = parser.parse_args()
    if options.worker:
        worker(options)
        return
    rows = [Row(LORA_CHAT, "auto", True), Row(LORA_CHAT, "fp32", True), Row(TRANSFORMERS, "fp32", True)]
    result: dict[str, Any] = {
        "machine": trial.machine(),
        "versions": trial.versions(),
        "runs": options.runs,
        "rows": [],
    }
    busy = 0.0
    with trial.work_folder(options) as work:
        subject = prepare(EMBEDDED, work, options.gguf)
        job = work / "switch.json"
        subject.save(job)
        for resident in map(int, options.resident.split(",")):
            runs = trial.run_rounds(__file__, rows, job, options, ("--resident", str(resident)))
            busy = max(busy, trial.busiest(runs))
            for row, found in runs.items():
                figures = {name: median(found[1:], name) for name in ("warm_ms", "cold_ms", "off_ms", "peak_mb")}
                result["rows"].append({"peer": row.name, "resident": resident, **figures, "runs": found})
        result["busy_elsewhere"] = busy
        result["installed"] = options.installed
        result["lookup_ms"] = round(lookup_ms(Path(subject.adapter), options.installed), 2)
    trial.keep(result, options.out)
    for line in table(result):
        print(line)


def table(result: dict[str, Any]) -> Iterator[str]:
    """What is printed."""
    yield from trial.heading(result)
    yield f"{'':20} {'resident':>8} {'warm':>9} {'cold':>9} {'off':>9} {'peak memory':>12}"
    for row in result["rows"]:
        cells = [f"{shown(row[name])} ms" for name in ("warm_ms", "cold_ms", "off_ms")]
        memory = shown(row["peak_mb"], 0, " MB")
        yield f"{row['peer']:20} {row['resident']:>8} " + " ".join(f"{cell:>9}" for cell in cells) + f" {memory:>12}"
    yield f"finding one of {result['installed']:,} installed by its name: {result['lookup_ms']:.1f} ms"
    yield trial.busy_line(result)


def worker(options: argparse.Namespace) -> None:
    """One fresh process: wear --resident adapters, then switch."""
    subject = load_subject(options.job)
    with tempfile.TemporaryDirectory() as folder:
        count = int(options.resident) + SWITCHES
        adapters = [shutil.copytree(subject.adapter, Path(folder) / f"a{number}") for number in range(count)]
        measure = _lora_chat if options.worker == LORA_CHAT else _peft
        trial.report(measure(subject, adapters, int(options.resident), options.precision))


def _lora_chat(subject: Subject, adapters: list[Path], resident: int, precision: Any) -> dict[str, float]:
    from lora_chat.engine.factory import open_local_for
    from lora_chat.engine.protocol import Worn
    from lora_chat.models.installed import find_base
    from lora_chat.paths import find_paths

    paths = find_paths(os.environ)
    loaded = open_local_for(find_base(paths.models, subject.base), paths, precision)._load()
    worn = [Worn(folder.name, folder, subject.adapter_sha256) for folder in adapters]

    def wear(adapter: Worn | None) -> None:
        with loaded.context(adapter, subject.prompt.ids):
            pass

    def warm(number: int) -> None:
        wear(worn[max(0, resident - 2) + number % 2 if resident > 1 else 0])

    for adapter in worn[:resident]:
        wear(adapter)
    return _figures(warm, lambda number: wear(worn[resident + number]), lambda: wear(None))


def _peft(subject: Subject, adapters: list[Path], resident: int, precision: str) -> dict[str, float]:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base: Any = AutoModelForCausalLM.from_pretrained(subject.folder, dtype=torch.float32, local_files_only=True)
    model: Any = PeftModel.from_pretrained(base, str(adapters[0]), adapter_name="a0").eval()
    for folder in adapters[1:resident]:
        model.load_adapter(str(folder), folder.name, low_cpu_mem_usage=True)

    def cold(number: int) -> None:
        name = f"a{resident + number}"
        model.load_adapter(str(adapters[resident + number]), name, low_cpu_mem_usage=True)
        model.set_adapter(name)

    def off() -> None:
        with model.disable_adapter():
            pass

    return _figures(lambda number: model.set_adapter(f"a{number % resident}"), cold, off)


def _figures(
    warm: Callable[[int], object], cold: Callable[[int], object], off: Callable[[], object]
) -> dict[str, float]:
    """Medians in ms; warm first, since each cold switch adds a resident one."""
    warm(0)
    found: dict[str, list[float]] = {"warm_ms": [], "off_ms": [], "cold_ms": []}
    for number in range(SWITCHES):
        found["warm_ms"].append(_ms(lambda number=number: warm(number)))  # type: ignore[misc]
        found["off_ms"].append(_ms(off))
    for number in range(SWITCHES):
        found["cold_ms"].append(_ms(lambda number=number: cold(number)))  # type: ignore[misc]
    return {name: statistics.median(times) for name, times in found.items()}


def _ms(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1000


def lookup_ms(adapter: Path, installed: int) -> float:
    """Finding an adapter by its name, the listing known from an earlier look; the median of several."""
    from lora_chat.services import open_services

    with tempfile.TemporaryDirectory() as home:
        for number in range(installed):
            shutil.copytree(adapter, Path(home) / "adapters" / f"adapter-{number}", copy_function=os.link)
        with open_services({"LORA_CHAT_HOME": home}) as services:
            services.adapters()
            return statistics.median(_ms(lambda: services.wear(f"adapter-{installed // 2}")) for _ in range(SWITCHES))


if __name__ == "__main__":
    sys.exit(main())
