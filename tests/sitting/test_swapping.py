"""Another base answers: what is worn, what is said of it, and that the one before is gone from memory. Real engines."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest

from lora_chat.chat.conversation import Conversation, Role
from lora_chat.config import Config, load_config
from lora_chat.engine.echo import EchoEngine
from lora_chat.errors import NotFoundError, RefusedError
from lora_chat.models.entry import CatalogEntry
from lora_chat.models.installed import InstalledBase, find_base, remove_base
from lora_chat.paths import Paths
from lora_chat.services import Services
from lora_chat.sitting import verbs
from lora_chat.sitting.bases import Choices
from lora_chat.sitting.commands import take
from lora_chat.sitting.face import Face, Turn
from lora_chat.sitting.plan import Plan
from lora_chat.sitting.sitting import Sitting
from tests.cli.conftest import tiny, tiny_home, trained, worn  # noqa: F401
from tests.conftest import place
from tests.sitting.test_columns import Heard


class Listener(Heard):
    """A face that has answers made at once, and keeps what it is told of bases."""

    def __init__(self) -> None:
        super().__init__()
        self.banner = ""
        self.rows: dict[str, str] = {}
        self.shelves: list[Choices] = []
        self.pulled: list[tuple[str, str]] = []
        self.comes = ""
        self.bases: list[str] = []
        self.busy = False
        self.plans: list[Plan] = []

    def show_bases(self, choices: Choices) -> None:
        self.shelves.append(choices)

    def pull(self, wish: str, entry: CatalogEntry) -> None:
        self.pulled.append((wish, entry.name))

    def bases_changed(self) -> None:
        self.bases.append("changed")

    def coming(self) -> str:
        return self.comes

    def offer(self, plan: Plan) -> None:
        self.plans.append(plan)

    def warn(self, text: str) -> None:
        self.banner = text

    def details(self, title: str, rows: list[tuple[str, str]]) -> None:
        self.rows = dict(rows)

    def check_idle(self) -> None:
        if self.busy:
            raise RefusedError("An answer is still being written.")

    def base_leaves(self) -> None:
        self.bases.append("")

    def base_changed(self, base: InstalledBase) -> None:
        self.bases.append(base.name)

    def play(self, turn: Turn) -> None:
        list(turn(threading.Event()))


class Room:
    """A sitting on the tiny Llama, beside which the tiny OPT and the same Llama under another name are installed."""

    def __init__(self, services: Services) -> None:
        self.heard = Listener()
        self.services = services
        base = find_base(services.paths.models, "tiny-llama")
        self.sitting = Sitting(services, base, cast(Face, self.heard))

    def take(self, line: str) -> str:
        take(self.sitting, line)
        self.sitting.refresh()
        return self.heard.notes[-1] if self.heard.notes else ""

    def begun(self, said: str = "Hello") -> Conversation:
        """A conversation that has been answered once."""
        self.take(said)
        assert self.sitting.conversation is not None
        return self.sitting.conversation

    @property
    def by(self) -> list[tuple[str | None, str | None]]:
        """The base and the adapter of each answer of the open conversation."""
        return [(each.base, each.adapter) for each in self.sitting.branch() if each.role is Role.ASSISTANT]


@pytest.fixture
def room(tiny: Paths, worn: str, tiny_llama: InstalledBase, tiny_opt: InstalledBase) -> Iterator[Room]:  # noqa: F811
    tiny.models.unlink()  # the one that all tests share
    place(tiny_llama, tiny)
    place(tiny_opt, tiny)
    with Services(tiny, Config(model="tiny-llama", max_tokens=4)) as services:
        room = Room(services)
        yield room
        room.sitting.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process and no model: what is said and kept is what matters."""
    monkeypatch.setattr(Services, "engine_beside", lambda self, base: EchoEngine(base))


