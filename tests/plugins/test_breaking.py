"""Plugins that break: each is switched off with its reason, and nobody else is harmed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lora_chat.errors import RefusedError
from lora_chat.plugins import limits
from lora_chat.plugins.formats import writers
from lora_chat.plugins.registrars import SavedConversation
from tests.plugins.conftest import UP, Host, plugin_source

ONE = SavedConversation("1", "hello", "", 0.0, ())


def written(host: Host) -> str:
    [writer] = writers(host.plugins)
    return "".join(writer.write([ONE]))


def test_a_good_one_writes(host: Host) -> None:
    host.put()
    host.enable()
    assert written(host) == "HELLO\n"
    assert written(host) == "HELLO\n"


def test_one_finds_what_lies_beside_it(host: Host) -> None:
    body = "from pathlib import Path\nyield Path(__file__).with_name('page.txt').read_text()"
    folder = host.put(source=plugin_source(body))
    (folder / "page.txt").write_text("A page. ", encoding="utf-8")
    host.enable()
    assert written(host) == "A page. ends"


AT_START = {
    "def x(:\n": "plugin.py is not valid Python (line 1",
    "x = \0": "plugin.py is not valid Python",
    "import nothing_there\n": "ModuleNotFoundError: No module named 'nothing_there' (line 1 of plugin.py)",
    "import sys\nsys.exit(0)\n": "it called sys.exit",
    "import os\nos._exit(3)\n": "its process ended by itself (code 3)",
    "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n": "its process ended by itself (SIGKILL)",
    "print('hello')\n": "it printed “hello”",
    "print()\n": "it printed “an empty line”",
    "import os\nos.write(2, b'\\x1b[2Jboo')\n": "it printed “[2Jboo”",
    "import os\nos.system('echo from a shell')\n": "it printed “from a shell”",
    "raise KeyboardInterrupt\n": "it raised KeyboardInterrupt",
    UP.replace("_exporters", "_spells"): "lora_chat_spells",
    UP.replace("(registrar)", "(other)"): "PluginValidationError",
    UP.replace('"up", ".txt"', '"up", ".txt", write)\n    registrar.add("up", ".txt"'): "up is registered twice",
    UP.replace('"up"', '"a b"'): "'a b' is no name",
    UP.replace('"up"', '"md"'): "its exporter md has a name that lora-chat itself has already",
}


@pytest.mark.parametrize(("source", "said"), AT_START.items(), ids=range(len(AT_START)))
def test_one_that_cannot_begin_is_not_enabled_and_says_why(
    host: Host, capfd: pytest.CaptureFixture[str], source: str, said: str
) -> None:
    host.put(source=source)
    with pytest.raises(RefusedError) as refused:
        host.enable()
    assert said in str(refused.value)
    assert host.plugins.on() == []
    assert capfd.readouterr() == ("", "")


def test_one_that_never_begins_is_not_waited_for(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "START_S", 0.5)
    host.put(source="while True: pass")
    with pytest.raises(RefusedError, match=r"no sign of life for 0\.5 seconds"):
        host.enable()
    assert host.state()[0] == "switched off"


LATE = {
    "raise ValueError('late')": "it raised ValueError: late",
    "import sys; sys.exit()": "it called sys.exit",
    "print('late')": "it printed “late”",
    "yield 'a'\nprint('late')": "it printed “late”",
    "yield 3": "an exporter yields text, and this one a int",
    "import threading\nt = threading.Thread(target=lambda: 1/0)\nt.start()\nt.join()": "it printed “Exc",
    "while True: pass": "it gave no sign of life",
    "import time\ntime.sleep(99)": "it gave no sign of life",
}


@pytest.mark.parametrize(("body", "said"), LATE.items(), ids=range(len(LATE)))
def test_one_that_breaks_later_is_switched_off_with_its_reason_and_the_others_go_on(
    host: Host, monkeypatch: pytest.MonkeyPatch, body: str, said: str
) -> None:
    host.put(source=plugin_source(body))
    host.put("well", UP.replace('"up"', '"well"'))
    host.enable()
    host.enable("well")
    if "no sign" in said:
        monkeypatch.setattr(limits, "STEP_S", 0.5)
    bad, good = writers(host.plugins)
    with pytest.raises(RefusedError) as refused:
        list(bad.write([ONE]))
    assert said in str(refused.value)
    assert "`lora-chat plugin enable up` has it again" in str(refused.value)
    state, why = host.state()
    assert state == "switched off"
    assert said in why
    assert "".join(good.write([ONE])) == "HELLO\n"
    assert [each.name for each in host.plugins.on()] == ["well"]


def test_its_own_no_is_not_a_fault(host: Host) -> None:
    host.put(source=plugin_source("from lora_chat.plugins.api import Refused\nraise Refused('Not on a \\x1bSunday.')"))
    host.enable()
    with pytest.raises(RefusedError, match=r"^Not on a Sunday\.$"):
        written(host)
    assert host.state() == ("on", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_what_it_forks_does_not_speak_for_it_and_ends_with_it(host: Host, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    body = f"import os, time\nif (p := os.fork()) == 0: time.sleep(99)\nopen({str(pid)!r}, 'w').write(str(p))"
    host.put(source=plugin_source(body))
    host.enable()
    assert written(host) == "ends"
    host.plugins.close()
    deadline = time.monotonic() + 30
    while not gone(int(pid.read_text("utf-8"))):  # the system takes a moment, on a busy machine a long one
        assert time.monotonic() < deadline
        time.sleep(0.05)


def gone(pid: int) -> bool:
    import psutil  # type: ignore[import-untyped]

    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_one_that_was_changed_after_it_was_listed_does_not_run(host: Host) -> None:
    folder = host.put()
    host.enable()
    [writer] = writers(host.plugins)
    (folder / "plugin.py").write_text(UP + "\nprint('other')\n", "utf-8")
    with pytest.raises(RefusedError, match="its files are others than those you enabled"):
        list(writer.write([ONE]))


def test_what_is_left_early_ends_the_process_and_the_plugin_stays_on(host: Host) -> None:
    host.put(source=plugin_source("while True: yield 'x' * 1000"))
    host.enable()
    [writer] = writers(host.plugins)
    pieces = writer.write([ONE])
    assert next(pieces) == "x" * 1000
    close: Callable[[], None] = pieces.close  # type: ignore[attr-defined]
    close()
    assert host.state() == ("on", "")
    assert next(writer.write([ONE])) == "x" * 1000


def test_its_log_is_private_and_stays_small(host: Host) -> None:
    host.put(source=plugin_source("while True: print('x' * 10_000)"))
    host.enable()
    with pytest.raises(RefusedError):
        written(host)
    log = host.paths.logs / "plugin-up.log"
    assert log.stat().st_size <= 64_000
    if os.name == "posix":
        assert log.stat().st_mode & 0o777 == 0o600
