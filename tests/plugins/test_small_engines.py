"""Engines of small plugins: how little one needs, and what becomes of one that breaks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lora_chat.chat.conversation import Role, Turn
from lora_chat.engine.protocol import BaseInfo, Request, Sampling, TextChunk
from lora_chat.errors import EngineError, RefusedError
from lora_chat.models.answering import UNTOLD_WINDOW
from lora_chat.models.installed import InstalledBase
from lora_chat.plugins.engines import PluginEngine, find_engine
from tests.plugins.conftest import Host

PARROT = """
from lora_chat.plugins.engine_api import SimpleEngine, hookimpl

@hookimpl
def lora_chat_engines(registrar):
    registrar.add("parrot", Parrot, help="says it back")

class Parrot(SimpleEngine):
    def reply(self, request, cancel):
        yield from request.messages[-1].content.split(" ")
"""


def test_what_changes_after_it_was_looked_at_is_not_run_either(
    host: Host, tiny_llama: InstalledBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = host.put("parrot", PARROT)
    host.enable("parrot")
    with closing(PluginEngine(host.plugins, host.paths, "parrot", tiny_llama)) as engine:
        found = find_engine(host.plugins, "parrot")
        monkeypatch.setattr("lora_chat.plugins.engines.find_engine", lambda *_: found)
        (folder / "plugin.py").write_text(PARROT + "raise SystemExit\n", encoding="utf-8")
        with pytest.raises(RefusedError, match="others than those you enabled"):
            engine.load()


@pytest.fixture
def engine(host: Host, tiny_llama: InstalledBase) -> Iterator[Callable[[str], PluginEngine]]:
    opened: list[PluginEngine] = []

    def make(source: str) -> PluginEngine:
        host.put("parrot", source)
        host.enable("parrot")
        opened.append(PluginEngine(host.plugins, host.paths, "parrot", tiny_llama))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


HELLO = Request((Turn(Role.USER, "Hello you there"),), None, Sampling(seed=1))


def test_a_small_one_needs_no_base_and_is_called_as_it_is_chosen(host: Host) -> None:
    host.put("parrot", PARROT)
    host.enable("parrot")
    with closing(PluginEngine(host.plugins, host.paths, "parrot", None)) as engine:
        assert (engine.served.name, engine.served.is_met) == ("parrot", False)
        who = engine.meet()
        assert (who.name, who.window, who.here, who.is_met) == ("parrot", UNTOLD_WINDOW, None, True)
        assert len(list(engine.generate(HELLO))) == 4


def test_a_small_one_says_it_back(engine: Callable[[str], PluginEngine], tiny_llama: InstalledBase) -> None:
    parrot = engine(PARROT)
    assert isinstance(parrot.load(), BaseInfo)
    *pieces, done = parrot.generate(HELLO)
    assert [each.text for each in pieces if isinstance(each, TextChunk)] == ["Hello", "you", "there"]
    assert not isinstance(done, TextChunk)
    assert (done.reason, done.generated_tokens, done.seed) == ("stop", 3, 1)
    short = Request(HELLO.messages, None, Sampling(max_tokens=2, stop=("xyz",)))
    assert [each.reason for each in parrot.generate(short) if not isinstance(each, TextChunk)] == ["length"]
    cancel = threading.Event()
    cancel.set()
    assert [each.reason for each in parrot.generate(HELLO, cancel) if not isinstance(each, TextChunk)] == ["cancelled"]


RAISES = {
    "raise ValueError('no \\x1b[2J')": (EngineError, "ValueError: no"),
    "raise Refused('Not on a \\x1bSunday.')": (RefusedError, "^Not on a Sunday.$"),
}


@pytest.mark.parametrize(("body", "said"), RAISES.items(), ids=["raises", "refuses"])
def test_what_one_raises_is_a_sentence_and_it_goes_on(
    engine: Callable[[str], PluginEngine], host: Host, body: str, said: tuple[type[Exception], str]
) -> None:
    says = "        yield from"
    source = PARROT.replace(says, f"        if 'no' in request.messages[-1].content: {body}\n{says}")
    parrot = engine(source.replace("import SimpleEngine", "import Refused, SimpleEngine"))
    with pytest.raises(said[0], match=said[1]):
        list(parrot.generate(Request((Turn(Role.USER, "no"),))))
    assert len(list(parrot.generate(HELLO))) == 4
    assert host.state("parrot") == ("on", "")


def test_one_that_cannot_be_opened_says_why(engine: Callable[[str], PluginEngine]) -> None:
    parrot = engine(PARROT + "    def __init__(self, settings):\n        raise SystemExit\n")
    with pytest.raises(EngineError, match=r"The plugin parrot cannot open its engine \(it called sys.exit"):
        parrot.load()


def test_what_one_prints_goes_to_the_log(engine: Callable[[str], PluginEngine], host: Host) -> None:
    parrot = engine(PARROT.replace("        yield from", "        print('here I am', flush=True)\n        yield from"))
    assert len(list(parrot.generate(HELLO))) == 4
    assert "here I am" in (host.paths.logs / "engine.log").read_text("utf-8")


def test_one_that_does_not_close_is_not_waited_for(
    engine: Callable[[str], PluginEngine], host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("lora_chat.plugins.limits.CLOSE_S", 0.1)
    begun = f"        open({str(tmp_path / 'closing')!r}, 'w').close()\n"
    parrot = engine(f"{PARROT}    def close(self):\n{begun}        while True: pass\n")
    parrot.load()
    pid = parrot.pid
    parrot.close()
    assert (tmp_path / "closing").exists()
    assert pid is not None
    assert parrot._child is not None
    assert not parrot._child.alive


TAKEN = {
    '"parrot"': ('"local"', "its engine local has a name that lora-chat itself has already"),
    'Parrot, ': ('Parrot, "keys", ', "keys is registered twice or lora-chat's own"),
}  # fmt: skip


@pytest.mark.parametrize(("here", "there"), TAKEN.items(), ids=["name", "table"])
def test_a_name_that_is_taken_is_refused(host: Host, here: str, there: tuple[str, str]) -> None:
    host.put("parrot", PARROT.replace(here, there[0], 1))
    with pytest.raises(RefusedError, match=there[1]):
        host.enable("parrot")


def test_one_that_leaves_in_the_middle_of_an_answer_is_heard_of(engine: Callable[[str], PluginEngine]) -> None:
    leaving = engine(PARROT.replace("yield from", "yield 'half'; raise SystemExit(3)\n        yield from"))
    said: list[object] = []
    with pytest.raises(EngineError, match="SystemExit: 3"):
        said.extend(leaving.generate(HELLO))
    assert [each.text for each in said if isinstance(each, TextChunk)] == ["half"]


# Which plugin has the engine that the settings name


def refused(host: Host, name: str) -> str:
    with pytest.raises(RefusedError) as caught:
        find_engine(host.plugins, name)
    return str(caught.value)


def test_only_the_plugin_that_offers_an_engine_is_named(host: Host) -> None:
    host.put("parrot", PARROT)
    host.put("cuckoo", PARROT.replace('"parrot"', '"cuckoo"'))
    host.put("owl", PARROT.replace('"parrot"', "NAME").replace("\n@hookimpl", '\nNAME = "hoot"\n@hookimpl', 1))
    said = refused(host, "parrot")
    assert said == (
        'No enabled plugin has the engine "parrot": the plugin parrot is off, '
        "`lora-chat plugin enable parrot` has it run."
    )
    near = refused(host, "parot")
    assert near == (
        'No enabled plugin has the engine "parot"; did you mean parrot? Write engine = "parrot" into the settings; '
        "the plugin parrot is off, `lora-chat plugin enable parrot` has it run."
    )
    far = refused(host, "hoot")
    assert "plugin enable" not in far
    assert "`lora-chat plugin list` shows them all" in far
    host.enable("owl")
    host.plugins.disable("owl")
    assert "`lora-chat plugin enable owl` has it run" in refused(host, "hoot")  # which is remembered


def test_an_engine_that_runs_is_named_before_one_that_does_not(host: Host) -> None:
    host.put("parrot", PARROT)
    host.put("parrots", PARROT.replace('"parrot"', 'name="parrots"').replace("Parrot, ", "open=Parrot, "))
    assert host.plugins.get("parrots").plugin.content.engines == ("parrots",)
    host.enable("parrot")
    said = refused(host, "parrt")
    assert "did you mean parrot?" in said
    assert "enable" not in said.replace("enabled", "")
