"""The first start. Owns what a person sees who was never here; fetching and the tour are others' work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import ProgressBar, Static

from lora_chat.language import tr
from lora_chat.models.catalog import CatalogEntry
from lora_chat.text import clean_line
from lora_chat.tui.keymap import Keymap, keymap_of
from lora_chat.tui.screens.beneath import Beneath
from lora_chat.tui.widgets.keys import KeysLine

Choice = Literal["chat", "tour"]


class WelcomeScreen(Beneath[Choice | None]):
    """One key to the first chat, another to the tour; a missing base model is fetched on the way."""

    DEFAULT_CSS = """
    WelcomeScreen {
        background: $background;
        align: center middle;
        #welcome { width: 76; max-width: 100%; height: auto; padding: 0 2; }
        #welcome Static { height: auto; }
        #how { margin-top: 1; }
        #fetching { height: auto; margin-top: 1; display: none; }
        #fetching ProgressBar { width: 100%; }
        #fetching Bar { width: 1fr; }
        &.-fetching #fetching { display: block; }
        &.-fetching #how { display: none; }
        #failed { color: $error; margin-top: 1; }
        KeysLine { dock: bottom; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "go('chat')", "chat", id="welcome.chat"),
        Binding("t", "go('tour')", "teach me, in two minutes", id="welcome.tour"),
        Binding("m", "choose", "another base model", id="welcome.base"),
        Binding("ctrl+q,q", "app.leave", "quit", id="welcome.quit"),
    ]

    fetching: reactive[bool] = reactive(False, bindings=True)

    @dataclass
    class FetchWanted(Message):
        """The base model should come."""

        name: str

    class ChoiceWanted(Message):
        """The person wants to see which base models there are."""

    def __init__(self, missing: CatalogEntry | None) -> None:
        """``missing`` is the base model that has to be fetched first; None if one is here."""
        super().__init__(id="welcome-screen")
        self._missing = missing
        self._chosen: Choice = "chat"

    def compose(self) -> ComposeResult:
        """In the middle."""
        with Vertical(id="welcome"):
            yield Static(Content.assemble(("lora-chat", "bold"), "\n", (tr(_WHAT), "$text-muted")))
            yield Static(_ways(self._missing, keymap_of(self)), id="how")
            with Vertical(id="fetching"):
                yield Static("", id="stage", markup=False)
                yield ProgressBar(show_eta=False)
            yield Static("", id="failed", markup=False)
        yield KeysLine()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While it comes there is nothing to choose."""
        return action not in ("go", "choose") or not (self.fetching or (action == "choose" and self._missing is None))

    def action_go(self, choice: Choice) -> None:
        """To the chat or the tour; by way of the fetch where the base is missing."""
        self._chosen = choice
        if self._missing is None:
            self.dismiss(choice)
            return
        self.begin_with(self._missing.name)
        self.post_message(self.FetchWanted(self._missing.name))

    def action_choose(self) -> None:
        """Which base models there are."""
        self.post_message(self.ChoiceWanted())

    def begin_with(self, name: str) -> None:
        """The base called ``name`` comes."""
        self.fetching = True
        self.query_one("#failed", Static).update("")
        self.show_fetch(f"Fetching {name}", 0, 0)

    def watch_fetching(self, fetching: bool) -> None:
        """The bar takes the place of the choices."""
        self.set_class(fetching, "-fetching")

    def show_fetch(self, what: str, done: float, total: float) -> None:
        """How far the fetch is."""
        self.query_one("#stage", Static).update(tr(what))
        self.query_one(ProgressBar).update(total=total or None, progress=done)

    def show_failure(self, reason: str) -> None:
        """It did not come; the choices are there again."""
        self.fetching = False
        self.query_one("#failed", Static).update(clean_line(tr(reason)))

    def arrived(self) -> None:
        """The base is here."""
        self.dismiss(self._chosen)


_WHAT = (
    "A small language model on your own machine. Correct its answers,\n"
    "and it learns them: an adapter that any conversation can wear."
)


def _ways(missing: CatalogEntry | None, keymap: Keymap) -> Content:
    rows = [
        (keymap.name("welcome.chat"), "chat"),
        (keymap.name("welcome.tour"), "teach me: correct, train and wear, in two minutes"),
    ]
    if missing is not None:
        rows.append((keymap.name("welcome.base"), "choose another base model first"))
    lines = [Content.assemble((f"{key:>7}", "bold $primary"), "   ", tr(text)) for key, text in rows]
    if missing is not None:
        about = (
            f"about {missing.download_bytes / 1e6:.0f} MB" if missing.download_bytes else "size not known beforehand"
        )
        licence = f", {missing.licence}" if missing.licence else ""
        fetched = f"Either first fetches the base model {missing.name}: {about}{licence}."
        taken = f"Either first takes the base model {missing.name} from {missing.place}; nothing is downloaded."
        first = taken if missing.place else fetched
        said = f"{tr(first)}\n{tr('After that nothing goes online unless you type the command for it.')}"
        lines += [Content(""), Content.styled(said, "$text-muted")]
    return Content("\n").join(lines)