def make_twin(room: Room) -> None:
    """Let ``tiny-opt`` be another base of the same shape as the tiny Llama."""
    record = room.services.paths.models / "tiny-opt" / "base.json"  # another one of the same shape
    twin = json.loads((room.services.paths.models / "tiny-llama" / "base.json").read_text(encoding="utf-8"))
    signature = twin["signature"] | {"lineage": "somebody/twin", "aliases": [], "fingerprint": "1" * 64}
    record.write_text(json.dumps(twin | {"signature": signature | {"weights": "0" * 64}}), encoding="utf-8")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_another_base_answers_and_the_one_before_is_out_of_memory(room: Room) -> None:
    sitting = room.sitting
    room.take("/adapter use shop")
    room.take("Where is your shop?")
    before = sitting.engine.pid  # type: ignore[attr-defined]
    assert is_alive(before)
    assert "tiny-opt answers from the next answer on; tiny-llama is put away." in room.take("/model use tiny-opt")
    assert not is_alive(before)
    assert room.heard.bases == ["", "tiny-opt"]
    assert "shop" in room.heard.banner
    assert "The base answers." in room.heard.banner
    assert (sitting.worn, sitting.conversation.adapter) == ("", "shop")  # type: ignore[union-attr]
    room.take("Where is your shop?")
    assert room.by == [("tiny-llama", "shop"), ("tiny-opt", None)]
    room.take("/model use tiny-llama")
    assert (sitting.worn, room.heard.banner) == ("shop", "")
    room.take("Where is your shop?")
    assert room.by[-1] == ("tiny-llama", "shop")


@pytest.mark.usefixtures("quick")
def test_a_saved_conversation_of_another_base_is_not_answered_without_a_word(room: Room) -> None:
    old = room.begun()
    room.take("/new")
    room.take("/model use tiny-opt")
    room.take(f"/open {old.id}")
    said = "This was held with tiny-llama: tiny-opt answers, and /model use tiny-llama goes back."
    assert room.heard.banner == said
    assert room.sitting.store.conversation(old.id).model == "tiny-llama"  # looking changes nothing
    room.take("And now?")
    assert (room.heard.banner, room.sitting.store.conversation(old.id).model) == ("", "tiny-opt")
    assert [base for base, _ in room.by] == ["tiny-llama", "tiny-opt"]
    room.take("/new")
    room.take(f"/open {old.id}")
    assert room.heard.banner == ""


@pytest.mark.usefixtures("quick")
def test_one_whose_base_is_gone_says_so(room: Room) -> None:
    old = room.begun()
    room.take("/model use tiny-opt")
    room.take("/new")
    room.sitting.store.update_conversation(old.id, model="tiny-llama")
    remove_base(room.services.paths.models, "tiny-llama")
    room.take(f"/open {old.id}")
    assert room.heard.banner == "This was held with tiny-llama, which is not on this machine: tiny-opt answers."


@pytest.mark.usefixtures("quick")
def test_what_is_worn_without_a_conversation_is_worn_on_the_other_base_only_if_it_fits(room: Room) -> None:
    room.take("/adapter use shop")
    room.take("/model use tiny-opt")
    assert (room.sitting.worn, "The base answers." in room.heard.banner) == ("", True)
    assert room.sitting.conversation is None


@pytest.mark.usefixtures("quick")
def test_what_was_agreed_to_on_one_base_is_asked_about_on_another(room: Room) -> None:
    make_twin(room)
    room.take("/adapter use shop")
    assert room.heard.asked == []
    room.take("/model use tiny-opt")
    assert room.sitting.worn == ""
    assert room.heard.banner.endswith("The base answers; /adapter use shop asks.")
    room.take("/adapter use shop")
    assert ["Wear it all the same?" in each for each in room.heard.asked] == [True]
    assert room.sitting.worn == "shop"


@pytest.mark.usefixtures("quick")
def test_what_was_not_agreed_to_there_is_not_worn_later_either(room: Room) -> None:
    make_twin(room)
    room.take("/adapter use shop")
    old = room.begun()
    room.take("/model use tiny-opt")
    room.take("Hello again")
    room.take("/new")
    room.take(f"/open {old.id}")
    assert (room.sitting.worn, room.heard.banner.endswith("/adapter use shop asks.")) == ("", True)
    room.take("/adapter use shop")
    room.take("And now")
    room.sitting.agreed.clear()  # as after a new start
    room.take("/new")
    room.heard.banner = ""
    room.take(f"/open {old.id}")
    assert (room.sitting.worn, room.heard.banner.endswith("asks.")) == ("shop", False)


