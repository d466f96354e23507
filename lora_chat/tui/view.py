"""What is open, as the screen is told of it. Owns that picture; never draws it."""

from __future__ import annotations

from dataclasses import replace

from lora_chat.chat.context import start_of
from lora_chat.chat.conversation import Message
from lora_chat.chat.preset import preset_names
from lora_chat.models.installed import base_names
from lora_chat.sitting.sampling import differing
from lora_chat.sitting.sitting import Sitting
from lora_chat.tui.messages import ViewSeen
from lora_chat.tui.reply import Reply
from lora_chat.tui.widgets.message import Shown


def view_of(sitting: Sitting, reply: Reply | None, *, another: bool) -> ViewSeen:
    """The visible branch and what is worn; ``reply``, whose lock is held, is shown as far as it is made."""
    branch, wearing = sitting.branch_with_places(), sitting.wearing
    start = start_of([message for message, _, _ in branch], sitting.answerer.name)
    shown = [Shown(_as_far_as_it_is(each, reply), place, of, each.id == start) for each, place, of in branch]
    worn, scale = (wearing.name, wearing.scale) if wearing else ("", 1.0)
    paths = sitting.services.paths
    formats = [(offer.name, offer.help) for _, offer in sitting.services.plugins.offered("exporters")]
    names = preset_names(paths), base_names(paths.models), formats
    return ViewSeen(sitting.conversation, shown, worn, scale, another, *names, differing(sitting))


def _as_far_as_it_is(message: Message, reply: Reply | None) -> Message:
    if reply is None or reply.message_id != message.id or not reply.running:
        return message
    return replace(message, content=reply.text)
