"""Every command, to be searched. Owns what the palette offers and says; what a command does is the chat's."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from textual import on
from textual.app import App, SystemCommand
from textual.command import CommandList, CommandPalette
from textual.screen import Screen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from lora_chat.language import tr
from lora_chat.tui.screens.beneath import Beneath

if TYPE_CHECKING:
    from lora_chat.sitting.commands import Command
    from lora_chat.tui.bridge import Bridge
    from lora_chat.tui.screens.chat import ChatScreen


class Palette(CommandPalette, Beneath[None]):
    """Textual's own, in the person's language."""

    def __init__(self) -> None:
        super().__init__(placeholder=tr("Search for commands…"), id="--command-palette")

    @on(OptionList.OptionSelected)
    @on(Input.Submitted)
    def _once(self, event: OptionList.OptionSelected | Input.Submitted) -> None:
        """A second click, or Enter, on its way when the first has closed it: Textual would close it again, and end."""
        if self not in self.app.screen_stack:
            event.stop()
            event.prevent_default()

    def _start_no_matches_countdown(self, search_value: str) -> None:
        """Nothing is called so: Textual says that in English."""
        super()._start_no_matches_countdown(search_value)
        timer = self._no_matches_timer
        if timer is not None and search_value:
            self._stop_no_matches_countdown()
            self._no_matches_timer = self.set_timer(self._NO_MATCHES_COUNTDOWN, self._show_no_matches)

    def _show_no_matches(self) -> None:
        none = Option(tr("No matches found"), disabled=True, id=self._NO_MATCHES)
        self.query_one(CommandList).add_option(none)
        self._list_visible = True


class Palettes(App[None]):
    """The part of ``LoraChatApp`` that opens it."""

    bridge: Bridge
    chat: ChatScreen

    def has(self, kind: type[Screen[Any]]) -> bool:
        """Whether such a screen is open already: a key pressed twice opens one."""
        return any(isinstance(screen, kind) for screen in self.screen_stack)

    def action_command_palette(self) -> None:
        """Open it."""
        if self.use_command_palette and not self.has(CommandPalette):
            self.push_screen(Palette())

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The palette is the command table."""
        from lora_chat.sitting.commands import COMMANDS

        for command in [*COMMANDS, *self.chat.asking.commands]:
            said = f"{command.argument}: " * bool(command.argument) + tr(command.help)
            shown = said.replace("[", "\\[")  # it is read as markup, and may be a plugin's
            yield SystemCommand(f"/{command.words}", shown, partial(self._from_palette, command))

    def _from_palette(self, command: Command) -> None:
        """A whole command is done; one that wants an argument waits in the prompt."""
        if command.needs_argument:
            self.chat.asking.fill(f"/{command.words} ")
        else:
            self.bridge.take(f"/{command.words}")
