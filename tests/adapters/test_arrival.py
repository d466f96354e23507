"""What a person is shown and asked before an adapter is installed, at a shell and in the chat alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lora_chat.adapters.install import Installed
from lora_chat.engine.effects import Effects
from lora_chat.engine.protocol import Probe, Worn
from lora_chat.errors import EngineError, RefusedError
from lora_chat.paths import Paths
from lora_chat.sitting.arrival import Against, look_at, settle
from lora_chat.sitting.face import Facts
from tests.adapters.archives import GOOD, a_zip
from tests.adapters.conftest import SIGNATURE, config, tensors, write_adapter
from tests.adapters.test_hostile import assert_one_sentence, everything_under

BASE: Any = SimpleNamespace(name="tiny", signature=SIGNATURE)


@dataclass
class Person:
    """Reads, and says ``agrees`` to every question."""

    agrees: bool = True
    rows: dict[str, str] = field(default_factory=dict)
    minds: list[str] = field(default_factory=list)
    asked: list[tuple[str, bool]] = field(default_factory=list)

    def confirm(self, question: str, *, loses: bool = False, about: Facts = ()) -> bool:
        self.rows = dict(about)
        self.minds = [fact for name, fact in about if name == "mind"]
        self.asked.append((question, loses))
        return self.agrees


@dataclass
class Measuring:
    """An engine's probe that found ``probe``."""

    probe: Probe | EngineError = field(default_factory=lambda: Probe(1.5, True, 4, 14))
    tried: list[Worn] = field(default_factory=list)
    files: list[set[str]] = field(default_factory=list)

    def __call__(self, worn: Worn) -> Probe:
        self.tried.append(worn)
        self.files.append({path.name for path in worn.folder.iterdir()})
        if isinstance(self.probe, EngineError):
            raise self.probe
        return self.probe


def brought(
    source: Path, paths: Paths, person: Person, measuring: Measuring | None = None, *, base: bool = True
) -> Installed | None:
    against = Against(BASE, measuring or Measuring()) if base else None
    return settle(look_at(str(source), paths, lambda _: against, lambda *_: None), paths, person)


def test_everything_about_it_is_shown_before_the_question(tmp_path: Path, paths: Paths) -> None:
    source = write_adapter(tmp_path / "bot", config(revision="main"), toml='license = "MIT"\ndescription = "Sells."\n')
    (source / "tokenizer.json").write_text("{}")
    person = Person()
    assert brought(source, paths, person) is not None
    assert person.rows | {"mind": "", "sha256": ""} == {
        "adapter": "bot 1.0.0",
        "says": "Sells.",
        "base": "tiny/Llama-Random; fits tiny, 4 of 14 modules",
        "rank": "4 on q_proj, v_proj",
        "size": "896 parameters, 4,677 bytes",
        "sha256": "",
        "licence": "MIT",
        "effect": "changes the next token's scores by up to 1.5",
        "left out": "1: tokenizer.json",
        "mind": "",
    }
    assert len(person.rows["sha256"]) == 64
    assert person.minds == ["Ignored in adapter_config.json, since it changes nothing here: revision."]
    assert person.asked == [("Install the adapter bot?", False)]


@pytest.mark.parametrize(
    ("digit", "said"), [("2", ", as here"), ("9", f"; here they are sha256:{'2' * 64}")], ids=["same", "other"]
)
def test_the_hash_of_the_weights_it_was_made_on_is_shown_and_not_required(
    digit: str, said: str, tmp_path: Path, paths: Paths
) -> None:
    person, made_on = Person(), f"sha256:{digit * 64}"
    toml = f'[base]\nmodel = "tiny"\nweights = "{made_on}"\n'
    assert brought(write_adapter(tmp_path / "bot", toml=toml), paths, person) is not None
    assert person.rows["made on"] == f"weights {made_on}{said}"
    assert person.asked == [("Install the adapter bot?", False)]


def test_no_installs_nothing_and_leaves_nothing(tmp_path: Path, paths: Paths) -> None:
    (tmp_path / "bot.zip").write_bytes(a_zip(GOOD))
    assert brought(tmp_path / "bot.zip", paths, Person(agrees=False)) is None
    assert everything_under(paths.adapters) == []


def test_nothing_lies_in_quarantine_while_the_person_thinks(tmp_path: Path, paths: Paths) -> None:
    class Looking(Person):
        def confirm(self, question: str, *, loses: bool = False, about: Facts = ()) -> bool:
            assert everything_under(paths.adapters) == []
            return True

    (tmp_path / "bot.zip").write_bytes(a_zip(GOOD))
    done = brought(tmp_path / "bot.zip", paths, Looking())
    assert done is not None
    assert done.adapter.path.is_dir()


def test_an_archive_is_measured_where_it_lies_in_quarantine(tmp_path: Path, paths: Paths) -> None:
    (tmp_path / "bot.zip").write_bytes(a_zip({**GOOD, "tokenizer.json": b"{}"}))
    measuring = Measuring()
    done = brought(tmp_path / "bot.zip", paths, Person(), measuring)
    assert done is not None
    (worn,), (files,) = measuring.tried, measuring.files
    assert (worn.name, worn.sha256) == ("bot", done.adapter.sha256)
    assert worn.folder.parent.name.startswith(".incoming-")
    assert files == set(GOOD)


