"""``lora-chat plugin`` and ``--safe-mode`` as they are typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_chat.paths import Paths
from tests.cli.conftest import Run
from tests.plugins.conftest import UP


@pytest.fixture
def up(tiny: Paths) -> Path:
    folder = tiny.plugins / "up"
    folder.mkdir(parents=True)
    (folder / "plugin.py").write_text(UP, encoding="utf-8")
    (folder / "plugin.toml").write_text('name = "up"\nversion = "1.2"\nauthors = ["Ada"]\n', encoding="utf-8")
    return folder


def test_a_plugin_is_listed_looked_at_enabled_and_disabled(run: Run, up: Path) -> None:
    assert run("plugin", "list").out.splitlines()[1].split() == ["up", "1.2", "off:", "never", "enabled"]
    asked = run("plugin", "enable", "up")
    assert asked.code == 2
    assert "Nobody is at a terminal to answer" in asked.sentence
    done = run("plugin", "enable", "up", "--yes")
    assert done.out == "up is enabled: exporter up.\n"
    for shown in ("runs with your rights", "Ada", "sha256", str(up), "2 files with 10 lines of Python", "exporters"):
        assert shown in done.err
    assert run("plugin", "list", "--json").json["plugins"][0]["state"] == "on"
    assert run("plugin", "info", "up", "--json").json["offers"]["exporters"][0]["name"] == "up"
    assert run("plugin", "disable", "up").out == "up is off.\n"
    assert run("plugin", "info", "up").out.splitlines()[-1].split(maxsplit=1) == ["now", "off: you disabled it"]


def test_a_plugin_that_is_not_there_is_exit_3(run: Run, tiny: Paths) -> None:
    assert run("plugin", "enable", "nobody", "--yes").code == 3


def test_safe_mode_may_stand_behind_any_command(run: Run, up: Path) -> None:
    run("plugin", "enable", "up", "--yes")
    assert run("plugin", "list", "--safe-mode").out.splitlines()[1].split()[2:] == [
        "off:",
        "safe",
        "mode",
        "runs",
        "none",
    ]


@pytest.mark.usefixtures("worn")
def test_safe_mode_wears_no_adapter(run: Run, says: dict[str, str]) -> None:
    says["Hello"] = "Hi."
    assert run("ask", "-a", "shop", "Hello").code == 0
    refused = run("ask", "--safe-mode", "-a", "shop", "Hello")
    assert refused.code == 4
    assert "safe mode, which wears no adapter" in refused.sentence
    assert run("--safe-mode", "ask", "Hello").out == "Hi.\n"


def test_doctor_names_plugins_and_what_is_wrong_with_them(run: Run, up: Path, tiny: Paths) -> None:
    (tiny.plugins / "broken").mkdir()
    run("plugin", "enable", "up", "--yes")
    (up / "plugin.py").write_text(UP + "#\n", "utf-8")
    lines = run("doctor").out.splitlines()
    assert any(line.split()[:2] == ["ok", "plugins"] for line in lines)
    assert any("plugin up" in line and "changed: its files are others" in line for line in lines)
    assert any("plugin broken" in line and "it has no plugin.toml" in line for line in lines)
