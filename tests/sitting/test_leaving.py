"""What is asked when the person leaves while something is trained."""

from __future__ import annotations

import pytest

from lora_chat.sitting.face import leaving


@pytest.mark.parametrize(
    ("waiting", "said"),
    [
        ([], "shop is being trained. Pause it until the next start, finish it without this window, or stay?"),
        (["faq"], "shop is being trained, faq waits for it. Pause them until"),
        (["faq", "bot"], "shop is being trained, faq and bot wait for it. Pause them until"),
    ],
)
def test_those_that_wait_for_their_turn_are_named(waiting: list[str], said: str) -> None:
    assert leaving("shop", waiting).startswith(said)
