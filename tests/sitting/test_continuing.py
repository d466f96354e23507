"""The last answer going on: which one may, who may write it, and what is said."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import cast

import pytest

from lora_chat.chat.conversation import Message, Rating, Status
from lora_chat.errors import RefusedError
from lora_chat.sitting.commands import take
from lora_chat.sitting.continuing import let_go_on
from lora_chat.sitting.face import Face, Turn
from lora_chat.sitting.sitting import Sitting
from tests.sitting.test_columns import ASKED, BASE, Heard, Room, room

__all__ = ["room"]


class Player(Heard):
    """A face that makes each answer at once."""

    def play(self, turn: Turn) -> None:
        list(turn(threading.Event()))


@pytest.fixture
def sitting(room: Room) -> Sitting:
    room.heard = Player()
    return Sitting(room.services, BASE, cast(Face, room.heard))


def cut(sitting: Sitting, text: str = "one two three four", tokens: int = 2) -> Message:
    """An answer that was cut off."""
    take(sitting, f"/set max_tokens {tokens}")
    take(sitting, text)
    take(sitting, "/set max_tokens 400")
    sitting.refresh()
    return last(sitting)


def last(sitting: Sitting) -> Message:
    sitting.refresh()
    return sitting.branch()[-1]


def refused(sitting: Sitting, line: str = "/continue") -> str:
    before = sitting.branch()
    with pytest.raises(RefusedError) as caught:
        take(sitting, line)
    assert sitting.branch() == before
    return str(caught.value)


def notes(sitting: Sitting) -> str:
    return cast(Player, sitting.face).notes[-1]


def test_the_last_answer_goes_on_in_its_message(sitting: Sitting) -> None:
    before = cut(sitting)
    assert (before.content, before.finish_reason) == ("one two", "length")
    take(sitting, "/continue")
    after = last(sitting)
    assert (after.id, after.content, after.finish_reason) == (before.id, "one two three four", "stop")
    assert (before.generated_tokens, after.generated_tokens) == (2, 4)
    assert len(sitting.branch()) == 2
    assert "max_tokens" in notes(sitting), "there is nothing more to say"


def test_where_nothing_comes_that_is_said(sitting: Sitting) -> None:
    take(sitting, ASKED)
    before = last(sitting)
    take(sitting, "/continue")
    assert last(sitting) == before
    assert notes(sitting) == "Nothing was added: the answer ends there."


def test_what_was_vouched_for_is_said_to_be_so_no_longer(sitting: Sitting) -> None:
    answer = cut(sitting)
    take(sitting, "/rate good")
    take(sitting, "/continue")
    assert notes(sitting).startswith("The rating good was for the answer as it was, and is taken back")
    assert last(sitting).rating is None
    sitting.edit(answer, "uno dos")
    take(sitting, "/continue")
    assert last(sitting).content == "uno dos three four"
    assert notes(sitting).startswith("The answer is no longer yours alone")
    assert (last(sitting).edited_from, last(sitting).rating) == (None, None)


def test_without_an_answer_nothing_goes_on(sitting: Sitting) -> None:
    assert "no answer yet to go on with" in refused(sitting)
    answer = cut(sitting)
    sitting.store.add_message(answer.conversation, answer.role.USER, "And?", parent=answer.id)
    assert "/retry answers it" in refused(sitting)
    with pytest.raises(RefusedError, match="Only the last answer"):
        let_go_on(sitting, answer)


def test_one_that_is_empty_or_being_written_does_not_go_on(sitting: Sitting) -> None:
    answer = cut(sitting)
    sitting.store.update_message(answer.id, content="", status=Status.STOPPED)
    assert "nothing of that answer" in refused(sitting)
    sitting.store.update_message(answer.id, content="one", status=Status.STREAMING)
    assert "still being written" in refused(sitting)


def test_another_than_wrote_it_is_refused_with_what_to_put_on(sitting: Sitting) -> None:
    cut(sitting)
    take(sitting, "/adapter use shop")
    assert "The base alone wrote that answer and shop is worn now: /adapter off" in refused(sitting)
    cut(sitting, tokens=4)
    take(sitting, "/adapter scale 0.5")
    assert "shop wrote that answer and shop ×0.5 is worn now: /adapter use shop, or" in refused(sitting)
    cut(sitting, tokens=4)
    take(sitting, "/adapter off")
    assert "shop ×0.5 wrote that answer and nothing is worn now: /adapter use shop=0.5, or" in refused(sitting)
    take(sitting, "/adapter use shop=0.5")
    take(sitting, "/continue")
    take(sitting, "/adapter mix shop=0.7 pirate=0.3")
    cut(sitting, tokens=4)
    take(sitting, "/adapter off")
    assert "/adapter mix shop=0.7 pirate=0.3, or /retry" in refused(sitting)
    take(sitting, "/adapter mix shop=0.7 pirate=0.3")
    take(sitting, "/continue")
    assert last(sitting).content.endswith("four")


def test_another_version_or_base_than_wrote_it_is_refused(sitting: Sitting, room: Room) -> None:
    room.wear("shop")
    take(sitting, "/adapter use shop")
    answer = cut(sitting)
    sitting.store.update_message(answer.id, adapter_sha256="0" * 64)
    assert refused(sitting).startswith("Another version of shop wrote that answer: /retry")
    sitting.store.update_message(answer.id, base="other")
    assert "other wrote that answer and tiny answers now: /model use other" in refused(sitting)


def test_a_persons_own_text_goes_on_with_whatever_is_worn(sitting: Sitting) -> None:
    answer = cut(sitting)
    sitting.edit(answer, "uno")
    sitting.rate(last(sitting), Rating.GOOD)
    take(sitting, "/adapter use shop")
    take(sitting, "/continue")
    assert (last(sitting).adapter, last(sitting).rating) == ("shop", None)
    assert last(sitting).content.startswith("uno ")


def test_what_writes_is_looked_at_first(sitting: Sitting, room: Room, tmp_path: Path) -> None:
    take(sitting, "/adapter use shop")
    cut(sitting)
    (room.services.paths.adapters / "shop").rename(tmp_path / "gone")
    assert "nothing is worn now" in refused(sitting)
