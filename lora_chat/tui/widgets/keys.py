"""The next keys, in one line. Owns how they are shown; which there are, the bindings say: so it can never lie."""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len
from textual.binding import Binding
from textual.content import Content
from textual.dom import DOMNode
from textual.events import Click
from textual.geometry import Size
from textual.screen import Screen
from textual.widget import Widget

from lora_chat.language import tr
from lora_chat.tui.key_names import told

_BETWEEN = " · "


class KeysLine(Widget):
    """``enter start · space exclude · esc back``; where there is no room the last ones but the way back go."""

    ALLOW_SELECT = False

    DEFAULT_CSS = """
    KeysLine { width: 1fr; height: 1; padding: 0 1; text-align: right; text-wrap: nowrap; color: $text-muted; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._shown: list[tuple[str, str, str]] = []
        """(key as Textual calls it, as people do, what it does)."""
        self._way_back = ""
        """The key of the one that stays, where there is no room for all."""

    def on_mount(self) -> None:
        """The screen tells when focus or what can be done changes."""
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_updated)

    def _bindings_updated(self, screen: Screen[object]) -> None:
        if self.is_attached and screen is self.screen:
            self._shown = list(_keys(screen))
            self._way_back = _way_back(screen)
            self.refresh(layout=True)

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """Room for all of them."""
        return _line(self._shown).cell_length

    def render(self) -> Content:
        """As many as there is room for."""
        return _line(self._fitting())

    def _fitting(self) -> list[tuple[str, str, str]]:
        fitting = list(self._shown)
        while len(fitting) > 1 and _line(fitting).cell_length > self.content_size.width:
            fitting.pop(-2 if fitting[-1][0] == self._way_back else -1)
        return fitting

    def on_click(self, event: Click) -> None:
        """A click on a key is that key."""
        fitting = self._fitting()
        begin = self.gutter.left + self.content_size.width - _line(fitting).cell_length
        for key, name, does in fitting:
            end = begin + cell_len(f"{name} {does}")
            if begin <= event.x < end:
                self.app.simulate_key(key)
            begin = end + len(_BETWEEN)


def _keys(screen: Screen[object]) -> Iterator[tuple[str, str, str]]:
    """What works now, the focused widget's own first, each as it declares them; several keys for one thing are one."""
    seen = set()
    # A key that two of them have keeps, among the active ones, the place of the one that lost it.
    nodes = [*(screen.focused or screen).ancestors_with_self]
    active = sorted(screen.active_bindings.values(), key=lambda each: _place(nodes, each.node, each.binding))
    for _, binding, enabled, _ in active:
        if binding.show and enabled and binding.action not in seen:
            seen.add(binding.action)
            yield binding.key, _name(binding), tr(binding.description)


def _way_back(screen: Screen[object]) -> str:
    """What is shown of the thing that esc does: the person may have given it another key as well."""
    active = screen.active_bindings
    back = active["escape"].binding.id if "escape" in active else None
    return next((each.binding.key for each in active.values() if back and each.binding.id == back), "escape")


def _place(nodes: list[DOMNode], node: DOMNode, binding: Binding) -> tuple[int, int]:
    owner, _, action = binding.action.rpartition(".")
    if owner == "screen":
        node = node.screen
    actions = [each.action for each in type(node).BINDINGS if isinstance(each, Binding)]
    own = actions.index(action) if action in actions else len(actions)
    return nodes.index(node) if node in nodes else len(nodes), own


def _name(binding: Binding) -> str:
    """``ctrl+s``, ``esc``: as keyboards say it."""
    return binding.key_display or told(binding.key)


def _line(keys: list[tuple[str, str, str]]) -> Content:
    parts = [Content.assemble((name, "$foreground"), f" {does}") for _, name, does in keys]
    return Content(_BETWEEN).join(parts)
