"""The event loop's lag while the engine process loads, streams and trains. Owns the script and the beats.

Lag is what a 5 ms sleep on the event loop takes too long.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BEAT_S = 0.005


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


def lag(_: dict[str, Any], report: Path) -> None:
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
