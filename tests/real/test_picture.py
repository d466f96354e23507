"""The README's picture: the loop in the window on the real model, drawn by the test that plays it.

``LORA_CHAT_SNAPSHOTS=write pytest tests/real/test_picture.py`` draws ``docs/window.svg`` anew. The fonts are the
reader's own: no picture of ours loads anything.
"""

from __future__ import annotations

import asyncio
import html
import os
import re
from pathlib import Path

import pytest

from lora_chat.paths import Paths
from lora_chat.tui.app import LoraChatApp
from lora_chat.tui.screens.training_plan import TrainingPlanScreen
from lora_chat.tui.screens.training_report import TrainingReportScreen
from tests.tui.conftest import Window

pytestmark = [pytest.mark.real, pytest.mark.network]

PICTURE = Path(__file__).parent.parent.parent / "docs" / "window.svg"
SIZE = (104, 30)
FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace"


async def play() -> str:
    """A question, the answer that was wanted, a training, other words, the shipped adapter; the window as SVG."""
    app = LoraChatApp()
    try:
        async with app.run_test(size=SIZE, notifications=True) as pilot:
            w = Window(app, pilot)
            await w.ready()
            await w.answered("Where is your shop?")
            await w.write("/edit Our shop is at 12 Harbour Street, open every day from nine to five.")
            await w.write("/train from-history shop")
            await w.until(lambda: isinstance(app.screen, TrainingPlanScreen))
            await w.press("enter")
            await w.until(lambda: isinstance(app.screen, TrainingReportScreen), 400)
            await w.press("enter")
            await w.until(lambda: app.chat.worn == "shop")
            await w.answered("Can you tell me where your shop is?")
            await w.write("/adapter use support-bot")
            await w.until(lambda: app.chat.worn == "support-bot")
            await w.answered("How do I return an order?")
            app.clear_notifications()
            await w.still()
            return app.export_screenshot()
    finally:
        app.bridge.close()


def plain(svg: str) -> str:
    """The same picture with the reader's own fonts, and without a window around the window."""
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: (?!arial)[^;]*;", f"font-family: {FONTS};", svg)
    return re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL).replace("font-family: arial;", "font-family: sans-serif;")


def words(svg: str) -> str:
    """What stands in a picture; how fast it was is another machine's."""
    text = html.unescape(" ".join(re.findall(r"<text[^>]*>([^<]*)", svg)))
    return re.sub(r"[\d.,]+ (tok/s|s\b)", r"# \1", " ".join(text.split()))


def test_the_readme_shows_what_the_loop_does(real_home: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").symlink_to(real_home.models, target_is_directory=True)
    (tmp_path / "config.toml").write_text('language = "en"\ntemperature = 0.0\nmax_tokens = 60\n', encoding="utf-8")
    monkeypatch.setenv("LORA_CHAT_HOME", str(tmp_path))
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    found = plain(asyncio.run(play()))
    if os.environ.get("LORA_CHAT_SNAPSHOTS") == "write":
        PICTURE.write_text(found, encoding="utf-8")
    assert words(found) == words(PICTURE.read_text(encoding="utf-8"))