def test_what_was_measured_before_is_not_measured_again(tmp_path: Path, paths: Paths) -> None:
    source = write_adapter(tmp_path / "bot")
    adapter = brought(source, paths, Person(), base=False)
    assert adapter is not None
    Effects(paths.models / "tiny" / "made" / "effects.json", SIGNATURE.weights).put(
        adapter.adapter.sha256, adapter.adapter.config_sha256, 2.25
    )
    person, measuring = Person(), Measuring()
    look = look_at(str(source), paths, lambda _: Against(BASE, measuring), lambda *_: None, "other")
    settle(look, paths, person)
    assert (person.rows["effect"], measuring.tried) == ("changes the next token's scores by up to 2.25", [])


def test_what_is_not_finite_is_refused_before_anything_is_asked(tmp_path: Path, paths: Paths) -> None:
    (tmp_path / "bot.zip").write_bytes(a_zip(GOOD))
    person = Person()
    with pytest.raises(RefusedError, match="not finite") as refused:
        brought(tmp_path / "bot.zip", paths, person, Measuring(Probe(float("nan"), False, 4, 14)))
    assert_one_sentence(str(refused.value))
    assert person.asked == []
    assert everything_under(paths.adapters) == []


def test_what_changes_nothing_is_installed_with_a_warning(tmp_path: Path, paths: Paths) -> None:
    person = Person()
    assert brought(write_adapter(tmp_path / "bot"), paths, person, Measuring(Probe(0.0, True, 4, 14))) is not None
    assert "It changes nothing on the probe." in person.minds
    assert person.rows["effect"] == "changes nothing on the probe"


def test_an_engine_that_fails_does_not_stop_an_install(tmp_path: Path, paths: Paths) -> None:
    person = Person()
    assert brought(write_adapter(tmp_path / "bot"), paths, person, Measuring(EngineError("No memory."))) is not None
    assert person.rows["effect"] == "not measured: No memory."


def test_without_a_base_it_is_neither_checked_nor_measured(tmp_path: Path, paths: Paths) -> None:
    person = Person()
    assert brought(write_adapter(tmp_path / "bot"), paths, person, base=False) is not None
    assert "not checked" in person.rows["base"]
    assert person.rows["effect"] == "not measured"


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ("other/Model", "It was made for other/Model; its shapes fit tiny/Llama-Random, its words may not."),
        (None, "It does not say which base it was made for; its shapes fit tiny/Llama-Random."),
    ],
)
def test_another_lineage_or_none_is_its_own_question(
    declared: str | None, said: str, tmp_path: Path, paths: Paths
) -> None:
    source = write_adapter(tmp_path / "bot", config(base_model_name_or_path=declared))
    person = Person(agrees=False)
    assert brought(source, paths, person) is None
    assert person.asked == [(f"{said} Install the adapter bot all the same?", True)]
    assert everything_under(paths.adapters) == []
    assert brought(source, paths, Person()) is not None


def test_another_shape_is_refused_naming_both_bases_and_shapes(tmp_path: Path, paths: Paths) -> None:
    found = tensors()
    found[next(iter(found))] = ("F32", (4, 64), bytes(4 * 4 * 64))
    source = write_adapter(tmp_path / "bot", config(), found, toml='[base]\nmodel = "big/Model"\n')
    with pytest.raises(RefusedError) as refused:
        brought(source, paths, Person())
    for part in ("big/Model", "tiny/Llama-Random", "64→32", "32→32"):
        assert part in str(refused.value)
    assert_one_sentence(str(refused.value))


def test_the_same_bytes_again_ask_nothing_from_any_form(tmp_path: Path, paths: Paths) -> None:
    brought(write_adapter(tmp_path / "bot"), paths, Person())
    (tmp_path / "bot.zip").write_bytes(a_zip(GOOD))
    for source in (tmp_path / "bot", tmp_path / "bot.zip"):
        person, measuring = Person(), Measuring()
        done = brought(source, paths, person, measuring)
        assert done is not None
        assert (done.already, person.asked, measuring.tried) == (True, [], [])


def test_a_taken_name_and_the_same_bytes_under_another_are_told_before_the_question(
    tmp_path: Path, paths: Paths
) -> None:
    brought(write_adapter(tmp_path / "bot"), paths, Person())
    twin, other = Person(), Person()
    done = brought(write_adapter(tmp_path / "bot-main"), paths, twin)
    assert (done and done.adapter.name, twin.minds) == ("bot-main", ["The same bytes are installed already, as bot."])
    brought(write_adapter(tmp_path / "bot", weights=tensors(seed=1)), paths, other)
    assert other.minds == ["There is another adapter called bot: this one becomes bot-2."]


def test_the_shipped_one_is_already_installed(tmp_path: Path, paths: Paths) -> None:
    write_adapter(paths.bundled_adapters / "bot")
    done = brought(write_adapter(tmp_path / "bot"), paths, Person())
    assert done is not None
    assert (done.already, done.adapter.origin, everything_under(paths.adapters)) == (True, "bundled", [])
