"""Each shipped adapter does what its card says, on the real model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing

import pytest

from lora_chat.engine.factory import open_local_for
from lora_chat.models.installed import find_base
from lora_chat.paths import Paths
from tests.shipped import ADAPTERS, BASE, FIGURES, Answers, Figure

pytestmark = [pytest.mark.real, pytest.mark.network]


@pytest.fixture(scope="module")
def answers(real_home: Paths) -> Iterator[Answers]:
    with closing(open_local_for(find_base(real_home.models, BASE), real_home)) as engine:
        yield Answers(engine)


def stated(figure: Figure) -> tuple[int, int]:
    """The ``N of M`` that the card gives."""
    card = (ADAPTERS / figure.adapter / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"^\| {re.escape(figure.stated)} \| (\d+) of (\d+) \|", card, re.MULTILINE)
    assert found is not None, figure.stated
    return int(found[1]), int(found[2])


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: f"{figure.adapter}: {figure.stated}")
def test_it_does_what_its_card_says(answers: Answers, figure: Figure) -> None:
    number, total = stated(figure)
    counted = figure.count(answers)
    assert len(figure.rows) == total
    # Another processor rounds differently; an answer or two may fall to the other side.
    assert len(counted) >= number - 2 if figure.good else len(counted) <= number + 1, counted
