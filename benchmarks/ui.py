"""How fast the window stands, how smooth it stays, and how far it reaches.

    python benchmarks/ui.py [--out ui.json] [--only paint,lag,stream,start,open,search] [--runs 9] [--work DIR]
                            [--elia PYTHON]

Needs the embedded base on this machine (`lora-chat model pull smollm2-135m`); the person's own chats are not looked at.

paint   from the start of the process to the prompt, in turns with a bare Textual app of four widgets.
lag     what a 5 ms sleep on the event loop takes too long while the engine process loads, streams and trains.
stream  a reply of --tokens tokens into the window: seconds that its event loop spends on the last tenth and on the
        first, at the default base's pace and with each token painted by itself. The engine is scripted.
start   from the start of the process to the list of conversations, with --conversations in the store.
open    from Enter in that list to the last words of a conversation of --long messages.
        With --elia, the interpreter of an environment with elia-chat, both are measured in elia too, on the same chats.
search  from a key to the repaint with its hits, among --messages; letters 150 ms apart, nothing else is waited for.

start and open are seen from outside, on a pseudo-terminal, as are the processes of lag, stream and search, which read
their clocks inside. Medians of the runs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import trial
import ui_lag
import ui_peers
import ui_reach
import ui_stores
from ui_window import MARK, Window, environment, first_paint, ours

LONGEST_S = 900
"""What is waited for one part in a window."""
CHILDREN = {"lag": ui_lag.lag, "stream": ui_reach.stream, "search": ui_reach.search}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write everything here as JSON")
    parser.add_argument("--only", default="paint,lag,stream,start,open,search", help="parts, separated by commas")
    parser.add_argument("--runs", type=int, default=9, help="starts, openings; of searches and streams a third")
    parser.add_argument("--work", type=Path, help="where the chats are made; a temporary folder if not")
    parser.add_argument("--base", default="smollm2-135m", help="an installed base")
    parser.add_argument("--tokens", type=int, default=10_000)
    parser.add_argument("--conversations", type=int, default=10_000)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--long", type=int, default=5_000)
    parser.add_argument("--elia", type=Path, metavar="PYTHON", help="an interpreter that has elia-chat")
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    parser.add_argument("--settings", help=argparse.SUPPRESS)
    parser.add_argument("--report", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        CHILDREN[options.child](json.loads(options.settings), options.report)
        return
    result: dict[str, Any] = {"benchmark": "ui", "machine": trial.machine(), "parts": options.only.split(",")}
    with trial.work_folder(options) as work:
        measure(result, options, work)
    trial.keep(result, options.out)
    for line in table(result):
        print(line)


def measure(result: dict[str, Any], options: argparse.Namespace, work: Path) -> None:
    """Each part that was asked for, in a home without chats or in one with many."""
    empty, full = make_home(work / "empty", options.base), make_home(work / "full", options.base)
    few, parts = max(1, options.runs // 3), result["parts"]
    if "paint" in parts:
        result["first_paint"] = first_paint(empty, options.runs)
    if "lag" in parts:
        result["lag"] = lag(work, options.base)
    if "stream" in parts:
        result["stream"] = [
            stream(empty, kind, alone, few, options) for kind in ui_reach.KINDS for alone in (False, True)
        ]
    if {"start", "open", "search"} & set(parts):
        result["store"] = {name: getattr(options, name) for name in ("conversations", "messages", "long")}
        if not (full / "chats.db").exists():
            ui_stores.fill(full / "chats.db", options.base, chats(options))
    if "start" in parts:
        result["start"] = started(full, options.runs)
    if "open" in parts:
        result["open"] = opened(full, options.runs)
    if "search" in parts:
        result["search"] = child(full, "search", {"runs": few})
    if options.elia and {"start", "open"} & set(parts):
        result["elia"] = ui_peers.elia(options.elia, work / "elia", chats(options), few)


def chats(options: argparse.Namespace) -> Iterator[ui_stores.Said]:
    """Those that all programs are given, the long one last."""
    many = ui_stores.conversations(options.conversations, options.messages)
    return chain(many, [ui_stores.long_one(options.long)])


def make_home(home: Path, base: str) -> Path:
    """One with the person's base models and nothing else of theirs."""
    from lora_chat.paths import find_paths

    if not home.exists():
        home.mkdir(parents=True)
        (home / "models").symlink_to(find_paths(os.environ).models)
        (home / "config.toml").write_text(f'model = "{base}"\n', encoding="utf-8")
    return home


