"""The terminal UI. Owns the window: its screens, colours, signals and end; never what is said in it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from textual import constants
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.filter import LineFilter
from textual.screen import Screen

from lora_chat.errors import LoraChatError
from lora_chat.tui import messages as news
from lora_chat.tui.adapter_flow import AdapterFlow
from lora_chat.tui.base_flow import BaseFlow
from lora_chat.tui.base_news import BaseNews
from lora_chat.tui.breaking import break_anywhere
from lora_chat.tui.bridge import Bridge
from lora_chat.tui.check_flow import CheckFlow
from lora_chat.tui.colourless import Colourless
from lora_chat.tui.column_flow import ColumnFlow
from lora_chat.tui.errand_news import ErrandNews
from lora_chat.tui.harmless import Harmless
from lora_chat.tui.notice import Notice
from lora_chat.tui.notices import Notices
from lora_chat.tui.palette import Palettes
from lora_chat.tui.remapped import Remapped
from lora_chat.tui.screens.chat import ChatScreen
from lora_chat.tui.theme import ALL
from lora_chat.tui.training_flow import TrainingFlow
from lora_chat.tui.training_news import TrainingNews
from lora_chat.tui.welcome_flow import WelcomeFlow
from lora_chat.tui.writing_flow import WritingFlow

if TYPE_CHECKING:
    from lora_chat.chat.search import Hit
    from lora_chat.sitting.sitting import Sitting
    from lora_chat.tui.screens.adapters import AdaptersScreen
    from lora_chat.tui.widgets.body import Body


_TERMINAL_GONE = 129
"""As a shell has it for whom SIGHUP ended."""


def _driver() -> type[Driver] | None:
    """How the terminal is read; None leaves it to Textual."""
    if os.name != "posix" or constants.DRIVER is not None:
        return None
    from lora_chat.tui.terminal import Terminal

    return Terminal


class LoraChatApp(BaseNews, TrainingNews, Notices, ErrandNews, Palettes, Remapped):
    """One window on one home."""

    TITLE = "lora-chat"
    CSS = """
    CommandPalette {
        background: $background 70%;
        & > Vertical, &:dark > Vertical { width: 90; max-width: 95%; background: $surface; }
        #--input { border: none; padding: 1 2; }
        SearchIcon { display: none; }
        CommandList, CommandList:focus { padding: 0 2 1 2; border: none; background: $surface; }
    }
    .-below KeysLine, .-below ToastRack { visibility: hidden; }
    Input > .input--placeholder, Input:disabled > .input--placeholder { color: $text-muted; }
    ToastRack { dock: top; align: right top; margin: 2 1 0 0; }
    ToastHolder { width: 72; max-width: 100%; }
    Toast { background: $surface; width: auto; max-width: 100%; padding: 0 1; }
    .-narrow.-list-open ToastHolder { max-width: 50%; }
    App:nocolor MessageView.-selected Head { text-style: reverse; }
    """
    SUSPENDED_SCREEN_CLASS = "-below"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "leave", "quit", id="app.quit", show=False, priority=True),
        Binding("ctrl+c", "interrupt", "copy, else stop", id="app.copy", show=False, system=True),
        Binding("ctrl+p", "command_palette", "every command", id="app.palette", show=False, priority=True),
    ]

    def __init__(self, model: str | None = None, adapter: str | None = None) -> None:
        break_anywhere()
        super().__init__(driver_class=_driver())
        for theme in ALL.values():
            self.register_theme(theme)
        self._colourless = Colourless()
        self._use_theme("dark")
        self._harmless = Harmless()
        self.notice = Notice(self)
        self.defect = ""
        """What ended it, where something nobody foresaw did."""
        self.bridge = Bridge(self._deliver, model, adapter, self.keymap)
        self.chat = ChatScreen(self.bridge)
        self.flow = TrainingFlow(self, self.bridge)
        self.shelf = AdapterFlow(self, self.bridge)
        self.checks = CheckFlow(self, self.bridge)
        self.columns = ColumnFlow(self, self.bridge)
        self.bases = BaseFlow(self, self.bridge)
        self.welcome = WelcomeFlow(self, self.bridge)
        self.writing = WritingFlow(self, self.bridge)
        self._leaving = False

    def get_default_screen(self) -> Screen[object]:
        """The talk is always at the bottom of the stack."""
        return self.chat  # type: ignore[return-value]

    def get_line_filters(self) -> Sequence[LineFilter]:
        """The last look at every line that leaves for the terminal."""
        filters = super().get_line_filters()
        return [*(self._colourless.among(filters) if self.no_color else filters), self._harmless]

    def _deliver(self, event: news.News) -> None:
        self.chat.post_message(event)

    # The beginning and the end

    def on_mount(self) -> None:
        """A closed or ended terminal ends the program in good order."""
        loop = asyncio.get_running_loop()
        for name in ("SIGHUP", "SIGTERM"):
            # Windows has neither the one nor add_signal_handler; a loop outside the main thread may set none.
            with suppress(NotImplementedError, AttributeError, RuntimeError, ValueError):
                number = getattr(signal, name)
                loop.add_signal_handler(number, self._terminated, number)

    def terminal_gone(self) -> None:
        """It can go without a signal to whoever does not belong to it; nobody would ever close this window."""
        self.exit(return_code=_TERMINAL_GONE)

    def _terminated(self, number: int) -> None:
        self.exit(return_code=128 + number)

    async def action_leave(self) -> None:
        """Leave; a training that runs is asked about."""
        if self._leaving:
            return
        if not self.flow.running:
            self.exit()
            return
        from lora_chat.tui.screens.leave import LeaveScreen

        self._leaving = True
        sitting = self.bridge.sitting
        self.push_screen(LeaveScreen(self.flow.name, sitting.trainings.names if sitting else ()), self._left)

    def _left(self, way: str | None) -> None:
        """Paused it is stopped, and kept, when everything is closed."""
        self._leaving = False
        if way == "pause":
            self.exit()
        elif way == "finish":
            self.bridge.run(self._hand_over)

    def _hand_over(self, sitting: Sitting) -> None:
        """On the bridge's thread: only then is there nothing left to wait for."""
        sitting.finish_alone()
        self.call_from_thread(self.exit)

    def action_interrupt(self) -> None:
        """Ctrl-C copies a selection, stops an answer, clears the prompt, and never ends the program by surprise."""
        if self.bridge.replying:
            self.bridge.stop_reply()
        elif self.columns.stop():
            pass  # as an answer in the talk
        elif self.bridge.stop_errand():
            pass  # the same
        elif self.screen is self.chat and self.chat.asking.put_away():
            self.notify(self.keymap.told("Put away: {prompt.older} brings it back."), timeout=3)
        else:
            self.notify(self.keymap.told("{app.quit} quits."), timeout=3)

    def _handle_exception(self, error: Exception) -> None:
        """Nobody foresaw it: the traceback goes to the log, the person gets one sentence after the window is gone."""
        from lora_chat.defects import record

        self.defect = record(error)
        self._return_code = 1
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
        self._close_messages_no_wait()

    # What the work tells, beside the talk

    def on_settings_read(self, event: news.SettingsRead) -> None:
        """Colours, and how the person is called."""
        self._use_theme(event.config.theme)
        self.notice.way = event.config.notify

    def on_reply_began(self, event: news.ReplyBegan) -> None:
        """It may take long."""
        self.notice.reply_began()

    def on_reply_ended(self, event: news.ReplyEnded) -> None:
        """Whoever looks elsewhere is called."""
        self.notice.reply_ended()

    def on_app_focus(self) -> None:
        """The terminal has the focus."""
        self.notice.focus_told()

    def on_app_blur(self) -> None:
        """It has not."""
        self.notice.focus_told()

    def on_theme_chosen(self, event: news.ThemeChosen) -> None:
        """Other colours."""
        self._use_theme(event.name)
        if self.no_color:
            self.tell("NO_COLOR is set, so that there are no colours: they are kept for a window without it.")

    def _use_theme(self, name: str) -> None:
        self.theme = ALL["mono" if self.no_color else name].name

    def on_said(self, event: news.Said) -> None:
        """One sentence, over the talk for a while."""
        self.tell(event.text, refused=event.refused, lasting=event.lasting)

    def on_terminal_told(self, event: news.TerminalTold) -> None:
        """Between two pictures, as whatever is written to the terminal."""
        self.tell_terminal(event.sequence)

    def tell_terminal(self, sequence: str) -> None:
        """Write what no screen shows."""
        if self._driver is not None:
            self._driver.write(sequence)

    def copy_to_clipboard(self, text: str) -> None:
        """What is selected, by the surest way, which is said; also what ctrl+c and ctrl+x take in a text."""
        if self.bridge.sitting is None:
            super().copy_to_clipboard(text)
            return
        self._clipboard = text  # what ctrl+v puts in
        self.bridge.run(lambda sitting: sitting.face.copy(text))

    def on_body_copy_wanted(self, event: Body.CopyWanted) -> None:
        """The line over a block of code was clicked."""
        self.copy_to_clipboard(event.code)

    def on_engine_seen(self, event: news.EngineSeen) -> None:
        """What the title bar has no room for."""
        if event.state in ("died", "failed"):
            self.tell(event.said, refused=True)

    def on_details_seen(self, event: news.DetailsSeen) -> None:
        """Facts."""
        from lora_chat.tui.screens.details import DetailsScreen

        self.push_screen(DetailsScreen(event.title, event.rows))

    def on_asked(self, event: news.Asked) -> None:
        """A thread waits for the answer."""
        from lora_chat.tui.screens.confirm import ConfirmScreen

        def answered(agreed: bool | None) -> None:
            if not event.answer.done():
                event.answer.set_result(bool(agreed))

        self.push_screen(ConfirmScreen(event.question, loses=event.loses, about=event.about), answered)

    def on_answer_wanted(self, event: news.AnswerWanted) -> None:
        """An answer is to be written."""
        self.writing.answer(event)

    def on_question_wanted(self, event: news.QuestionWanted) -> None:
        """A question is to be written otherwise."""
        self.writing.question(event)

    def action_editor(self) -> None:
        """Another place to write the prompt in."""
        self.writing.prompt()

    def on_hits_seen(self, event: news.HitsSeen) -> None:
        """Where something was said."""
        from lora_chat.tui.screens.search import SearchScreen

        if isinstance(self.screen, SearchScreen):
            self.screen.show(event.text, event.hits)
        elif event.asked:
            self.push_screen(SearchScreen(event.text, event.hits), self._open_hit)

    def on_search_screen_search_wanted(self, event: news.News) -> None:
        """As it is typed."""
        self.bridge.search(getattr(event, "text", ""))

    def _open_hit(self, chosen: tuple[Hit, str] | None) -> None:
        from lora_chat.sitting.finding import go_to

        if chosen:
            self.bridge.run(lambda sitting: go_to(sitting, *chosen))

    def on_adapters_seen(self, event: news.AdaptersSeen) -> None:
        """For the screens that show them."""
        self.shelf.saw(event)

    def on_view_seen(self, event: news.ViewSeen) -> None:
        """What is worn now."""
        self.shelf.wears(self.chat.worn)

    def on_adapters_screen_wanted(self, event: AdaptersScreen.Wanted) -> None:
        """A command for one of them."""
        install = "/adapter install "
        if event.line.startswith(install):
            self.bridge.install(event.line.removeprefix(install))
        else:
            self.bridge.take(event.line)

    def on_not_installed(self, event: news.NotInstalled) -> None:
        """It stands in the line again."""
        self.shelf.not_installed(event.source)

    def on_opened(self, event: news.Opened) -> None:
        """A command asked for a screen."""
        match event.what:
            case "picker":
                self.shelf.pick()
            case "adapters":
                self.shelf.open()
            case "conversations":
                self.chat.show_list()
            case "archived":
                self.chat.show_list(archived=True)
            case "training":
                self.flow.open()
            case "help":
                self.action_help()
            case "keys":
                self.show_keys()
            case "tour":
                self.chat.start_tour()

    def action_help(self) -> None:
        """Every command and key."""
        from lora_chat.tui.screens.help import HelpScreen
        from lora_chat.tui.teaching import keys

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(keys(self.keymap), self.chat.asking.commands))

    def on_columns_seen(self, event: news.ColumnsSeen) -> None:
        """One question in columns."""
        self.columns.saw(event)

    def on_leave_asked(self, event: news.LeaveAsked) -> None:
        """By a command."""
        self.call_later(self.action_leave)


def run(model: str | None, adapter: str | None) -> int:
    """Open the window and return the exit code once it is closed and everything is kept.

    Raises:
        LoraChatError: something nobody foresaw ended it.
    """
    app = LoraChatApp(model, adapter)
    try:
        app.run()
    finally:
        app.bridge.close()
    if app.defect:
        raise LoraChatError(app.defect)
    return app.return_code or 0
