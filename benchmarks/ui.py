"""How fast the window stands and how smooth it stays: first paint, and the event loop's lag under load.

    python benchmarks/ui.py [--out ui.json] [--runs 9]

Needs the embedded base on this machine (`lora-chat model pull smollm2-135m`). First paint is measured from outside,
from the start of the process to the prompt on a pseudo-terminal, in turns with a bare Textual app of four widgets. Lag
is what a 5 ms sleep on the event loop takes too long while the engine process loads, streams and trains beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import platform
import pty
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIZE = (120, 36)

BARE = """
from textual.app import App
from textual.widgets import Input, Static
class Bare(App):
    def compose(self):
        yield Static("one")
        yield Static("two")
        yield Static("three")
        yield Input(placeholder="Type a message")
Bare().run()
"""

MARK = b"ype a message"
"""Of the prompt; its first letter may be drawn by itself, under the cursor."""

BEAT_S = 0.005


class Window:
    """A process on a pseudo-terminal, read as fast as it writes."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)

    def until(self, mark: bytes, seconds: float = 60) -> float:
        """Seconds from the start until ``mark`` was written."""
        seen = b""
        while mark not in seen:
            assert time.perf_counter() - self.began < seconds, seen[-2000:]
            if select.select([self.master], [], [], 0.5)[0]:
                seen += os.read(self.master, 65536)
        return time.perf_counter() - self.began

    def drain(self) -> None:
        """Read whatever comes until the end."""
        while True:
            try:
                if not os.read(self.master, 65536):
                    return
            except OSError:
                return

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        os.close(self.master)


def environment(home: Path) -> dict[str, str]:
    """A terminal with colours, and the home to be used."""
    return os.environ | {"LORA_CHAT_HOME": str(home), "TERM": "xterm-256color", "COLORTERM": "truecolor"}


def first_paint(home: Path, runs: int) -> dict[str, Any]:
    """Medians of both programs, started in turns."""
    ours: list[float] = []
    bare: list[float] = []
    torch = False
    for _ in range(runs):
        window = Window([sys.executable, "-c", BARE], environment(home))
        bare.append(window.until(MARK))
        window.close()
        window = Window([sys.executable, "-m", "lora_chat"], environment(home))
        ours.append(window.until(MARK))
        maps = Path(f"/proc/{window.process.pid}/maps")
        torch = torch or (maps.exists() and "libtorch" in maps.read_text())
        window.close()
    median_ours, median_bare = statistics.median(ours), statistics.median(bare)
    return {
        "ours_s": round(median_ours, 3),
        "bare_textual_s": round(median_bare, 3),
        "ratio": round(median_ours / median_bare, 2),
        "runs": runs,
        "torch_in_the_process": torch,
    }


def lag(home: Path) -> dict[str, Any]:
    """Run the program under load in a window of its own; it reports its loop's lag by phase."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "lag.json"
        window = Window([sys.executable, __file__, "--child", str(report)], environment(home))
        threading.Thread(target=window.drain, daemon=True).start()
        window.process.wait(600)
        found: dict[str, Any] = json.loads(report.read_text())
    return found


class Beats:
    """Lags of the event loop in ms, by phase."""

    def __init__(self) -> None:
        self.phase = "start"
        self.lags: dict[str, list[float]] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            began = time.perf_counter()
            await asyncio.sleep(BEAT_S)
            self.lags.setdefault(self.phase, []).append((time.perf_counter() - began - BEAT_S) * 1000)

    def report(self) -> dict[str, Any]:
        """Median, p99 and largest of each phase."""
        return {
            phase: {
                "beats": len(lags),
                "p50_ms": round(statistics.median(lags), 2),
                "p99_ms": round(sorted(lags)[int(len(lags) * 0.99)], 2),
                "max_ms": round(max(lags), 2),
            }
            for phase, lags in self.lags.items()
        }


def child(report: Path) -> None:
    """The program itself, worked by a script; writes its lags to ``report``."""
    from lora_chat.tui.app import LoraChatApp

    beats = Beats()

    class Measured(LoraChatApp):
        def on_base_found(self, event: Any) -> None:
            super().on_base_found(event)
            self.run_worker(beats.run())
            self.run_worker(work(self, beats))

    app = Measured()
    app.run()
    app.bridge.close()
    report.write_text(json.dumps(beats.report()))


async def work(app: Any, beats: Beats) -> None:
    """Load, stream, correct, train while streaming, then leave."""
    from lora_chat.tui.screens.training_plan import TrainingPlanScreen
    from lora_chat.tui.widgets.status_line import StatusLine
    from lora_chat.tui.widgets.title_bar import TitleBar

    async def until(what: Callable[[], bool]) -> None:
        while not what():
            await asyncio.sleep(0.05)

    async def answered(question: str) -> None:
        app.bridge.take(question)
        await until(lambda: app.bridge.replying)
        await until(lambda: not app.bridge.replying)
        await asyncio.sleep(0.3)

    if app.screen is not app.chat:
        app.screen.dismiss("chat")
    chat = app.chat
    beats.phase = "loading"
    await until(lambda: chat.query_one(TitleBar).engine == "")
    beats.phase = "streaming"
    app.bridge.take("/set max_tokens 160")
    for question in ("Write a short story about the sea.", "List ten animals.", "Write a Python function."):
        await answered(question)
    beats.phase = "training and streaming"
    app.bridge.take("/edit Ten animals: cat, dog, cow, horse, sheep, goat, pig, hen, duck, goose.")
    app.bridge.take("/train from-history bench")
    await until(lambda: isinstance(app.screen, TrainingPlanScreen))
    app.screen.dismiss(app.screen.plan)
    await until(lambda: chat.query_one(StatusLine).training is not None)
    app.bridge.take("/set max_tokens 60")
    for _ in range(3):  # a training waits while an answer is made: asked without end it would never end
        await answered("Tell me about the weather.")
    beats.phase = "training"
    await until(lambda: not app.flow.running)
    app.exit()


def main() -> None:
    """Measure both and print them."""
    from lora_chat.paths import find_paths

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--child", type=Path)
    options = parser.parse_args()
    if options.child:
        child(options.child)
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "models").symlink_to(find_paths(os.environ).models)
        result = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
            "first_paint": first_paint(home, options.runs),
            "lag": lag(home),
        }
    show(result)
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")


def show(result: dict[str, Any]) -> None:
    """As a table."""
    paint = result["first_paint"]
    lines = [
        result["machine"],
        f"first paint   {paint['ours_s']:.3f} s, a bare Textual app {paint['bare_textual_s']:.3f} s: "
        f"{paint['ratio']:.2f}x (median of {paint['runs']}); torch in the process: {paint['torch_in_the_process']}",
        f"{'event loop lag':24} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8} {'beats':>8}",
    ]
    lines += [
        f"{phase:24} {each['p50_ms']:>8.2f} {each['p99_ms']:>8.2f} {each['max_ms']:>8.2f} {each['beats']:>8}"
        for phase, each in result["lag"].items()
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
