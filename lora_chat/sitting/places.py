"""Where a message stands among its alternatives. Owns that count; never changes which is shown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from lora_chat.chat.conversation import Message
from lora_chat.chat.store import Store


def with_places(store: Store, messages: Sequence[Message]) -> list[tuple[Message, int, int]]:
    """Each message of one conversation with its place among its alternatives, from 1, and their number.

    ``messages`` may have been read a moment ago: one that has been taken back since still has its place.
    """
    if not messages:
        return []
    alternatives: defaultdict[tuple[int | None, str], set[int]] = defaultdict(set)
    for id, parent, role in store.kinship(messages[0].conversation):
        alternatives[parent, role].add(id)
    for each in messages:
        alternatives[each.parent, each.role].add(each.id)
    together = [(message, sorted(alternatives[message.parent, message.role])) for message in messages]
    return [(message, ids.index(message.id) + 1, len(ids)) for message, ids in together]
