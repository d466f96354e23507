"""Going to where something was said. Owns which branch comes into sight then; never searches and never draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lora_chat.chat.search import Hit
    from lora_chat.sitting.sitting import Sitting


def go_to(sitting: Sitting, hit: Hit, text: str) -> None:
    """Open the conversation where it was said, on the branch with that message, which is looked at.

    Raises:
        NotFoundError: it was deleted meanwhile.
    """
    if hit.message is None:
        sitting.open(hit.conversation.id)
        return
    store, message = sitting.store, sitting.store.message(hit.message.id)
    elsewhere = message.id not in [each.id for each in store.branch(message.conversation)]
    if elsewhere:
        store.update_conversation(message.conversation, head=store.newest_leaf(message.id))
    if elsewhere or not sitting.is_open(message.conversation):
        sitting.open(message.conversation)
    sitting.face.look_at(message, text)
    if elsewhere:
        sitting.face.note("That was on another branch, which is shown now, and which the next answer reads.")
