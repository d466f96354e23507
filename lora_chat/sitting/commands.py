"""The commands of the chat. Owns their one table, from which dispatch, completion, the palette, the help and the README
are drawn; never reads a key and never prints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from lora_chat.errors import UsageError, did_you_mean
from lora_chat.plugins.commands import refuse_what_is_off
from lora_chat.sitting import (
    base_shelf,
    carrying,
    checking,
    continuing,
    copying,
    listing,
    plugins,
    presets,
    reporting,
    sampling,
    shelf,
    swapping,
    turns,
    verbs,
)
from lora_chat.sitting.attaching import attach
from lora_chat.sitting.plugin_commands import plugin_commands
from lora_chat.sitting.sitting import Sitting
from lora_chat.text import clean, clean_line

Completes = Literal[
    "",
    "adapters",
    "shares",
    "columns",
    "presets",
    "bases",
    "models",
    "conversations",
    "settings",
    "ratings",
    "themes",
    "copies",
    "formats",
]


@dataclass(frozen=True)
class Command:
    """One form of one command."""

    words: str
    """What is typed, without the slash: ``adapter use``."""
    argument: str
    """What follows: ``NAME``; in brackets where it may be left out."""
    help: str
    run: Callable[[Sitting, str], None]
    completes: Completes = ""
    """What the argument is one of."""
    group: str = "Chat"

    @property
    def usage(self) -> str:
        """Such as ``/adapter use NAME``."""
        return f"/{self.words} {self.argument}".rstrip()

    @property
    def noun(self) -> str:
        """The first word."""
        return self.words.split()[0]

    @property
    def needs_argument(self) -> bool:
        """Whether it can do nothing without."""
        return bool(self.argument) and not self.argument.startswith("[")


_adapter = partial(Command, group="Adapters")

COMMANDS: tuple[Command, ...] = (
    _adapter("adapter list", "", "what is installed", verbs.adapter_list),
    _adapter("adapter use", "NAME[=SCALE]", "wear one in this conversation", verbs.adapter_use, "adapters"),
    _adapter("adapter off", "", "take it off: the base answers", verbs.adapter_off),
    _adapter("adapter scale", "X", "how strongly it is worn; 1 is as trained", verbs.adapter_scale),
    _adapter("adapter mix", "A=0.7 B=0.3", "wear several at once, by their shares", verbs.adapter_mix, "shares"),
    _adapter("adapter info", "[NAME]", "what an adapter says of itself", verbs.adapter_info, "adapters"),
    _adapter("adapter install", "SOURCE", "check a folder, an archive or a hub id; install it", shelf.adapter_install),
    _adapter("adapter verify", "[NAME]", "check its bytes, measure what it changes", shelf.adapter_verify, "adapters"),
    _adapter("adapter pack", "[NAME]", "one archive of it, to hand on", shelf.adapter_pack, "adapters"),
    _adapter("adapter remove", "NAME", "take it away; it can come back for a day", shelf.adapter_remove, "adapters"),
    _adapter("adapter restore", "[NAME]", "bring back what was removed", shelf.adapter_restore),
    _adapter("adapter history", "[NAME]", "its versions, and which is worn", shelf.adapter_history, "adapters"),
    _adapter("adapter rollback", "NAME [TO]", "wear an earlier version", shelf.adapter_rollback, "adapters"),
    Command(
        "train from-history", "[NAME]", "a new adapter from the answers you vouched for", verbs.train, group="Training"
    ),
    Command(
        "train continue",
        "[NAME]",
        "its next version: what it knows and what is new",
        verbs.train_continue,
        "adapters",
        "Training",
    ),
    Command("train status", "", "how far it is, and who waits", verbs.train_status, group="Training"),
    Command("train pause", "", "let it wait", verbs.train_pause, group="Training"),
    Command("train resume", "", "let it go on, also one stopped earlier", verbs.train_resume, group="Training"),
    Command("train cancel", "[NAME]", "stop it; nothing is kept", verbs.train_cancel, group="Training"),
    Command("train never", "", "keep this conversation out of every training", verbs.train_never, group="Training"),
    Command("train allow", "", "let it be learnt from again", verbs.train_allow, group="Training"),
    Command(
        "check", "[NAME]", "ask again what was taught: what holds, what is lost", checking.check, "adapters", "Training"
    ),
    Command(
        "report",
        "[NAME [VERSION]]",
        "what a training did: what it learnt, what it broke",
        reporting.report,
        "adapters",
        "Training",
    ),
    Command("rate", "good|bad", "judge the last answer", verbs.rate, "ratings", "Answers"),
    Command("edit", "[TEXT]", "write the answer you wanted", verbs.edit, group="Answers"),
    Command("retry", "", "answer the last question again; the old answer is kept", verbs.retry, group="Answers"),
    Command("continue", "", "let the last answer go on where it ends", continuing.go_on, group="Answers"),
    Command("branch", "[TEXT]", "ask the last question otherwise; the old one is kept", turns.branch, group="Answers"),
    Command(
        "compare",
        "[base @A @B=0.5]",
        "the last question side by side; or: @A temperatures",
        verbs.compare,
        "columns",
        "Answers",
    ),
    Command(
        "copy", "[N|code [N]|chat]", "the last answer, the N-th last, code, or all", copying.copy, "copies", "Answers"
    ),
    Command("export", "[FORMAT] [FILE]", "write this one as md, jsonl or sharegpt", carrying.export, "formats"),
    Command("import", "FILE", "look at the conversations of a file, then add them", carrying.import_),
    Command("new", "", "begin a new conversation", verbs.new),
    Command("open", "[ID]", "go on with a saved conversation", verbs.open_conversation, "conversations"),
    Command("search", "TEXT", "where that was said", verbs.search),
    Command("rename", "TITLE", "another title for this conversation", verbs.rename),
    Command("pin", "", "keep this one at the top of the list; again: no longer", listing.pin),
    Command("archive", "", "put this one away; again: list it as before", listing.archive),
    Command("archived", "", "what was put away", listing.archived),
    Command("delete", "[turn]", "this conversation; turn: its last question and answer", turns.delete),
    Command("undo", "", "bring back what was deleted last", turns.undo),
    Command("system", "[TEXT]", "see or set the system prompt; none takes it away", verbs.system),
    Command("preset list", "", "the system prompts with examples that you keep", presets.preset_list),
    Command("preset use", "NAME", "begin each prompt here with one", presets.preset_use, "presets"),
    Command("preset off", "", "begin them without it", presets.preset_off),
    Command("preset info", "[NAME]", "what one holds", presets.preset_info, "presets"),
    Command("preset save", "NAME", "make one of the answers here that you vouched for", presets.preset_save),
    Command("model list", "", "the base models: here, to be had, and what each needs", base_shelf.model_list),
    Command("model use", "NAME", "have another base answer here", swapping.model_use, "bases"),
    Command("model info", "[NAME]", "what is known of one, and what it needs here", base_shelf.model_info, "models"),
    Command("model pull", "NAME", "bring one onto this machine while you chat", base_shelf.model_pull, "models"),
    Command("model default", "NAME", "begin with this one from the next start on", base_shelf.model_default, "bases"),
    Command("model remove", "NAME", "take one off this machine", base_shelf.model_remove, "bases"),
    Command("context", "", "how much of this conversation the base reads", verbs.context),
    Command("set", "[NAME VALUE]", "sampling here: temperature 0.2, or default", sampling.set_sampling, "settings"),
    Command("theme", "NAME", "dark, light, contrast or mono; kept in the settings", verbs.theme, "themes", "Program"),
    Command("plugin list", "", "code of others that can join in, and what runs", plugins.plugin_list, group="Program"),
    Command("plugin info", "NAME", "what is known of one", plugins.plugin_info, group="Program"),
    Command("plugin enable", "NAME", "run one, once you agree", plugins.plugin_enable, group="Program"),
    Command("plugin disable", "NAME", "run it no more", plugins.plugin_disable, group="Program"),
    Command("tour", "", "two minutes through the whole loop", verbs.tour, group="Program"),
    Command("help", "", "this list", verbs.help, group="Program"),
    Command("keys", "", "every key, and which ones you changed", verbs.keys, group="Program"),
    Command("quit", "", "leave", verbs.quit, group="Program"),
)
"""The one table."""

_WITHOUT_VERB = {"adapter": "adapter list", "preset": "preset list", "model": "model list", "plugin": "plugin list"}
"""What the first word alone means, where it means anything."""


def take(sitting: Sitting, line: str) -> None:
    """Do what a line says: a command, or a message to be answered with the files that it names. A line that begins
    with // is a message.

    Raises:
        UsageError: there is no such command, or its argument is missing.
        RefusedError: it is of a plugin that does not run.
        LoraChatError: the command refuses, or a file cannot be attached.
    """
    if not is_message(line):
        command, rest = find(line[1:], _beside(line[1:], sitting))
        if command.needs_argument and not rest:
            raise UsageError(f"Write {command.usage}: {command.help}.")
        if rest and not command.argument:
            raise UsageError(f"/{command.words} takes nothing behind it: write {command.usage} alone.")
        sitting.refresh()  # a first message that was refused took its conversation back with it
        command.run(sitting, rest)
    elif clean(line).strip():
        sitting.say(attach(line.removeprefix("/") if line.startswith("//") else line))


def is_message(line: str) -> bool:
    """Whether ``line`` is to be answered; else it is a command."""
    return not line.startswith("/") or line.startswith("//")


def _beside(words: str, sitting: Sitting) -> Sequence[Command]:
    """What plugins add, where the first of ``words`` is no command of lora-chat's own: else nobody looks for them."""
    noun = words.strip().partition(" ")[0]
    if any(each.noun == noun for each in COMMANDS):
        return ()
    found = plugin_commands(sitting.services.plugins)
    if not any(each.noun == noun for each in found):
        sitting.face.plugins_changed()  # it may have been completed a moment ago
        refuse_what_is_off(sitting.services.plugins, noun)
    return found


