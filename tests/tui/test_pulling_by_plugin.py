"""A base that a plugin brings while the window is open."""

from __future__ import annotations

import shutil
from pathlib import Path

from lora_chat.models.installed import InstalledBase, find_base
from lora_chat.paths import Paths
from lora_chat.plugins.manager import Plugins
from lora_chat.sitting.plugins import taken
from lora_chat.tui.screens.confirm import ConfirmScreen
from tests.conftest import place
from tests.plugins.test_sources import COPY, source
from tests.tui.conftest import Tell, Window


def test_it_comes_by_its_command(
    window: Tell, tiny: Paths, tiny_llama: InstalledBase, tiny_opt: InstalledBase, tmp_path: Path
) -> None:
    tiny.models.unlink()  # the one that all tests share
    place(tiny_llama, tiny)
    shutil.copytree(tiny_opt.folder, tmp_path / "share" / "opt")
    folder = tiny.plugins / "nas"
    folder.mkdir(parents=True)
    (folder / "plugin.toml").write_text('name = "nas"\n', encoding="utf-8")
    (folder / "plugin.py").write_text(source(tmp_path / "share", COPY), encoding="utf-8")
    Plugins(tiny).enable("nas", lambda _: True, taken())

    async def story(w: Window) -> None:
        await w.ready()
        await w.write("/model pull nas:opt")
        await w.until(lambda: isinstance(w.app.screen, ConfirmScreen))
        await w.see("from our share, by the")
        await w.press("y")
        await w.hear("opt is on this machine now: /model use opt", 60)
        await w.write("/model pull nas:opt")
        await w.hear("opt is on this machine already")

    window(story)
    assert find_base(tiny.models, "opt").source == "plugin:nas"
