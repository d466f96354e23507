"""The commands inside the line chat. Owns their one table and what each does; never reads a line itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lora_chat.chat.conversation import Conversation, Message, Rating, Role
from lora_chat.cli.ask import cancelled_by_ctrl_c, check_wishes
from lora_chat.cli.background import Training
from lora_chat.cli.console import answer, answer_table, confirm, folded, is_interactive, note, stream
from lora_chat.cli.train import INDENT
from lora_chat.engine.protocol import TextChunk
from lora_chat.errors import LoraChatError, RefusedError, UsageError, did_you_mean
from lora_chat.models.installed import InstalledBase
from lora_chat.services import Services
from lora_chat.session import Ended, Wearing, choose_sampling
from lora_chat.text import clean, clean_line


class Chat:
    """One sitting: the conversation, what it wears, and a training beside it."""

    def __init__(self, services: Services, base: InstalledBase, wearing: Wearing | None) -> None:
        self.services = services
        self.base = base
        self.session = services.session(services.engine_beside(base), base)
        self.wearing = wearing
        self.conversation: Conversation | None = None
        self.wishes: dict[str, Any] = {}
        self.training: Training | None = None
        self.done = False
        self.failed = 0
        """The last refusal's exit code, for scripts."""

    @property
    def prompt(self) -> str:
        """What is worn, where the eyes are."""
        if self.wearing is None:
            return self.base.name
        scale = "" if self.wearing.scale == 1 else f" ×{self.wearing.scale:g}"
        return f"▎{self.wearing.adapter.name}{scale}"

    def take(self, line: str) -> None:
        """Do what a line says: a command, or a message to be answered. A line that begins with // is a message."""
        if line.startswith("/") and not line.startswith("//"):
            name, _, rest = line[1:].partition(" ")
            if name not in COMMANDS:
                near = did_you_mean(f"/{name}", [f"/{each}" for each in COMMANDS])
                hint = near or ": see /help. A message that begins with / is written with two, //."
                raise UsageError(f"There is no /{clean_line(name, 40)}{hint}")
            COMMANDS[name].run(self, rest.strip())
        elif clean(line).strip():
            self._say(line.removeprefix("/") if line.startswith("//") else line)

    def news(self) -> list[str]:
        """What happened beside the chat since the last line."""
        return self.training.news() if self.training else []

    def leave(self) -> None:
        """End the sitting; a training that runs is waited for on a pipe, and asked about at a terminal."""
        if self.training is not None and self.training.running:
            if not is_interactive():
                self.training.wait()
            elif not confirm("A training is running and would be lost. Stop it and leave?", yes=False, loses=True):
                return
            else:
                self.training.stop()
        if self.training is not None:
            for line in self.training.news():
                note(line)
            self.failed = self.training.failed or self.failed
        self.done = True

    def last_answer(self) -> Message:
        """The visible branch's last answer.

        Raises:
            RefusedError: there is none.
        """
        branch = self.services.store.branch(self.conversation.id) if self.conversation else []
        found = [message for message in branch if message.role is Role.ASSISTANT]
        if not found:
            raise RefusedError("There is no answer yet: write a message first.")
        return found[-1]

    def wear(self, wearing: Wearing | None) -> None:
        """Change what this conversation wears from the next answer on."""
        self.wearing = wearing
        if self.conversation is not None:
            name, scale = (wearing.adapter.name, wearing.scale) if wearing else (None, 1.0)
            self.conversation = self.services.store.update_conversation(self.conversation.id, adapter=name, scale=scale)

    def _take_off_what_is_gone(self) -> None:
        """An adapter that was removed while worn: the chat goes on, on the base, and says so."""
        if self.wearing is not None and not self.wearing.adapter.path.is_dir():
            note(f"{self.wearing.adapter.name} is no longer installed: the base answers.")
            self.wear(None)

    def _say(self, text: str) -> None:
        store = self.services.store
        if self.conversation is None:
            self.conversation = store.create_conversation(model=self.base.name)
            self.wear(self.wearing)
        self.conversation = store.conversation(self.conversation.id)
        self.print_turn(lambda sampling, cancel: self.session.send(
            self._current, text, self.wearing, sampling, cancel
        ))  # fmt: skip

    @property
    def _current(self) -> Conversation:
        assert self.conversation is not None
        return self.conversation

    def print_turn(self, begin: Callable[..., Any]) -> None:
        """Stream one turn to the person; Ctrl-C keeps what there is."""
        self._take_off_what_is_gone()
        sampling = choose_sampling(self.session.config, self.wearing, **self.wishes)
        with cancelled_by_ctrl_c() as cancel:
            for event in begin(sampling, cancel):
                if isinstance(event, TextChunk):
                    stream(event.text)
                elif isinstance(event, Ended):
                    answer()
                    note(_footer(event))


def _footer(event: Ended) -> str:
    finished = event.finished
    parts = ["stopped"] if finished.reason == "cancelled" else []
    if finished.tokens_per_second:
        parts.append(f"{finished.tokens_per_second:.0f} tok/s")
    if finished.first_token_ms:
        parts.append(f"first {finished.first_token_ms / 1000:.1f} s")
    return "  " + " · ".join([*parts, f"{finished.generated_tokens} tokens"])


@dataclass(frozen=True)
class Command:
    """One command of the chat."""

    usage: str
    help: str
    run: Callable[[Chat, str], None]