def has_own_words(line: str) -> bool:
    """Whether there is something in ``line`` that only its writer knows: it is a message, or a command with more than
    its own words.
    """
    try:
        return is_message(line) or bool(find(line[1:])[1])
    except UsageError:
        return True


def is_asked(line: str) -> bool:
    """Whether something in ``line`` is to be answered: a message, or the last question in other words."""
    return is_message(line) or (has_own_words(line) and line[1:].split(None, 1)[0] == "branch")


def find(words: str, more: Sequence[Command] = ()) -> tuple[Command, str]:
    """The command that ``words`` (without the slash) begin with, and what follows it; ``more`` are plugins'.

    Raises:
        UsageError: there is none, naming the nearest.
    """
    noun, _, rest = words.strip().partition(" ")
    known = [*COMMANDS, *more]
    forms = [command for command in known if command.noun == noun]
    if not forms:
        near = did_you_mean(f"/{noun}", [f"/{command.noun}" for command in known])
        hint = near or ": see /help. A message that begins with / is written with two, //."
        raise UsageError(f"There is no /{clean_line(noun, 40)}{hint}")
    said = " ".join([noun, *rest.split(" ", 1)[:1]]).strip() if " " in forms[0].words else noun
    said = _WITHOUT_VERB.get(said, said)
    for command in forms:
        if command.words == said:
            return command, rest.strip() if command.words == noun else rest.partition(" ")[2].strip()
    raise UsageError(f"Write {', '.join(command.usage for command in forms[:-1])} or {forms[-1].usage}.")
