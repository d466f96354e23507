"""Which plugins run: those that the person agreed to, as they were then. None of these reads a plugin's word for it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from lora_chat.errors import NotFoundError, RefusedError
from lora_chat.plugins.manager import Plugins, facts
from tests.plugins.conftest import UP, Host

RAN = "from pathlib import Path\nPath(__file__).with_name('ran').write_text('ran')\n"


def test_looking_at_a_plugin_runs_nothing_of_it(host: Host) -> None:
    folder = host.put(source=RAN + UP)
    listed = host.plugins.get("up")
    shown = dict(facts(listed))
    assert (listed.state, listed.why) == ("off", "never enabled")
    assert shown["hooks"] == "exporters"
    assert shown["is"].startswith("2 files with 12 lines of Python")
    assert host.plugins.on() == []
    assert not (folder / "ran").exists()


def test_who_does_not_agree_runs_nothing(host: Host) -> None:
    folder = host.put(source=RAN + UP)
    assert host.plugins.enable("up", lambda _: False, {}) is None
    assert not (folder / "ran").exists()
    assert host.state() == ("off", "never enabled")


def test_an_enabled_plugin_is_on_in_the_next_program_too_and_its_word_is_private(host: Host) -> None:
    host.put()
    assert host.enable().offers.told == "exporter up"
    assert [each.name for each in Plugins(host.paths).on()] == ["up"]
    word = host.paths.plugins / ".enabled.json"
    if os.name == "posix":
        assert word.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("change", ["plugin.py", "plugin.toml", "new.py", "data/new.txt"])
def test_a_changed_file_takes_the_word_back_until_the_person_agrees(host: Host, change: str) -> None:
    folder = host.put()
    host.enable()
    (folder / change).parent.mkdir(exist_ok=True)
    with (folder / change).open("a", encoding="utf-8") as file:
        file.write("\n# other\n")
    assert host.state() == ("changed", "its files are others than those you enabled")
    assert host.plugins.on() == []
    assert host.enable().state == "on"


def test_what_was_compiled_is_neither_content_nor_believed(host: Host) -> None:
    import py_compile

    folder = host.put()
    evil = folder / "evil.py"
    evil.write_text(RAN, encoding="utf-8")
    (folder / "__pycache__").mkdir()
    cached = folder / "__pycache__" / f"plugin.{sys.implementation.cache_tag}.pyc"
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(evil), str(cached), invalidation_mode=unchecked)
    evil.unlink()
    before = host.plugins.get("up").plugin.content.sha256
    host.enable()
    assert not (folder / "ran").exists()
    cached.unlink()
    assert host.plugins.get("up").plugin.content.sha256 == before


def test_a_disabled_plugin_is_off(host: Host) -> None:
    host.put()
    host.enable()
    host.plugins.disable("up")
    assert host.state() == ("off", "you disabled it")
    assert host.plugins.on() == []


def test_the_safe_mode_runs_none_and_keeps_every_word(host: Host) -> None:
    host.put()
    host.enable()
    safe = Plugins(host.paths, safe=True)
    assert safe.on() == []
    with pytest.raises(RefusedError, match="safe mode"):
        safe.enable("up", lambda _: True, {})
    assert host.state() == ("on", "")


@pytest.mark.parametrize("word", [b"", b"[]", b"\xff", b'{"plugins": 3}', b'{"plugins": {"up": 3}}', b"[" * 90_000])
def test_a_damaged_word_is_no_word(host: Host, word: bytes) -> None:
    host.put()
    host.enable()
    (host.paths.plugins / ".enabled.json").write_bytes(word)
    assert host.state() == ("off", "never enabled")


def test_a_word_for_another_hash_is_not_for_this_one(host: Host) -> None:
    host.put()
    host.enable()
    file = host.paths.plugins / ".enabled.json"
    words = json.loads(file.read_text("utf-8"))
    words["plugins"]["up"]["sha256"] = "0" * 64
    file.write_text(json.dumps(words), "utf-8")
    assert host.state()[0] == "changed"


def test_a_name_that_is_not_there_names_the_nearest(host: Host) -> None:
    host.put()
    with pytest.raises(NotFoundError, match="did you mean up"):
        host.plugins.get("upp")


TOML = {
    "": "its name is",
    "name = 3": "its name must be a short text",
    'name = "other"': 'its name is "other", and must be that of its folder',
    'name = "up"\nversion = []': "its version must be a short text",
    'name = "up"\nauthors = "me"': "its authors must be a list",
    'name = "up"\napi = 2': "written for version 2",
    'name = "up"\napi = true': "written for version True",
    'name = "up"\nmodul = "x.py"': "did you mean module",
    'name = "up"\nmodule = "../x.py"': "must be a file of its folder",
    'name = "up"\nmodule = "gone.py"': "it has no gone.py",
    'name = "up': "not valid TOML",
    'name = "up"\nx = ' + "[" * 5_000: "not valid TOML",
    'name = "up"\ndescription = "' + "x" * 63_000 + '"': "its description must be a short text",
    "#" * 70_000: "at most 64,000 are accepted",
}


@pytest.mark.parametrize(("toml", "said"), TOML.items(), ids=range(len(TOML)))
def test_a_manifest_that_cannot_be_used_is_a_problem_with_its_reason(host: Host, toml: str, said: str) -> None:
    host.put(toml=toml)
    host.put("other", toml='name = "other"')
    shelf = host.plugins.shelf()
    assert [each.name for each in shelf.plugins] == ["other"]
    [problem] = shelf.problems
    assert said in problem.reason
    with pytest.raises(RefusedError, match="Cannot use"):
        host.plugins.get("up")


def test_what_a_manifest_says_cannot_steer_the_terminal(host: Host) -> None:
    host.put(toml='name = "up"\ndescription = "\\u001b[2Jx\\u202e"\nauthors = ["\\u0007me"]')
    assert ("says", "[2Jx") in facts(host.plugins.get("up"))
    assert ("by", "me") in facts(host.plugins.get("up"))


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_links_and_devices_are_refused(host: Host, tmp_path: Path) -> None:
    folder = host.put()
    (folder / "secret.txt").symlink_to("/etc/passwd")
    host.put("fifo", toml='name = "fifo"')
    os.mkfifo(host.paths.plugins / "fifo" / "pipe")
    (tmp_path / "elsewhere").mkdir()
    (host.paths.plugins / "linked").symlink_to(tmp_path / "elsewhere")
    shelf = host.plugins.shelf()
    assert shelf.plugins == ()
    said = {problem.path.name: problem.reason for problem in shelf.problems}
    assert "it is a link" in said["up"]
    assert "not a regular file" in said["fifo"]
    assert "it is a link" in said["linked"]


def test_too_much_is_refused(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    from lora_chat.plugins import content

    monkeypatch.setattr(content, "MOST_FILES", 1)
    host.put()
    [problem] = host.plugins.shelf().problems
    assert "more than 1 files" in problem.reason


def test_of_two_with_one_name_the_persons_stands_and_the_other_is_told(host: Host) -> None:
    mine = host.put()
    theirs = host.paths.bundled_plugins / "up"
    theirs.mkdir(parents=True)
    for file in mine.iterdir():
        (theirs / file.name).write_bytes(file.read_bytes())
    shelf = host.plugins.shelf()
    assert [each.plugin.root for each in shelf.plugins] == [mine]
    assert "called up too" in shelf.problems[0].reason


def install(site: Path, name: str, value: str) -> None:
    """What pip leaves of a package with one entry point."""
    info = site / "lora_chat_extra-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: lora-chat-extra\nVersion: 2.0\nSummary: More.\n", "utf-8"
    )
    (info / "entry_points.txt").write_text(f"[lora_chat.plugins]\n{name} = {value}\n", "utf-8")


def test_a_package_brings_one_by_its_entry_point(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    install(site, "extra", "lora_chat_extra.hooks")
    (site / "lora_chat_extra").mkdir()
    (site / "lora_chat_extra" / "__init__.py").write_text("raise SystemExit('imported')", "utf-8")
    (site / "lora_chat_extra" / "hooks.py").write_text(UP, "utf-8")
    monkeypatch.syspath_prepend(str(site))
    listed = host.plugins.get("extra")
    assert (listed.plugin.origin, listed.plugin.manifest.version) == ("package", "2.0")
    assert "lora_chat_extra" not in sys.modules
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", ""), *sys.path]))
    with pytest.raises(RefusedError, match=r"it called sys\.exit"):
        host.enable("extra")
    (site / "lora_chat_extra" / "__init__.py").write_text("", "utf-8")
    assert host.enable("extra").offers.told == "exporter up"


@pytest.mark.parametrize("value", ["nowhere_at_all.hooks", "sys", "not a module"])
def test_an_entry_point_that_leads_nowhere_is_told_and_hides_nobody(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    install(tmp_path / "site", "extra", value)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    host.put()
    shelf = host.plugins.shelf()
    assert [each.name for each in shelf.plugins] == ["up"]
    assert 'the entry point "extra"' in shelf.problems[0].reason
