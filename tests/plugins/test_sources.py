"""Model sources of plugins: what ``nas:NAME`` means, what comes by it, and what is held against it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from lora_chat.errors import EngineError, LoraChatError, NotFoundError, RefusedError
from lora_chat.models.catalog import EMBEDDED, CatalogEntry, FolderSource, WrittenSource
from lora_chat.models.installed import InstalledBase, find_base
from lora_chat.models.sources import pull
from lora_chat.plugins import limits
from lora_chat.plugins.manager import Plugins
from lora_chat.plugins.model_sources import find_entry
from lora_chat.sitting.base_offer import question
from tests.cli.conftest import Run, command, environment, run, same_environment
from tests.plugins.conftest import Host

__all__ = ["run", "same_environment"]

HEAD = """
import os, shutil, time
from pathlib import Path
from lora_chat.plugins.api import Progress, Refused, hookimpl

SHARE = Path(%r)

@hookimpl
def lora_chat_model_sources(registrar):
    registrar.add("nas", fetch, help="our share")

def bring(name, into):
    for file in sorted((SHARE / name).iterdir()):
        shutil.copy(file, into)

def fetch(name, into):
"""
COPY = "yield Progress(0, 1000, 'Copying ' + name)\nbring(name, into)\nyield 'Copied'"


def source(share: Path, body: str) -> str:
    """A plugin whose ``fetch`` has ``body``."""
    return HEAD % str(share) + "".join(f"    {line}\n" for line in body.splitlines())


Heard = list[tuple[str, float, float]]


@pytest.fixture
def share(tmp_path: Path, tiny_llama: InstalledBase) -> Path:
    """A folder with one model in it, ``tiny``."""
    folder = tmp_path / "share"
    shutil.copytree(tiny_llama.folder, folder / "tiny")
    (folder / "tiny" / "base.json").unlink(missing_ok=True)
    return folder


Enabled = Callable[..., None]


@pytest.fixture
def nas(host: Host, share: Path) -> Enabled:
    """Enable a plugin called nas whose ``fetch`` has the body that is given."""

    def enabled(body: str = COPY, name: str = "nas") -> None:
        host.put(name, source(share, body))
        host.enable(name)

    return enabled


def entry(host: Host, text: str = "nas:tiny") -> CatalogEntry:
    return find_entry(host.plugins, text, host.paths.config)


def pulled(host: Host, text: str = "nas:tiny") -> tuple[InstalledBase, Heard]:
    heard: Heard = []
    return pull(entry(host, text), host.paths, lambda what, done, total: heard.append((what, done, total))), heard


def refused(host: Host, text: str = "nas:tiny") -> str:
    """Why it does not come, which leaves nothing."""
    with pytest.raises(LoraChatError) as caught:
        pulled(host, text)
    assert [each.name for each in host.paths.models.glob("*") if each.name != ".pull.lock"] == []
    assert not host.plugins._running
    return str(caught.value)


def test_it_becomes_a_base_as_from_any_source(host: Host, nas: Enabled, tiny_llama: InstalledBase) -> None:
    nas()
    assert host.plugins.get("nas").offers.told == "model source nas"
    base, heard = pulled(host)
    assert base == find_base(host.paths.models, "tiny")
    assert (base.source, base.folder) == ("plugin:nas", host.paths.models / "tiny")
    assert (base.signature.lineage, base.signature.weights) == ("tiny", tiny_llama.signature.weights)
    assert heard == [
        ("Fetching tiny", 0, 0),
        ("Copying tiny", 0, 1000),
        ("Copied", 0, 0),
        ("Checking", 0, 0),
    ]
    assert not host.plugins._running
    if os.name == "posix":
        assert {file.stat().st_mode & 0o077 for file in base.folder.iterdir() if file.name != "base.json"} == {0}


def test_a_second_pull_asks_nobody(host: Host, nas: Enabled, share: Path) -> None:
    nas()
    base, _ = pulled(host)
    shutil.rmtree(share)
    assert pulled(host)[0] == base


def test_what_is_asked_before_says_who_brings_it(host: Host, nas: Enabled) -> None:
    nas()
    assert question(entry(host, "NAS:Org/Some-Model")) == (
        "Pull the base model some-model (Org/Some-Model) from our share, by the plugin nas? Its size is not known "
        "beforehand, and its licence is where it comes from."
    )


def test_pickles_code_and_folders_beside_it_do_not_come(host: Host, nas: Enabled, share: Path) -> None:
    for name in ("pytorch_model.bin", "modeling_evil.py", "README.md", "base.json", "x.gguf"):
        (share / "tiny" / name).write_bytes(b"\x80\x04evil")
    nas(COPY + "\n(into / '.git').mkdir()\n(into / '.git' / 'config.json').write_text('{}')")
    base, _ = pulled(host)
    left = {file.name for file in base.folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= left
    assert not left & {"pytorch_model.bin", "modeling_evil.py", "README.md", "x.gguf", ".git", ".work"}
    assert json.loads((base.folder / "base.json").read_text("utf-8"))["source"] == "plugin:nas"


def test_what_auto_map_asks_for_is_never_run(host: Host, nas: Enabled, share: Path, tmp_path: Path) -> None:
    config = share / "tiny" / "config.json"
    said = json.loads(config.read_text("utf-8"))
    auto = {"AutoConfig": "evil.Evil", "AutoModelForCausalLM": "evil.Evil"}
    (share / "tiny" / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')", encoding="utf-8")
    config.write_text(json.dumps(said | {"auto_map": auto}), encoding="utf-8")
    nas()
    assert pulled(host)[0].signature.architecture == "LlamaForCausalLM"
    shutil.rmtree(host.paths.models / "tiny")
    config.write_text(json.dumps(said | {"auto_map": auto, "model_type": "evil"}), encoding="utf-8")
    assert "is not a base model lora-chat can use" in refused(host)
    assert not (tmp_path / "ran").exists()


WRONG = {
    "pass": "nas:tiny brought no files: check the name",
    "(into / 'config.json').write_text('{}')": "nas:tiny has no safetensors weights, and pickles are never loaded",
    "bring(name, into); (into / 'config.json').unlink()": "nas:tiny has no config.json",
    "bring(name, into); (into / 'tokenizer.json').unlink()": "nas:tiny has no tokenizer",
    "bring(name, into); (into / 'adapter_config.json').write_text('{}')": "nas:tiny is an adapter, no base model",
    "bring(name, into); os.rename(into / 'model.safetensors', into / 'model-00001-of-00002.safetensors')": "lacks 1 of",
    "bring(name, into); os.truncate(into / 'model.safetensors', 999)": "is damaged or cut short",
    "bring(name, into); (into / 'config.json').write_text('[')": "tiny cannot be chatted with",
    "bring(name, into); (into / 'tokenizer.json').write_text('{}')": "its tokenizer cannot be read",
    "bring(name, into); (into / 'chat_template.jinja').write_text('{% x')": "its chat template cannot be read",
}  # fmt: skip


@pytest.mark.parametrize(("body", "said"), WRONG.items(), ids=range(len(WRONG)))
def test_what_comes_is_held_against_what_every_base_is(host: Host, nas: Enabled, body: str, said: str) -> None:
    nas(body)
    assert said in refused(host)
    assert host.state("nas") == ("on", "")


LINKS = ["(into / 'model.safetensors').symlink_to('/etc/passwd')", "os.mkfifo(into / 'config.json')"]


@pytest.mark.skipif(os.name != "posix", reason="links and pipes")
@pytest.mark.parametrize("body", LINKS)
def test_a_link_or_a_pipe_is_refused(host: Host, nas: Enabled, body: str) -> None:
    nas(body)
    assert "which is a link or no file: tell the plugin's author" in refused(host)


BREAKS = {
    "raise ValueError('no \\x1b[2Jnet')": "it raised ValueError: no [2Jnet (line 18 of plugin.py)",
    "import sys; sys.exit()": "it called sys.exit",
    "os._exit(3)": "its process ended by itself (code 3)",
    "bring(name, into); print('done')": "it printed “done”",
    "yield 3": "a model source yields Progress or text, and this one a int",
    "yield Progress(-1)": "it sent a size that no model has",
    "yield Progress(float('nan'), 3)": "it sent a size that no model has",
    "yield Progress(0, 1e300)": "it sent a size that no model has",
    "yield Progress('many')": "it raised ValueError",
    "time.sleep(99)": "it gave no sign of life for 0.5 seconds",
    "while True: pass": "it gave no sign of life for 0.5 seconds",
}


@pytest.mark.parametrize(("body", "said"), BREAKS.items(), ids=range(len(BREAKS)))
def test_one_that_breaks_is_switched_off_and_leaves_nothing(
    host: Host, nas: Enabled, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], body: str, said: str
) -> None:
    nas(f"(into / 'half.safetensors').write_text('half')\n{body}")
    if "no sign" in said:
        monkeypatch.setattr(limits, "FETCH_S", 0.5)
    sentence = refused(host)
    assert said in sentence
    assert sentence.startswith("The plugin nas is switched off: ")
    assert host.state("nas")[0] == "switched off"
    assert capfd.readouterr() == ("", "")


def test_a_silent_one_whose_files_grow_is_at_work(host: Host, nas: Enabled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FETCH_S", 1.0)
    grows = "while time.monotonic() < until: file.write(b'x'); file.flush(); time.sleep(0.01)"
    nas(f"until = time.monotonic() + 2.5\nwith open(into / 'README', 'wb') as file:\n    {grows}\nbring(name, into)")
    assert pulled(host)[0].name == "tiny"


def test_its_own_no_is_said_and_it_stays_on(host: Host, nas: Enabled) -> None:
    nas("raise Refused('There is no ' + name + ' on the \\x1bshare: see its list.')")
    assert refused(host) == "There is no tiny on the share: see its list."
    assert host.state("nas") == ("on", "")


@pytest.mark.parametrize("body", ["raise OSError(28, 'No space left on device')", "yield Progress(0, 10**14)"])
def test_a_full_disk_is_no_fault_of_the_plugin(
    host: Host, nas: Enabled, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    nas(f"yield 'Looking'\n{body}")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
    with pytest.raises(EngineError, match=r"No room on the disk of .* for tiny: .* needed, 1\.0 GB free"):
        pulled(host)
    assert host.state("nas") == ("on", "")
    assert not list(host.paths.models.glob(".incoming-*"))


def test_what_it_says_of_itself_is_cleaned_and_cut(host: Host, nas: Enabled) -> None:
    nas("yield '\\x1b[2J\\u202e' + 'x' * 10_000\n" + COPY)
    _, heard = pulled(host)
    assert heard[1][0].isprintable()
    assert len(heard[1][0]) <= 60


def test_who_writes_on_after_its_end_does_not(host: Host, nas: Enabled, tmp_path: Path) -> None:
    """A thread of it would change what was looked over."""
    on = str(tmp_path / "on")
    writes = f"while True: open({on!r}, 'a').write('x'); time.sleep(0.01)"
    begins = f"import threading\ndef write():\n    {writes}\nthreading.Thread(target=write, daemon=True).start()"
    nas(f"{begins}\nwhile not Path({on!r}).exists(): time.sleep(0.01)\nbring(name, into)")
    sizes: list[int] = []

    def look(what: str, done: float, total: float) -> None:
        if what == "Checking":
            sizes.append((tmp_path / "on").stat().st_size)

    pull(entry(host), host.paths, look)
    assert sizes[0] > 0
    time.sleep(0.1)
    assert (tmp_path / "on").stat().st_size == sizes[0]


def test_interrupted_its_process_has_ended_and_nothing_is_left(host: Host, nas: Enabled) -> None:
    nas("(into / 'half').write_text('half')\nyield 'Copying'\ntime.sleep(99)")

    def stop(what: str, done: float, total: float) -> None:
        if what == "Copying":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(entry(host), host.paths, stop)
    assert not host.plugins._running
    assert not list(host.paths.models.glob(".incoming-*"))
    assert host.state("nas") == ("on", "")


# What a name means


def test_the_plugin_is_changed_after_it_was_found(host: Host, nas: Enabled) -> None:
    nas()
    found = entry(host)
    (host.paths.plugins / "nas" / "new.py").write_text("x = 1\n", encoding="utf-8")
    with pytest.raises(RefusedError, match="its files are others than those you enabled"):
        pull(found, host.paths, lambda *_: None)


OFF = {
    "disabled": "The plugin nas, which has nas:, is off: `lora-chat plugin enable nas` has it run.",
    "changed": "The plugin nas, which has nas:, was changed: `lora-chat plugin enable nas` has it run.",
    "broken": "The plugin nas, which has nas:, is switched off (it raised",
    "gone": "The plugin nas, which had nas:, cannot run (its files are not here any more): put them back, or "
    "`lora-chat plugin disable nas` has it forgotten.",
    "unusable": "it is not valid TOML (Invalid value (at end of document)); correct it): mend it.",
    "new": "Perhaps the plugin nas has nas:, which is off: `lora-chat plugin info nas`.",
    "safe": "This is the safe mode, which runs no plugin: start without it to have nas: of nas.",
}


@pytest.mark.parametrize(("how", "said"), OFF.items(), ids=OFF)
def test_one_that_is_off_is_hinted_at(host: Host, nas: Enabled, how: str, said: str) -> None:
    nas("raise ValueError" if how == "broken" else COPY)
    plugins = host.plugins
    if how == "disabled":
        plugins.disable("nas")
    elif how == "changed":
        (host.paths.plugins / "nas" / "new.py").write_text("x = 1\n", encoding="utf-8")
    elif how == "broken":
        refused(host)
    elif how == "gone":
        shutil.rmtree(host.paths.plugins / "nas")
    elif how == "unusable":
        (host.paths.plugins / "nas" / "plugin.toml").write_text("name = ", encoding="utf-8")
    elif how == "new":
        (host.paths.plugins / ".enabled.json").unlink()
    else:
        plugins = Plugins(host.paths, safe=True)
    with pytest.raises(NotFoundError) as missing:
        find_entry(plugins, "nas:tiny", host.paths.config)
    assert str(missing.value).startswith('"nas:tiny" is no base model in the catalog')
    assert said in str(missing.value)


def test_an_unknown_prefix_is_as_it_was(host: Host, nas: Enabled) -> None:
    nas()
    for text in ("nass:tiny", "nas", "c:tiny", ":tiny", "a b:tiny", ""):
        with pytest.raises(NotFoundError) as missing:
            entry(host, text)
        assert str(missing.value).endswith("Run `lora-chat model list` to see the catalog.")
    assert entry(host, "modelscope:org/name").source_kind == "hub"
    assert entry(host, EMBEDDED.name) is EMBEDDED


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\x1bb", "a\nb"])
def test_a_name_that_is_none_is_refused(host: Host, nas: Enabled, name: str) -> None:
    nas()
    with pytest.raises(RefusedError, match="behind nas:, such as nas:some-model"):
        entry(host, f"nas:{name}")


def test_what_is_called_exactly_so_already_comes_first(
    host: Host, nas: Enabled, monkeypatch: pytest.MonkeyPatch, share: Path
) -> None:
    nas()
    there = CatalogEntry("tiny-0.6b", "Org/Tiny", FolderSource(share / "tiny"), aliases=("nas:0.6b",), place="Ollama")
    monkeypatch.setattr("lora_chat.models.own.found_here", lambda *_: SimpleNamespace(entries=(there,)))
    assert entry(host, "nas:0.6b") == there
    assert isinstance(find_entry(host.plugins, "nas:0.6b", host.paths.config, around=False).source, WrittenSource)


CLASHES = {
    '"modelscope"': "its model source modelscope has a name that lora-chat itself has already",
    '"huggingface"': "its model source huggingface has a name that lora-chat itself has already",
    '"n"': "the model source n needs a name of two letters or more: one is a drive's",
    '"NAS"': "is no name",
}


@pytest.mark.parametrize(("name", "said"), CLASHES.items(), ids=range(len(CLASHES)))
def test_a_prefix_that_clashes_is_refused(host: Host, share: Path, name: str, said: str) -> None:
    host.put("nas", (HEAD % str(share)).replace('"nas"', name) + "    pass\n")
    with pytest.raises(RefusedError, match=said):
        host.enable("nas")


def test_two_plugins_cannot_have_one_prefix(host: Host, nas: Enabled) -> None:
    nas()
    with pytest.raises(RefusedError, match="its model source nas has a name that the plugin nas has already"):
        nas(name="other")


# As it is typed


def test_a_person_pulls_looks_and_takes_away(host: Host, nas: Enabled, run: Run) -> None:
    nas()
    assert "of unknown size: `lora-chat model pull nas:tiny`" in run("model", "info", "nas:tiny").out
    assert "Nobody is at a terminal to answer" in run("model", "pull", "nas:tiny").sentence
    events = run("model", "pull", "nas:tiny", "--name", "mine", "--json", "--yes").events
    assert [each["what"] for each in events[:-1]][:2] == ["Fetching mine", "Copying tiny"]
    assert (events[-1]["event"], events[-1]["name"]) == ("pulled", "mine")
    done = run("model", "remove", "mine", "--yes")
    assert "`lora-chat model pull nas:tiny` brings it back" in done.out
    assert "start without it to have nas: of nas" in run("model", "pull", "nas:tiny", "--yes", "--safe-mode").sentence


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ended_from_outside_it_takes_its_plugin_with_it(host: Host, nas: Enabled, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    nas(f"yield 'Copying'\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(99)")
    words = command("model", "pull", "nas:tiny", "--yes", "--json")
    with subprocess.Popen(words, env=environment(host.paths), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        until = time.monotonic() + 60
        while not pid.exists() or not pid.read_text("utf-8"):
            assert time.monotonic() < until
            assert child.poll() is None, child.stderr and child.stderr.read()
            time.sleep(0.05)
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=30)
    assert child.returncode == 130
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text("utf-8")), 0)
    assert not list(host.paths.models.glob(".incoming-*"))
