"""Commands of plugins, without a face: what they are told and give, and what becomes of those that break."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from lora_chat.chat.conversation import Role
from lora_chat.errors import RefusedError
from lora_chat.paths import Paths
from lora_chat.plugins import limits
from lora_chat.plugins.command_api import CommandCall, CommandRegistrar, Piece, Say, Write
from lora_chat.plugins.commands import PluginCommand, commands, refuse_what_is_off
from lora_chat.plugins.manager import Plugins, facts
from lora_chat.plugins.registrars import SavedConversation, SavedMessage
from lora_chat.sitting.commands import COMMANDS
from lora_chat.sitting.completion import Names, complete
from lora_chat.sitting.plugin_commands import own_names, plugin_commands
from tests.plugins.conftest import Host, command_source

SAID = (SavedMessage(Role.USER, "Where?"), SavedMessage(Role.ASSISTANT, "Here.", "shop", "tiny", 2.0))
CALL = CommandCall("a b", SavedConversation("1", "title", "Be brief.", 1.0, SAID), "tiny", "shop")


def command(host: Host, name: str = "do") -> PluginCommand:
    [found] = [each for each in commands(host.plugins, own_names()) if each.name == name]
    return found


def given(host: Host, call: CommandCall = CALL) -> list[Piece]:
    return list(command(host).run(call, threading.Event()))


def test_one_is_told_what_was_typed_and_said_and_what_answers(host: Host) -> None:
    body = (
        "said = [(m.role.value, m.content, m.adapter) for m in call.conversation.messages]\n"
        "return repr((call.text, call.base, call.adapter, call.conversation.id, call.conversation.system, said))"
    )
    host.put(source=command_source(body))
    host.enable()
    said = [("user", "Where?", None), ("assistant", "Here.", "shop")]
    assert given(host) == [repr(("a b", "tiny", "shop", "1", "Be brief.", said))]
    bare = CommandCall("", SavedConversation("", "", "", 0.0, ()), "tiny")
    assert given(host, bare) == [repr(("", "tiny", None, "", "", []))]


GIVEN: dict[str, list[Piece]] = {
    "return 'one'": ["one"],
    "return None": [],
    "return Write('in the prompt')": [Write("in the prompt")],
    "return ['one', Say('hello')]": ["one", Say("hello")],
    "yield 'one'\nyield Write('two\\nthree')\nyield 'four'": ["one", Write("two\nthree"), "four"],
    "yield 'a\\x1b[2J\\u202eb\\r\\n\\tc\\udc80'": ["a[2Jb\n\tc"],
    "return Write('\\x1b]0;x\\x07y')": [Write("]0;xy")],
    "return Say('/quit \\x9b')": [Say("/quit ")],
}


@pytest.mark.parametrize(("body", "pieces"), GIVEN.items(), ids=range(len(GIVEN)))
def test_what_it_gives_comes_cleaned_and_as_it_gives_it(host: Host, body: str, pieces: list[Piece]) -> None:
    host.put(source=command_source(body))
    host.enable()
    assert given(host) == pieces
    assert given(host) == pieces, "its process serves the next call as well"
    assert host.state() == ("on", "")


BREAKS = {
    "raise ValueError('late')": "it raised ValueError: late",
    "sys.exit()": "it called sys.exit",
    "os._exit(3)": "its process ended by itself (code 3)",
    "print('late')": "it printed “late”",
    "yield 'a'\nprint('late')": "it printed “late”",
    "os.system('echo from a shell')": "it printed “from a shell”",
    "return 3": "a command gives text, Write or Say of a text, and this one a int",
    "yield Write(3)": "a command gives text, Write or Say of a text, and this one a Write",
    "yield b'bytes'": "and this one a bytes",
    "yield Write('a')\nyield Say('b')": "its command writes or says more than once",
    "yield Say(' \\x1b')": "its command writes or says more than once, or nothing",
    "while True: yield 'x' * 1000": "its command gave more than 100,000 characters",
    "while True: yield ''": "characters or 10,000 lines",
    "yield '\\n' * 10_000": "characters or 10,000 lines",
    "while True: pass": "it gave no sign of life",
    "time.sleep(99)": "it gave no sign of life",
}


@pytest.mark.parametrize(("body", "said"), BREAKS.items(), ids=range(len(BREAKS)))
def test_one_that_breaks_is_switched_off_with_its_reason_and_the_others_go_on(
    host: Host, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], body: str, said: str
) -> None:
    host.put(source=command_source(body))
    host.put("well", command_source("return 'fine'", "well"))
    host.enable()
    host.enable("well")
    if "no sign" in said:
        monkeypatch.setattr(limits, "STEP_S", 0.5)
    with pytest.raises(RefusedError) as refused:
        given(host)
    assert said in str(refused.value)
    assert "`lora-chat plugin enable up` has it again" in str(refused.value)
    assert host.state()[0] == "switched off"
    assert said in host.state()[1]
    assert list(command(host, "well").run(CALL, threading.Event())) == ["fine"]
    assert [each.name for each in commands(host.plugins, own_names())] == ["well"]
    assert capfd.readouterr() == ("", "")


def test_its_own_no_is_not_a_fault(host: Host) -> None:
    host.put(source=command_source("raise Refused('Not on a \\x1bSunday.')"))
    host.enable()
    with pytest.raises(RefusedError, match=r"^Not on a Sunday\.$"):
        given(host)
    assert host.state() == ("on", "")


@pytest.mark.parametrize("body", ["yield 'one'\nwhile True: pass", "yield 'one'\nwhile True:\n    time.sleep(0.1)"])
def test_who_does_not_want_to_wait_ends_it_and_it_stays_on(host: Host, body: str) -> None:
    host.put(source=command_source(body))
    host.enable()
    cancel = threading.Event()
    pieces = command(host).run(CALL, cancel)
    assert next(pieces) == "one"
    began = time.monotonic()
    cancel.set()
    assert list(pieces) == []
    assert time.monotonic() - began < limits.STEP_S / 2
    assert host.state() == ("on", "")
    assert host.plugins._running == {}
    assert next(command(host).run(CALL, threading.Event())) == "one"


def test_one_that_is_stopped_before_it_has_begun_stays_on(host: Host, tmp_path: Path) -> None:
    late = f"import time, pathlib\nif pathlib.Path({str(tmp_path / 'late')!r}).exists(): time.sleep(99)\n"
    host.put(source=late + command_source("return 'one'"))
    host.enable()
    (tmp_path / "late").touch()
    cancel = threading.Event()
    threading.Timer(0.2, cancel.set).start()
    assert list(command(host).run(CALL, cancel)) == []
    assert host.state() == ("on", "")


ADDS = 'registrar.add("do", run, "helps", "[TEXT]")'
REFUSALS = {
    'registrar.add("retry", run)': "its command retry has a name that lora-chat itself has already",
    'registrar.add("adapter", run)': "its command adapter has a name that lora-chat itself has already",
    'registrar.add("taken", run)': "its command taken has a name that the plugin first has already",
    'registrar.add("do it", run)': "'do it' is no name",
    'registrar.add("do", run)\n    registrar.add("do", run)': "do is registered twice",
    'registrar.add("do", run, arguments="a\\nb")': "the arguments of the command do must be a word or two",
    'registrar.add("do", run, arguments="x" * 25)': "the arguments of the command do must be a word or two",
    'registrar.add("do", run, arguments=3)': "the arguments of the command do must be a word or two",
    'registrar.add("do", run, help=3)': "the help of an offer is no text",
}


@pytest.mark.parametrize(("adds", "said"), REFUSALS.items(), ids=range(len(REFUSALS)))
def test_a_name_that_is_taken_or_none_is_refused_with_both_named(host: Host, adds: str, said: str) -> None:
    host.put("first", command_source("return 'mine'", "taken"))
    host.enable("first")
    host.put(source=command_source("return 'x'").replace(ADDS, adds))
    with pytest.raises(RefusedError) as refused:
        host.enable()
    assert said in str(refused.value)
    assert "up was not enabled" in str(refused.value)
    assert [each.name for each in host.plugins.on()] == ["first"]


def test_every_command_of_lora_chat_is_taken() -> None:
    assert own_names() == {each.words.split()[0] for each in COMMANDS}


def test_a_name_that_lora_chat_has_by_now_is_its_own(host: Host) -> None:
    host.put(source=command_source("return 'x'"))
    host.enable()
    assert commands(host.plugins, {"do"}) == []


def test_it_is_completed_with_its_plugins_name_and_what_may_follow(host: Host) -> None:
    host.put(source=command_source("return 'x'"))
    host.put("need", command_source("return 'x'", "needs").replace("[TEXT]", "TEXT"))
    host.enable()
    host.enable("need")
    added = plugin_commands(host.plugins)
    assert [(each.usage, each.help, each.group) for each in added] == [
        ("/needs TEXT", "helps, by the plugin need", "Plugins"),
        ("/do [TEXT]", "helps, by the plugin up", "Plugins"),
    ]
    assert complete("/do", Names(commands=added)) == [], "it is whole"
    [found] = [each for each in complete("/d", Names(commands=added)) if each.line == "/do"]
    assert (found.label, found.help, found.whole) == ("/do [TEXT]", "helps, by the plugin up", True)
    [found] = complete("/need", Names(commands=added))
    assert (found.line, found.whole) == ("/needs ", False)
    assert complete("/need", Names()) == []


def test_what_it_says_of_itself_cannot_steer_the_terminal_and_stays_short(host: Host) -> None:
    source = (
        command_source("return 'x'").replace('"helps"', '"\\x1b[2Jx\\u202e" + "y" * 99').replace("[TEXT]", "[\x07T]")
    )
    host.put(source=source.replace("[\x07T]", "[T]"))
    host.enable()
    [found] = plugin_commands(host.plugins)
    assert found.help == "[2Jx" + "y" * 49 + "…, by the plugin up"
    with pytest.raises(ValueError, match="a word or two"):
        CommandRegistrar().add("do", lambda call: None, arguments="[\x07T]")


def test_what_is_known_of_its_plugin_names_it(host: Host) -> None:
    host.put(source=command_source("return 'x'"))
    assert dict(facts(host.plugins.get("up")))["hooks"] == "commands"
    assert dict(facts(host.enable()))["has"] == "command do"


def test_the_safe_mode_has_none_and_says_so(host: Host) -> None:
    host.put(source=command_source("return 'x'"))
    host.enable()
    safe = Plugins(host.paths, safe=True)
    assert plugin_commands(safe) == []
    with pytest.raises(RefusedError, match="safe mode, which runs no plugin, and /do is of up"):
        refuse_what_is_off(safe, "do")


def test_one_that_does_not_run_any_more_is_named_with_its_reason(host: Host) -> None:
    folder = host.put(source=command_source("return 'x'"))
    host.enable()
    refuse_what_is_off(host.plugins, "do")
    listed = command(host)
    (folder / "plugin.py").write_text(command_source("return 'other'"), "utf-8")
    assert plugin_commands(host.plugins) == []
    with pytest.raises(
        RefusedError, match="/do is a command of the plugin up, which does not run: its files are others"
    ):
        refuse_what_is_off(host.plugins, "do")
    with pytest.raises(RefusedError, match="its files are others than those you enabled"):
        list(listed.run(CALL, threading.Event()))
    assert host.enable().state == "on"
    assert given(host) == ["other"]
    host.plugins.disable("up")
    with pytest.raises(RefusedError, match="does not run: you disabled it; /plugin enable up has it"):
        refuse_what_is_off(host.plugins, "do")
    refuse_what_is_off(host.plugins, "nothing")


def test_where_nobody_has_commands_nobodys_files_are_looked_at(
    host: Host, home: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.put()
    host.enable()
    monkeypatch.setattr(Plugins, "shelf", None)
    assert plugin_commands(host.plugins) == []


def test_while_one_runs_its_plugin_is_at_work_and_others_are_not(host: Host) -> None:
    host.put(source=command_source("yield 'one'\nyield 'two'"))
    host.put("well", command_source("return 'fine'", "well"))
    host.enable()
    host.enable("well")
    pieces = command(host).run(CALL, threading.Event())
    assert next(pieces) == "one"
    with pytest.raises(RefusedError, match="up is still at work"):
        given(host)
    assert list(command(host, "well").run(CALL, threading.Event())) == ["fine"]
    assert list(pieces) == ["two"]
    assert given(host) == ["one", "two"]