@pytest.mark.usefixtures("quick")
def test_a_refused_message_does_not_move_a_conversation_to_another_base(room: Room) -> None:
    old = room.begun()
    room.take("/new")
    room.take("/model use tiny-opt")
    room.take(f"/open {old.id}")
    said = room.heard.banner
    with pytest.raises(RefusedError, match="shorten it"):
        room.take("word " * 600)
    assert room.sitting.store.conversation(old.id).model == "tiny-llama"
    assert room.heard.banner == said != ""


@pytest.mark.usefixtures("quick")
def test_in_a_conversation_that_was_deleted_elsewhere_it_is_changed_whole(room: Room) -> None:
    room.take("Hello")
    assert room.sitting.conversation is not None
    room.sitting.store.delete_conversation(room.sitting.conversation.id)
    assert "tiny-opt answers from the next answer on" in room.take("/model use tiny-opt")
    assert room.heard.bases == ["", "tiny-opt"]
    assert room.sitting.answerer.name == "tiny-opt"


@pytest.mark.usefixtures("quick")
def test_a_plan_of_another_base_is_not_trained(room: Room) -> None:
    room.take("Where is your shop?")
    room.take("/rate good")
    room.take("/train from-history other")
    (plan,) = room.heard.plans
    room.take("/model use tiny-opt")
    with pytest.raises(RefusedError, match="other was planned on tiny-llama, which is put away: plan it anew"):
        room.sitting.train(plan)
    assert not room.sitting.is_training


@pytest.mark.usefixtures("quick")
def test_thoughts_of_another_base_are_not_read(room: Room) -> None:
    room.take("Hello")
    answer = room.sitting.last_answer()
    room.sitting.store.update_message(answer.id, content="<think>long</think>Four.")
    own = room.sitting.session.context(room.sitting.conversation, None, room.sitting.sampling())
    assert own.messages[1].content == "<think>long</think>Four."
    room.take("/model use tiny-opt")
    other = room.sitting.session.context(room.sitting.conversation, None, room.sitting.sampling())
    assert other.messages[1].content == "Four."