def _adapter(chat: Chat, words: str) -> None:
    verb, _, rest = words.partition(" ")
    if verb in ("", "list"):
        catalog = chat.services.adapters()
        answer_table(["NAME", "RANK", "DESCRIPTION"], [[a.name, str(a.rank), a.description] for a in catalog.adapters])
        for problem in catalog.problems:
            note(problem.reason)
    elif verb == "use" and rest:
        chat.wear(chat.services.wear(rest.strip()))
        note(f"Wearing {chat.prompt.removeprefix('▎')} from the next answer on.")
    elif verb == "off":
        chat.wear(None)
        note("Wearing nothing: the base answers.")
    elif verb == "scale" and rest and chat.wearing is not None:
        chat.wear(chat.services.wear(f"{chat.wearing.adapter.name}={rest.strip()}"))
        note(f"Wearing {chat.prompt.removeprefix('▎')} from the next answer on.")
    elif verb == "info" and chat.wearing is not None:
        worn = chat.wearing.adapter
        answer(f"{worn.name} {worn.version}: {worn.description or 'no description'}")
        answer(f"rank {worn.rank}, {worn.parameters:,} parameters, for {worn.base_model or 'an unnamed base'}")
    else:
        raise UsageError("Write /adapter list, /adapter use NAME, /adapter off, or, wearing one, /adapter scale 0.8.")


def _train(chat: Chat, words: str) -> None:
    verb, _, rest = words.partition(" ")
    running = chat.training is not None and chat.training.running
    if verb == "from-history" and not running:
        chat.training = Training.begin(chat.services, chat.session, chat.base, rest.strip())
        for line in chat.training.plan:
            note(folded(line, INDENT))
        note("It trains beside the chat: go on, or see /train status.")
    elif verb == "from-history":
        raise RefusedError("A training is running: wait for it, or /train cancel.")
    elif verb == "status" and chat.training is not None:
        answer(chat.training.status)
    elif verb == "cancel" and running:
        assert chat.training is not None
        chat.training.stop()
    elif verb in ("status", "cancel"):
        raise RefusedError("No training is running: /train from-history NAME starts one.")
    else:
        raise UsageError("Write /train from-history NAME, /train status or /train cancel.")


def _rate(chat: Chat, words: str) -> None:
    if words not in list(Rating):
        raise UsageError("Write /rate good or /rate bad: it judges the last answer.")
    chat.services.store.rate(chat.last_answer().id, Rating(words))
    note(f"Rated {words}.")


def _edit(chat: Chat, words: str) -> None:
    if not words:
        raise UsageError("Write /edit and the answer you wanted: it takes the last answer's place.")
    chat.services.store.edit_answer(chat.last_answer().id, words)
    note("Kept as the answer you wanted: /train from-history NAME learns from it.")


def _retry(chat: Chat, words: str) -> None:
    current = chat.conversation
    if current is None:
        raise RefusedError("There is nothing to answer again: write a message first.")
    chat.print_turn(lambda sampling, cancel: chat.session.retry(current, chat.wearing, sampling, cancel))


def _new(chat: Chat, words: str) -> None:
    chat.conversation = None
    note("A new conversation.")


def _open(chat: Chat, words: str) -> None:
    if not words:
        rows = [[each.id, str(each.adapter or ""), each.title] for each in chat.services.store.conversations(20)]
        answer_table(["ID", "ADAPTER", "TITLE"], rows)
        return
    found = chat.services.store.conversation(words)
    try:
        wearing = chat.services.wear(found.adapter, found.scale) if found.adapter else None
    except LoraChatError as error:
        wearing = None
        note(f"{error} The base answers.")
    chat.conversation = found
    chat.wear(wearing)
    for message in chat.services.store.branch(found.id):
        answer(f"{message.adapter or message.role.value}: {message.content}")


def _system(chat: Chat, words: str) -> None:
    if chat.conversation is None:
        chat.conversation = chat.services.store.create_conversation(model=chat.base.name)
        chat.wear(chat.wearing)
    chat.conversation = chat.services.store.update_conversation(chat.conversation.id, system=words)
    note("The system prompt is set." if words else "The system prompt is left to the adapter and the settings.")


def _set(chat: Chat, words: str) -> None:
    name, _, value = words.partition(" ")
    kinds: dict[str, Callable[[str], Any]] = {
        "temperature": float,
        "top_p": float,
        "top_k": int,
        "repetition_penalty": float,
        "max_tokens": int,
        "seed": int,
    }
    if name not in kinds:
        raise UsageError(f"Write /set and one of {', '.join(kinds)} with a value.")
    try:
        wish = kinds[name](value)
    except ValueError as error:
        raise UsageError(f'"{clean_line(value, 40)}" is no value for {name}: write a number.') from error
    check_wishes({name: wish})
    chat.wishes[name] = wish
    note(f"{name} is {value} from the next answer on.")


def _help(chat: Chat, words: str) -> None:
    width = max(len(command.usage) for command in COMMANDS.values())
    for command in COMMANDS.values():
        answer(folded(f"  {command.usage:{width}}  {command.help}", width + 4))


def _quit(chat: Chat, words: str) -> None:
    chat.leave()


COMMANDS: dict[str, Command] = {
    "adapter": Command("/adapter list · use NAME · off · scale X · info", "what this conversation wears", _adapter),
    "train": Command("/train from-history NAME · status · cancel", "an adapter from what you vouched for", _train),
    "rate": Command("/rate good|bad", "judge the last answer", _rate),
    "edit": Command("/edit TEXT", "write the answer you wanted", _edit),
    "retry": Command("/retry", "answer the last question again; the old answer is kept", _retry),
    "new": Command("/new", "begin a new conversation", _new),
    "open": Command("/open [ID]", "go on with a saved conversation; without an id, list them", _open),
    "system": Command("/system [TEXT]", "the system prompt of this conversation", _system),
    "set": Command("/set temperature 0.2", "sampling, for this sitting", _set),
    "help": Command("/help", "this list", _help),
    "quit": Command("/quit", "leave", _quit),
}
"""The one table: dispatch, /help and what is offered for a misspelt command."""
