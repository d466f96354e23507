"""Which keys do what in this window. Owns that as one value, and how sentences name a key; never reads the settings.

Textual's own keymap loses what else a key does: of two actions on one key it takes both away where one is remapped.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from textual.binding import Binding, BindingsMap
from textual.dom import DOMNode

from lora_chat.language import tr
from lora_chat.tui import bound, key_names

_NAMED = re.compile(r"\{([a-z]+\.[a-z0-9-]+)\}")
"""A key in a sentence: ``{chat.stop} stops it``."""


@dataclass(frozen=True)
class Keymap:
    """What the person changed; everything else is as the program has it."""

    changed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By a binding's id all of its keys, the person's own first, then those that are never lost."""
    problems: tuple[str, ...] = ()
    """What of the settings is not used and why, a sentence each."""

    def keys(self, id: str) -> tuple[str, ...]:
        """The keys of ``id``, as Textual calls them."""
        return self.changed.get(id) or bound.find(id).keys

    def name(self, id: str) -> str:
        """The first of them, as keyboards have it: ``ctrl+r``."""
        return key_names.told(self.keys(id)[0])

    def told(self, text: str) -> str:
        """A sentence in the person's language, with the present key of each ``{id}`` in it."""
        said = tr(text)
        return _NAMED.sub(lambda found: _in_sentence(self.name(found[1]), said[: found.start()]), said)

    def over(self, bindings: BindingsMap, above: Collection[str] = ()) -> BindingsMap:
        """``bindings`` with the person's keys.

        ``above`` are the ids of what is asked after this node: where the person gave one of those a key that Textual
        itself uses in this one, such as ctrl+w in a text, the person's word counts.
        """
        if not self.changed:
            return bindings
        own = [binding for _, binding in bindings]
        ids = {binding.id for binding in own if binding.id} | set(above)
        taken = {key for id in ids & self.changed.keys() for key in self.changed[id]}
        kept = [each for each in own if each.id not in self.changed and (each.id or each.key not in taken)]
        moved = [self._moved(each, own) for each in _once(own) if each.id in self.changed]
        keys: dict[str, list[Binding]] = {}
        for key, binding in [(key, each) for each in moved if each.id for key in self.changed[each.id]]:
            keys.setdefault(key, []).append(binding.with_key(key, binding.key_display))
        for binding in kept:
            shown = replace(binding, key_display=self._display(binding, own))
            keys.setdefault(binding.key, []).append(shown)
        order = {(each.id, each.action): place for place, each in enumerate(own)}
        for each in keys.values():
            each.sort(key=lambda binding: order[binding.id, binding.action])
        return BindingsMap.from_keys(keys)

    def _moved(self, binding: Binding, own: list[Binding]) -> Binding:
        return replace(binding, key_display=self._display(binding, own))

    def _display(self, binding: Binding, own: list[Binding]) -> str | None:
        """``↑ ↓`` stands for several that are shown as one: what became of them, where one has another key."""
        family = list(dict.fromkeys(each.id for each in own if each.id and each.description == binding.description))
        if binding.key_display is None or not self.changed.keys() & set(family):
            return binding.key_display
        names = [self.name(id) for id in family]
        between = " " if len(names) <= _FEW else "…"
        return between.join(dict.fromkeys([*names[:1], *names[-1:]]))


_FEW = 2
"""Keys that are told one by one; of more the first and the last."""


def keymap_of(node: DOMNode) -> Keymap:
    """The window's that ``node`` is in; the program's own where it has none."""
    found = getattr(node.app, "keymap", None)
    return found if isinstance(found, Keymap) else Keymap()


def told(node: DOMNode, text: str) -> str:
    """See ``Keymap.told``, for the window that ``node`` is in."""
    return keymap_of(node).told(text)


def ids_above(node: DOMNode) -> set[str]:
    """The ids of all that ``node`` and what it stands in can do."""
    return {binding.id for each in node.ancestors_with_self for _, binding in each._bindings if binding.id}


def _once(bindings: list[Binding]) -> Iterator[Binding]:
    """Each action of each id, whatever keys it has."""
    return iter({(each.id, each.action): each for each in reversed(bindings)}.values())


def _in_sentence(name: str, before: str) -> str:
    begins = not before or before.endswith((". ", "! ", "? "))
    return name.capitalize() if name == "enter" or (name == "space" and begins) else name