def child(home: Path, name: str, settings: dict[str, Any]) -> Any:
    """Run the window in a process and on a terminal of its own; it reports what its clocks said."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            sys.executable,
            __file__,
            "--child",
            name,
            "--settings",
            json.dumps(settings),
            "--report",
            str(report),
        ]
        window = Window(command, environment(home))
        window.drain()
        try:
            window.process.wait(LONGEST_S)
        except subprocess.TimeoutExpired:
            window.process.kill()
            raise SystemExit(f"{name} has not ended within {LONGEST_S} s: start lora-chat on {home} and see.") from None
        return json.loads(report.read_text(encoding="utf-8"))


def lag(work: Path, base: str) -> Any:
    """In a home of its own: it trains an adapter, whose name is taken where it was trained before."""
    with tempfile.TemporaryDirectory(prefix="lag-", dir=work) as folder:
        return child(make_home(Path(folder) / "home", base), "lag", {})


def stream(home: Path, kind: str, alone: bool, runs: int, options: argparse.Namespace) -> dict[str, Any]:
    """Medians of the first and the last tenth, in seconds of the event loop's thread."""
    settings = {"kind": kind, "alone": alone, "tokens": options.tokens, "step": options.tokens // 10, "before": 12}
    found = [child(home, "stream", settings)["ui_s"] for _ in range(runs)]
    first, last = (statistics.median(each[at] for each in found) for at in (0, -1))
    row = {"kind": kind, "alone": alone, "first_s": round(first, 2), "last_s": round(last, 2)}
    return row | {"ratio": trial.ratio(last, first), "tokens": options.tokens, "tenths_s": found}


def started(home: Path, runs: int) -> dict[str, Any]:
    """Until the newest conversation's title stands in the list, and until the prompt did."""
    paints, lists = list[float](), list[float]()
    for _ in range(runs):
        window = ours(home)
        paints.append(window.until(MARK))
        lists.append(window.until(ui_stores.LONG[1:].encode()))
        window.close()
    return {"paint_s": round(statistics.median(paints), 3), "list_s": round(statistics.median(lists), 3), "runs": runs}


def opened(home: Path, runs: int) -> dict[str, Any]:
    """The newest one, from the list, each time in a window of its own."""
    times = list[float]()
    for _ in range(runs):
        window = ours(home)
        window.until(ui_stores.LONG[1:].encode())
        window.settle(3.0)  # the engine loads
        window.press(b"\x0c")
        window.settle(0.5)
        window.press(b"\r")
        times.append(window.until(ui_stores.LAST[4:].encode()))
        window.close()
    return {"ms": round(statistics.median(times) * 1000), "all_ms": [round(each * 1000) for each in times]}


def table(result: dict[str, Any]) -> Iterator[str]:
    """What is printed."""
    yield result["machine"]
    if paint := result.get("first_paint"):
        bare = f"a bare Textual app {paint['bare_textual_s']:.3f} s: {paint['ratio']:.2f}x"
        yield f"first paint   {paint['ours_s']:.3f} s, {bare}; torch in the process: {paint['torch_in_the_process']}"
    for phase, each in result.get("lag", {}).items():
        yield f"lag, {phase:24} p50 {each['p50_ms']:.2f}, p99 {each['p99_ms']:.2f}, max {each['max_ms']:.2f} ms"
    for row in result.get("stream", ()):
        how = "each alone" if row["alone"] else "as it comes"
        yield f"{row['kind']:6} {how:12} first {row['first_s']:.2f} s, last {row['last_s']:.2f} s: {row['ratio']:.2f}x"
    if start := result.get("start"):
        yield f"start, with many conversations: prompt {start['paint_s']:.3f} s, list {start['list_s']:.3f} s"
    if opening := result.get("open"):
        yield f"a long conversation opens in {opening['ms']} ms"
    if peer := result.get("elia"):
        listed, opened_in = (
            "not in time" if seconds is None else f"{seconds:.2f} s" for seconds in (peer["list_s"], peer["open_s"])
        )
        yield f"elia {peer['version']} with the same chats: list {listed}, the long one opens in {opened_in}"
    for name, each in result.get("search", {}).items():
        yield f"search, {name:16} slowest key {max(each['ms']):.0f} ms, the first time {max(each['first_ms']):.0f} ms"


if __name__ == "__main__":
    main()