@pytest.mark.usefixtures("quick")
def test_stopped_trainings_of_another_base_wait_for_it(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    jobs = [SimpleNamespace(name="a", base="tiny-opt"), SimpleNamespace(name="b", base="tiny-llama")]
    monkeypatch.setattr(verbs, "_stopped", lambda sitting: jobs)
    monkeypatch.setattr(type(room.sitting), "go_on_with", lambda sitting, job: begun.append(job.name))
    said = room.take("/train resume")
    assert begun == ["b"]
    assert (
        said == "Going on with the training of b: /train status. a of tiny-opt waits until /model use names that base."
    )


@pytest.mark.usefixtures("quick")
def test_it_is_refused_while_the_base_is_needed(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = room.sitting.engine
    room.heard.busy = True
    with pytest.raises(RefusedError, match="still being written"):
        room.take("/model use tiny-opt")
    room.heard.busy = False
    monkeypatch.setattr(type(room.sitting), "is_training", True)
    with pytest.raises(RefusedError, match=r"is trained on tiny-llama: wait for its end, or /train cancel, first\."):
        room.take("/model use tiny-opt")
    assert (room.sitting.engine, room.sitting.answerer.name) == (engine, "tiny-llama")


@pytest.mark.usefixtures("quick")
def test_one_that_is_not_here_is_named_with_the_way_to_it(room: Room) -> None:
    with pytest.raises(NotFoundError, match=r"tiny-optt is not on this machine.*did you mean tiny-opt.*model pull"):
        room.take("/model use tiny-optt")
    assert room.take("/model use tiny-llama") == "tiny-llama answers already."


@pytest.mark.usefixtures("quick")
def test_the_list_says_what_fits_each_and_what_is_broken(room: Room) -> None:
    broken = room.services.paths.models / "broken"
    broken.mkdir()
    (broken / "base.json").write_text("{", encoding="utf-8")
    room.take("/model list")
    (found,) = room.heard.shelves
    here = {each.name: each.adapters for each in found.bases if each.base is not None}
    assert here == {"tiny-llama": ("shop",), "tiny-opt": ()}
    assert ["base.json" in each.reason for each in found.problems] == [True]


@pytest.mark.usefixtures("quick")
def test_memory_counts_what_the_base_at_hand_gives_back(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lora_chat.memory.free", lambda: 10**6)
    room.take("/model list")
    (found,) = room.heard.shelves
    held = next(each.chat_bytes for each in found.bases if each.name == "tiny-llama")
    assert found.room.free == 10**6 + held


@pytest.mark.usefixtures("quick")
def test_a_base_that_is_not_here_is_brought_once_it_was_agreed_to(room: Room) -> None:
    room.heard.agrees = False
    room.take("/model pull smollm2-135m")
    assert "93 MB to download" in room.heard.asked[-1]
    assert room.heard.pulled == []
    room.heard.agrees = True
    room.take("/model pull smollm2-135m")
    assert room.heard.pulled == [("smollm2-135m", "smollm2-135m")]


@pytest.mark.usefixtures("quick")
def test_one_that_this_machine_cannot_hold_is_not_even_asked_about(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lora_chat.memory.total", lambda: 10**9)
    with pytest.raises(RefusedError, match=r"qwen3-8b needs about 5\.6 GB of memory to chat"):
        room.take("/model pull qwen3-8b")
    with pytest.raises(RefusedError, match="opt-125m is not pulled as it is"):
        room.take("/model pull opt-125m")
    assert room.heard.asked == []


@pytest.mark.usefixtures("quick")
def test_a_base_is_taken_away_but_not_the_one_that_answers(room: Room) -> None:
    with pytest.raises(RefusedError, match="tiny-llama answers here"):
        room.take("/model remove tiny-llama")
    room.heard.agrees = False
    room.take("/model remove tiny-opt")
    assert (room.services.paths.models / "tiny-opt").is_dir()
    room.heard.agrees = True
    assert room.take("/model remove tiny-opt").startswith("tiny-opt is taken away; ")
    assert not (room.services.paths.models / "tiny-opt").exists()
    assert room.heard.bases == ["changed"]


@pytest.mark.usefixtures("quick")
def test_the_base_to_begin_with_is_kept_in_the_settings(room: Room) -> None:
    room.take("/model default tiny-opt")
    assert load_config(room.services.paths.config).model == "tiny-opt"
    room.take("/model list")
    assert [each.name for each in room.heard.shelves[-1].bases if each.default] == ["tiny-opt"]


@pytest.mark.usefixtures("quick")
def test_another_organisations_model_of_the_same_name_is_not_the_one_that_is_here(room: Room) -> None:
    with pytest.raises(NotFoundError, match="other/tiny-opt is not on this machine"):
        room.take("/model use other/tiny-opt")
    room.take("/model pull other/tiny-opt")
    assert room.heard.pulled == [("other/tiny-opt", "tiny-opt")]


@pytest.mark.usefixtures("quick")
def test_one_that_comes_just_now_is_not_called_missing(room: Room) -> None:
    room.heard.comes = "qwen3-0.6b"
    with pytest.raises(RefusedError, match=r"qwen3-0\.6b comes just now"):
        room.take("/model use qwen3-0.6b")


@pytest.mark.usefixtures("quick")
def test_what_is_said_of_one_names_it_as_it_was_asked_for(room: Room) -> None:
    room.take("/model info modelscope:Qwen/Qwen3-0.6B")
    assert room.heard.rows["not here"].endswith("/model pull modelscope:Qwen/Qwen3-0.6B")


@pytest.mark.usefixtures("quick")
def test_a_first_question_that_is_refused_was_not_deleted_elsewhere(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: EchoEngine, *_: object, **__: object) -> int:
        room.sitting.refresh()  # as a window does at any moment: the question stands in the conversation by now
        raise RefusedError("The template is broken.")

    monkeypatch.setattr(EchoEngine, "count_tokens", refuse)
    with pytest.raises(RefusedError, match="The template is broken"):
        room.take("Hello")
    room.sitting.refresh()
    assert room.sitting.conversation is None
    assert room.heard.notes == []
