"""``lora-chat plugin`` and ``--safe-mode`` as they are typed."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from lora_chat.language import speak
from lora_chat.paths import Paths
from tests.cli.conftest import Run
from tests.plugins.conftest import UP

if sys.platform == "win32":
    pytest.skip("pseudo-terminals are POSIX", allow_module_level=True)

from tests.cli.test_terminal import Open, terminal  # noqa: F401


@pytest.fixture
def up(tiny: Paths) -> Path:
    folder = tiny.plugins / "up"
    folder.mkdir(parents=True)
    (folder / "plugin.py").write_text(UP, encoding="utf-8")
    (folder / "plugin.toml").write_text('name = "up"\nversion = "1.2"\nauthors = ["Ada"]\n', encoding="utf-8")
    return folder


def test_a_plugin_is_listed_looked_at_enabled_and_disabled(run: Run, up: Path) -> None:
    assert run("plugin", "list").out.splitlines()[1].split() == ["up", "off:", "never", "enabled", "1.2"]
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
    assert run("plugin", "list", "--safe-mode").out.splitlines()[1].split()[1:] == [
        *("off:", "safe", "mode", "runs", "none", "1.2")
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


def test_one_that_was_enabled_and_is_gone_is_named_until_it_is_disabled(run: Run, up: Path, tiny: Paths) -> None:
    run("plugin", "enable", "up", "--yes")
    shutil.rmtree(up)
    gone = "its files are not here any more: put them back, or `lora-chat plugin disable up` has it forgotten."
    said = f"The plugin up was enabled, and {gone}"
    listed = run("plugin", "list")
    assert said in listed.err.splitlines()
    assert run("plugin", "list", "--json").json["gone"] == [{"path": str(up), "reason": said}]
    for words in (("info", "up"), ("enable", "up", "--yes")):
        done = run("plugin", *words)
        assert (done.code, said in done.sentence) == (3, True)
    assert any(line.split()[:3] == ["note", "plugin", "up"] and said in line for line in run("doctor").out.splitlines())
    assert gone in " ".join(run("--plain", stdin="/plugin list\n").out.split())
    assert run("plugin", "disable", "up").out == "up is off.\n"
    assert said not in run("plugin", "list").err
    assert run("plugin", "list", "--json").json["gone"] == []


# The list at a terminal


def table(start: Open, columns: int) -> list[str]:
    listing = start("plugin", "list", columns=str(columns))
    assert listing.end() == 0
    return [line.rstrip() for line in listing.screen.splitlines()]


@pytest.mark.parametrize(("columns", "fits"), [(80, False), (50, False), (200, True)])
def test_the_list_fits_the_terminal_and_is_whole_where_there_is_room(
    terminal: Open,  # noqa: F811
    home: Paths,
    columns: int,
    fits: bool,
) -> None:
    lines = table(terminal, columns)
    assert [line.split()[0] for line in lines] == ["NAME", "chatgpt", "claude", "html", "remote"]
    assert max(map(cell_len, lines)) <= columns
    assert all("off: never enabled" in line for line in lines[1:])
    assert any("…" in line for line in lines) is not fits
    assert any("no scripts, nothing loaded." in line for line in lines) is fits


def test_a_long_reason_gives_way_too_and_wide_characters_count_as_two(
    terminal: Open,  # noqa: F811
    home: Paths,
) -> None:
    folder = home.plugins / "wide"
    folder.mkdir(parents=True)
    (folder / "plugin.py").write_text("", encoding="utf-8")
    (folder / "plugin.toml").write_text('name = "wide"\nversion = "1"\ndescription = "' + "漢字" * 40 + '"\n', "utf-8")
    word = {"sha256": "0" * 64, "on": True, "offers": {}, "why": ""}
    said = json.dumps({"schema": 1, "plugins": {"wide": word}})
    (home.plugins / ".enabled.json").write_text(said, encoding="utf-8")
    lines = table(terminal, 60)
    assert max(map(cell_len, lines)) <= 60
    [line] = [line for line in lines if line.startswith("wide")]
    assert line.endswith("漢…") or line.endswith("字…")
    assert "changed: its files" in line


def test_what_goes_to_a_pipe_is_whole(run: Run, home: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert "no scripts, nothing loaded." in run("plugin", "list").out


# The list in the chat, in Chinese


def test_the_states_are_said_in_chinese_and_what_plugins_say_is_theirs(
    run: Run,
    up: Path,
    tiny: Paths,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    monkeypatch.delenv("LC_ALL", raising=False)
    (up / "plugin.toml").write_text('name = "up"\ndescription = "never enabled"\n', encoding="utf-8")
    (tiny.plugins / "broken").mkdir()
    try:
        shown = run("--plain", stdin="/plugin list\n").out
        assert "up" in shown
        assert "已关闭：从未启用 · never enabled" in shown
        assert "无法使用" in shown
        assert run("plugin", "enable", "up", "--yes").code == 0
        assert "已启用 · never enabled" in run("--plain", stdin="/plugin list\n").out
        (up / "plugin.py").write_text(UP + "#\n", "utf-8")
        assert "已改变：它的文件与您启用时的不同 · " in run("--plain", stdin="/plugin list\n").out
        (up / "plugin.toml").write_text('name = "up"\n', encoding="utf-8")
        assert "已改变：它的文件与您启用时的不同" in run("--plain", stdin="/plugin info up\n").out
        assert "changed: its files" in run("plugin", "list").out  # a table is English
    finally:
        speak("en")
