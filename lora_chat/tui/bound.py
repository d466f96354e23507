"""Everything that has a key. Owns where bindings are found and which command does the same; the bindings are each
screen's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from textual.binding import Binding


@dataclass(frozen=True)
class Place:
    """Where some keys work."""

    where: str
    """As people say it."""
    homes: tuple[str, ...]
    """The classes that have the bindings, below ``lora_chat.tui``."""
    within: tuple[str, ...] = ()
    """Places whose keys work beside these."""
    writing: bool = False
    """Whether letters are written there, in a line or a text."""


_LISTS = ("picker", "search", "plan", "private", "adapters", "bases", "checks")
_PANES = ("help", "details", "confirm", "training", "report", "write", "adapters", "bases", "checks")

PLACES = {
    "app": Place("everywhere", ("app:LoraChatApp",), writing=True),
    "chat": Place("in the chat", ("screens.chat:ChatScreen", "widgets.prompt:Prompt"), writing=True),
    "prompt": Place("in the prompt", ("widgets.prompt:Prompt",), ("chat",), writing=True),
    "transcript": Place("on the answers", ("widgets.transcript:Transcript",), ("chat",)),
    "list": Place("on the conversations", ("widgets.conversation_list:ConversationList",), ("chat",)),
    "write": Place(
        "where an answer or a question is written",
        ("screens.write_answer:WriteAnswer", "screens.write_question:WriteQuestion", "screens.writing:Writing"),
        writing=True,
    ),
    "search": Place("in the search", ("screens.search:SearchScreen",), writing=True),
    "picker": Place("where an adapter is chosen", ("screens.adapter_picker:AdapterPicker",), writing=True),
    "adapters": Place("on the adapters", ("screens.adapters:AdaptersScreen", "screens.adapters:Line")),
    "bases": Place("on the base models", ("screens.bases:BasesScreen",)),
    "plan": Place("before a training", ("screens.training_plan:TrainingPlanScreen",)),
    "private": Place("on the rules for private data", ("screens.training_private:PrivateScreen",)),
    "training": Place("on a training", ("screens.training:TrainingScreen",)),
    "report": Place("on a report", ("screens.training_report:TrainingReportScreen",)),
    "checks": Place("on the checks", ("screens.checks:ChecksScreen", "screens.checks:WordsLine")),
    "compare": Place("on answers side by side", ("screens.compare:CompareScreen",)),
    "confirm": Place("where something is asked", ("screens.confirm:ConfirmScreen",)),
    "leave": Place("on leaving during a training", ("screens.leave:LeaveScreen",)),
    "welcome": Place("at the first start", ("screens.welcome:WelcomeScreen",)),
    "help": Place("on the help", ("screens.help:HelpScreen",)),
    "details": Place("on facts", ("screens.details:DetailsScreen",)),
    "choices": Place("in lists", ("widgets.choices:Choices",), _LISTS),
    "pane": Place("in long texts", ("widgets.pane:Pane",), _PANES),
}
"""By the first part of an id."""

WRITING = {"adapters.go-on", "adapters.close-line", "bases.close-line", "checks.keep-words", "checks.close-line"}
"""Ids of other places that work while something is written in a line."""

TYPED = {
    "app.palette": "/help",
    "app.quit": "/quit",
    "chat.adapters": "/adapter use",
    "chat.bases": "/model list",
    "chat.edit": "/edit",
    "chat.help": "/help",
    "chat.list": "/open",
    "chat.new": "/new",
    "chat.retry": "/retry",
    "chat.search": "/search",
    "chat.shelf": "/adapter list",
    "chat.training": "/train status",
}
"""What can be typed instead."""


@dataclass(frozen=True)
class Bound:
    """What a key does."""

    id: str
    """``chat.retry``: stable, for the settings."""
    keys: tuple[str, ...]
    """As Textual calls them, if the person has changed nothing."""
    does: str

    @property
    def place(self) -> Place:
        """Where it works."""
        return PLACES[self.id.partition(".")[0]]

    @property
    def writing(self) -> bool:
        """Whether something is written where it works."""
        return self.place.writing or self.id in WRITING

    @property
    def kept(self) -> tuple[str, ...]:
        """The keys that it never loses: nobody shuts themselves in, or out."""
        always = ("escape", "ctrl+q", "ctrl+c", *(("enter",) if self.id == "prompt.send" else ()))
        return tuple(key for key in self.keys if key in always)

    def meets(self, other: Bound) -> bool:
        """Whether both can be wanted at one time."""
        mine, theirs = self.id.partition(".")[0], other.id.partition(".")[0]
        near = {mine, *PLACES[mine].within}
        return "app" in (mine, theirs) or theirs in near or mine in {theirs, *PLACES[theirs].within}


def find(id: str) -> Bound:
    """What is called ``id``, which there must be."""
    return _of(id.partition(".")[0])[id]


def all_bound() -> Iterator[Bound]:
    """All of them, place by place."""
    for place in PLACES:
        yield from _of(place).values()


@cache
def _of(place: str) -> dict[str, Bound]:
    found: dict[str, list[Binding]] = {}
    for home in PLACES[place].homes:
        module, _, name = home.partition(":")
        own = vars(getattr(import_module(f"lora_chat.tui.{module}"), name))["BINDINGS"]
        for binding in Binding.make_bindings(own):
            if binding.id and binding.id.startswith(f"{place}."):
                found.setdefault(binding.id, []).append(binding)
    return {id: _bound(id, bindings) for id, bindings in found.items()}


def _bound(id: str, bindings: list[Binding]) -> Bound:
    """One key may do one thing and the opposite by turns: both are said."""
    keys = dict.fromkeys(each.key for each in bindings)
    does = dict.fromkeys(each.tooltip or each.description for each in bindings)
    return Bound(id, tuple(keys), ", or ".join(does))
