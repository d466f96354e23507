"""Draw ``docs/window.svg`` from a real run: ``python docs/picture.py``, where the base model is installed.

The window is driven as a person would drive it, on the real model, in a home of its own: a question, the answer that
was wanted, a training, the same question in other words, and the shipped adapter. The picture is what the window shows
then. The fonts are the reader's own: no picture of ours loads anything.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lora_chat.paths import find_paths

SIZE = (104, 30)
FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace"


async def play() -> str:
    """The loop, key by key; returns the window as SVG."""
    from textual.pilot import Pilot

    from lora_chat.tui.app import LoraChatApp
    from lora_chat.tui.screens.training_plan import TrainingPlanScreen
    from lora_chat.tui.screens.training_report import TrainingReportScreen

    app = LoraChatApp()

    async def until(pilot: Pilot[Any], what: Callable[[], object], seconds: float = 240) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, "it never came"
            await pilot.pause(0.05)

    async def say(pilot: Pilot[Any], line: str) -> None:
        app.chat.asking.fill(line)
        await pilot.pause()
        app.chat.asking.close_completions()
        await pilot.press("enter")

    async def ask(pilot: Pilot[Any], question: str) -> None:
        before = app.chat.answer
        await say(pilot, question)
        await until(pilot, lambda: app.chat.answer is not before and not app.bridge.replying)
        await pilot.pause(0.5)

    try:
        async with app.run_test(size=SIZE) as pilot:
            await until(pilot, lambda: app.chat.base and app.screen is not app.chat)
            await pilot.press("enter")
            await ask(pilot, "Where is your shop?")
            await say(pilot, "/edit Our shop is at 12 Harbour Street, open every day from nine to five.")
            await say(pilot, "/train from-history shop")
            await until(pilot, lambda: isinstance(app.screen, TrainingPlanScreen))
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, TrainingReportScreen))
            await pilot.press("enter")
            await until(pilot, lambda: app.chat.worn == "shop")
            await ask(pilot, "Can you tell me where your shop is?")
            await say(pilot, "/adapter use support-bot")
            await until(pilot, lambda: app.chat.worn == "support-bot")
            await ask(pilot, "How do I return an order?")
            app.clear_notifications()
            await pilot.pause(0.5)
            return app.export_screenshot()
    finally:
        app.bridge.close()


def plain(svg: str) -> str:
    """The same picture with the reader's own fonts, and without a window around the window."""
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: (?!arial)[^;]*;", f"font-family: {FONTS};", svg)
    return re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL).replace("font-family: arial;", "font-family: sans-serif;")


def main() -> None:
    """Play in a home that shares this one's models; write the picture beside this file."""
    models = find_paths(os.environ).models
    os.environ["TEXTUAL_ANIMATIONS"] = "none"
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "models").symlink_to(models.resolve(), target_is_directory=True)
        (Path(home) / "config.toml").write_text("temperature = 0.0\nmax_tokens = 60\n", encoding="utf-8")
        os.environ["LORA_CHAT_HOME"] = home
        Path(__file__).with_name("window.svg").write_text(plain(asyncio.run(play())), encoding="utf-8")


if __name__ == "__main__":
    main()
