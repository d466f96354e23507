"""The line chat's face. Owns how a sitting looks line by line; what its commands do is ``sitting``'s.

Answers go to stdout, everything else to stderr, so that a pipe carries answers alone.
"""

from __future__ import annotations

import os
import queue
from collections.abc import Iterator, Sequence
from contextlib import suppress

from lora_chat.adapters.registry import Catalog
from lora_chat.chat.attached import File, parted
from lora_chat.chat.conversation import Message, Role, Status
from lora_chat.chat.search import Hit
from lora_chat.cli.ask import cancelled_by_ctrl_c
from lora_chat.cli.bases import show_table
from lora_chat.cli.begun import begin_line
from lora_chat.cli.check import asked, tell
from lora_chat.cli.console import (
    answer,
    answer_table,
    choose,
    confirm,
    folded,
    is_interactive,
    note,
    progress_bar,
    stream,
)
from lora_chat.cli.facts import show_facts
from lora_chat.cli.plan import INDENT, describe
from lora_chat.cli.result import beside, summary, table
from lora_chat.engine.protocol import TextChunk
from lora_chat.errors import LoraChatError, UsageError
from lora_chat.language import tr
from lora_chat.language.facts import tr_counts
from lora_chat.models.entry import CatalogEntry
from lora_chat.models.installed import InstalledBase
from lora_chat.plugins.command_api import Say
from lora_chat.services import Services
from lora_chat.session import Ended, LeftOut, Started, Wearing
from lora_chat.sitting.attaching import told, weigh
from lora_chat.sitting.bases import Choices
from lora_chat.sitting.checking import HOW_THEY_COME, Checking
from lora_chat.sitting.clipboard import copy
from lora_chat.sitting.columns import Answered, Began, Comparison, Grew, ask_columns
from lora_chat.sitting.commands import COMMANDS, take
from lora_chat.sitting.face import WAYS_OUT, Facts, Turn, leaving
from lora_chat.sitting.plan import Plan
from lora_chat.sitting.plugin_commands import Errand, plugin_commands
from lora_chat.sitting.sitting import Sitting
from lora_chat.sitting.training import Training
from lora_chat.text import clean_line
from lora_chat.training.events import Installed
from lora_chat.training.report.record import Record

TOUR = "The tour is in the terminal UI: start lora-chat without --plain; `lora-chat demo` tells it line by line."


class LineFace:
    """``Face`` at a prompt or on a pipe."""

    def __init__(self, services: Services, base: InstalledBase | None, wearing: Wearing | None) -> None:
        self.sitting = Sitting(services, base, self, wearing)
        self.done = False
        self.failed = 0
        """The last refusal's exit code, for scripts."""
        self._asked = 0
        """The newest question's number."""
        self._news: queue.SimpleQueue[str] = queue.SimpleQueue()

    @property
    def prompt(self) -> str:
        """What is worn, where the eyes are, and the preset."""
        worn = f"▎{self.sitting.worn}" if self.sitting.worn else self.sitting.answerer.name
        return f"{worn} · prompt: {self.sitting.preset}" if self.sitting.preset else worn

    def take(self, line: str) -> None:
        """Do what a line says."""
        take(self.sitting, line)

    def news(self) -> list[str]:
        """What happened beside the chat since this was last asked; what became of what is worn is said at once."""
        self.sitting.look_after_what_is_worn()
        return [self._news.get() for _ in range(self._news.qsize())]

    # Face

    def note(self, text: str) -> None:
        """See ``Face.note``."""
        note(tr(text))

    def details(self, title: str, rows: Facts) -> None:
        """See ``Face.details``."""
        answer(tr(title))
        show_facts(rows, title)

    def confirm(self, question: str, *, loses: bool = False, about: Facts = ()) -> bool:
        """See ``Face.confirm``; on a pipe the command itself is the person's word, and what it agrees to is said."""
        show_facts(about)
        if is_interactive():
            return confirm(question, yes=False, loses=loses)
        note(f"{tr(question)} {tr('Yes, since nobody is at a terminal to answer.')}")
        return True

    def opened(self) -> None:
        """See ``Face.opened``."""
        if self.sitting.conversation is None:
            note(tr("A new conversation."))
        for message in self.sitting.branch():
            answer(f"{message.adapter or tr(message.role.value)}: {self._shown(message)}")

    def changed(self) -> None:
        """See ``Face.changed``: the next prompt shows what is worn."""

    def counted(self, tokens: int) -> None:
        """See ``Face.counted``: a line has no gauge."""

    def copy(self, text: str) -> None:
        """See ``Face.copy``; what a line writes to is no terminal for sure, so that none is asked."""
        note(tr(copy(text, self.sitting.services.paths.copied, os.environ, None)))

    def play(self, turn: Turn) -> None:
        """See ``Face.play``; Ctrl-C keeps what there is."""
        with cancelled_by_ctrl_c(self._give_up) as cancel:
            for event in turn(cancel):
                if isinstance(event, TextChunk):
                    stream(event.text)
                elif isinstance(event, Started):
                    self._tell_files(event.prompt)
                    if is_interactive():  # where an answer goes on, the eyes find the place by its last line
                        stream(event.reply.content.rpartition("\n")[2])
                elif isinstance(event, LeftOut):
                    note(tr(event.sentence))
                elif isinstance(event, Ended):
                    answer()
                    note(_footer(event))
        self.sitting.refresh()
        if is_interactive():
            self.sitting.prefill()

    def _give_up(self) -> None:
        """End what hears of no cancel, such as the count of a prompt that a server is asked for."""
        self.sitting.close()
        self.sitting.engine.close()

    def _tell_files(self, question: Message) -> None:
        """What goes with it, once: not where it is answered again, or its answer goes on."""
        if question.id > self._asked:
            self._asked = question.id
            for file in parted(question.content).files:
                with suppress(LoraChatError):  # what is wrong with the engine, the answer says
                    self.sitting.engine.load()
                note(self._file(file))

    def _file(self, file: File) -> str:
        """With its tokens, or about as many as these where the engine does not run."""
        return f"  + {tr_counts(told(file, weigh(self.sitting.engine, file), longest=80))}"

    def _shown(self, message: Message) -> str:
        """At a terminal a file is a line; on a pipe all of it may be wanted."""
        written = parted(message.content)
        if message.role is not Role.USER or not written.files or not is_interactive():
            return message.content
        return "\n".join([written.words, *map(self._file, written.files)])

    def work(self, errand: Errand) -> None:
        """See ``Face.work``: its text is an answer, printed as it comes, and what it sends is told; Ctrl-C ends it."""
        with cancelled_by_ctrl_c() as cancel:
            last = errand.run(cancel, answer, self.note)
        if isinstance(last, Say):
            note(f"› {last.text}")
        if last is not None:
            errand.settle(self.sitting, last)

    def plugins_changed(self) -> None:
        """See ``Face.plugins_changed``: a line completes nothing."""

    def write(self, text: str) -> None:
        """See ``Face.write``: the next line begins with it, where a line can; else it is shown."""
        if not (is_interactive() and begin_line(text)):
            answer(text)
            note(tr("It was not sent: send it as it is, or in other words."))

    def show_columns(self, comparison: Comparison) -> None:
        """See ``Face.show_columns``: one below the other, each under its name; a line cannot mark one."""
        with cancelled_by_ctrl_c(self._give_up) as cancel:
            for event in ask_columns(self.sitting.session, comparison, cancel):
                if isinstance(event, Began):
                    column = comparison.columns[event.column]
                    answer(f"▎{clean_line(', '.join(filter(None, (column.worn, tr(column.at)))))}")
                elif isinstance(event, Grew):
                    stream(event.text)
                elif event.draft is not None or event.failure is not None:
                    answer()
                    self._tell_end(event)
        note(tr("Nothing of this is kept: wear the better one with /adapter use NAME, then /retry and /rate good."))

    def _tell_end(self, event: Answered) -> None:
        if event.failure is not None:
            note(f"✗ {tr(str(event.failure))}")
            self.failed = event.failure.exit_code
        elif event.draft is not None and event.draft.status is Status.STOPPED:
            note(f"  {tr('stopped')}")

    def warn(self, text: str) -> None:
        """See ``Face.warn``: a line stays where it is."""
        if text:
            note(tr(text))

    def check_idle(self) -> None:
        """See ``Face.check_idle``: a line is read once the answer before it has ended."""

    def base_leaves(self) -> None:
        """See ``Face.base_leaves``: nothing is asked beside a line."""

    def base_changed(self, base: InstalledBase) -> None:
        """See ``Face.base_changed``: the next prompt shows its name, and the next message loads it."""

    def show_adapters(self, catalog: Catalog) -> None:
        """See ``Face.show_adapters``."""
        answer_table(
            _heads("NAME", "RANK", "DESCRIPTION"), [[a.name, str(a.rank), a.description] for a in catalog.adapters]
        )
        for problem in catalog.problems:
            note(tr(problem.reason))

    def show_bases(self, choices: Choices) -> None:
        """See ``Face.show_bases``."""
        show_table(choices, tr)
        for problem in choices.problems:
            note(tr(problem.reason))

    def pull(self, wish: str, entry: CatalogEntry) -> None:
        """See ``Face.pull``: waited for; Ctrl-C ends it, and what a hub has sent is kept."""
        from lora_chat.models.sources import pull

        with progress_bar() as tell:
            there = pull(entry, self.sitting.services.paths, tell)
        note(tr(f"{there.name} is on this machine: /model use {there.name} has it answer."))

    def coming(self) -> str:
        """See ``Face.coming``: a line waits until it is here."""
        return ""

    def bases_changed(self) -> None:
        """See ``Face.bases_changed``: a line shows none."""

    def choose_conversation(self, archived: bool = False) -> None:
        """See ``Face.choose_conversation``."""
        found = self.sitting.store.listed(20, archived=archived)
        rows = [[each.id, str(each.adapter or ""), each.title] for each in found]
        answer_table(_heads("ID", "ADAPTER", "TITLE"), rows)

    def found(self, text: str, hits: Sequence[Hit]) -> None:
        """See ``Face.found``."""
        away = {True: f" ({tr('archived')})", False: ""}
        rows = [
            [
                hit.conversation.id,
                ("" if hit.message else tr("title:") + " ") + hit.snippet + away[hit.conversation.archived],
            ]
            for hit in hits
        ]
        answer_table(_heads("ID", "FOUND"), rows)

    def look_at(self, message: Message, text: str) -> None:
        """See ``Face.look_at``: all of it is printed when it is opened."""

    def write_answer(self, message: Message) -> None:
        """See ``Face.write_answer``; a line has no editor."""
        raise UsageError("Write /edit and the answer you wanted: it takes the last answer's place.")

    def write_question(self, question: Message) -> None:
        """See ``Face.write_question``; as ``write_answer``."""
        raise UsageError("Write /branch and the question in other words: it is asked in the last one's place.")

    def offer(self, plan: Plan) -> None:
        """See ``Face.offer``: shown whole and asked about; on a pipe the command is the person's word."""
        for lesson in plan.selection.lessons:
            for index, why in zip(lesson.learn, lesson.why, strict=True):
                asked, said = (each.content for each in lesson.messages[index - 1 : index + 1])
                asked, said = clean_line(parted(asked).words, 60), clean_line(said, 60)
                note(folded(f"  {tr(why)}: {asked} → {said}", 4))
        for line in describe(plan, tr):
            note(folded(line, INDENT))
        if is_interactive() and not confirm(f"Train {plan.name}?", yes=False):
            note(tr("Nothing was trained. /rate bad leaves the last answer out."))
            return
        self.sitting.train(plan)
        note(tr("It trains beside the chat: go on, or see /train status."))

    def trains(self, training: Training) -> None:
        """See ``Face.trains``; called from the training's thread, so it is told at the next prompt."""
        if training.installed is not None:
            for line in told_here(training.installed):
                self._news.put(line)
        elif training.state == "cancelled":
            self._news.put(training.status)
        elif training.state == "failed":
            self._news.put(f"✗ {training.status}")

    def show_training(self, training: Training) -> None:
        """See ``Face.show_training``."""
        answer(tr(training.status))

    def show_checks(self, checking: Checking) -> None:
        """See ``Face.show_checks``: the whole result, once it is there; Ctrl-C ends the asking."""
        if not checking.checks():
            note(tr(f"{checking.name} has no checks yet: {HOW_THEY_COME}."))
            return
        with cancelled_by_ctrl_c(self._give_up) as cancel:
            outcome = asked(checking, cancel, tr)
        tell(checking, outcome, tr)
        answer(tr(outcome.sentence))

    def show_report(self, record: Record, *, worn: bool) -> None:
        """See ``Face.show_report``."""
        for line in table(record, beside(record, self.sitting.services.paths), tr):
            answer(line)

    def help(self) -> None:
        """See ``Face.help``."""
        commands = [*COMMANDS, *plugin_commands(self.sitting.services.plugins)]
        width = max(len(command.usage) for command in commands)
        for command in commands:
            answer(folded(f"  {command.usage:{width}}  {tr(command.help)}", width + 4))

    def keys(self) -> None:
        """See ``Face.keys``: here everything is a command."""
        note(tr("Keys are the terminal UI's: here everything is typed, see /help; `lora-chat keys` lists them."))

    def theme(self, name: str) -> None:
        """See ``Face.theme``."""
        note(tr(f"Kept for the terminal UI: {name}."))

    def tour(self) -> None:
        """See ``Face.tour``."""
        said = (
            "The tour is in the terminal UI: start lora-chat without --plain; `lora-chat demo` tells it line by line."
        )
        note(tr(said))

    def leave(self) -> None:
        """See ``Face.leave``; trainings are waited for on a pipe, and asked about at a terminal."""
        training = self.sitting.training
        if self.sitting.is_training and training is not None:
            if not is_interactive():
                self.sitting.trainings.wait()
                training = self.sitting.training
            else:
                match choose(tr(leaving(training.name, self.sitting.trainings.names)), WAYS_OUT):
                    case "pause":
                        self.sitting.close()
                        note(tr(training.status))
                    case "finish":
                        self.sitting.finish_alone()
                        note(tr("It goes on without this window: the next start tells what came of it."))
                    case _:
                        return
        for line in self.news():
            note(tr(line))
        if training is not None and training.failure is not None:
            self.failed = training.failure.exit_code
        self.done = True


def told_here(installed: Installed) -> Iterator[str]:
    """What came of a training, and what to type here."""
    name, version = installed.adapter, installed.version
    yield from summary(installed, tr)
    yield tr(f"All of it: /report {name} {version}")
    if installed.kept:
        yield tr(f"Wear it all the same: /adapter rollback {name} {version}")
    else:
        yield tr(f"Wear it: /adapter use {name}")


def _footer(event: Ended) -> str:
    """Of the whole answer, also where it went on; where it was cut off, what takes it further."""
    reply = event.reply
    parts = [tr("stopped")] if event.finished.reason == "cancelled" else []
    if reply.tokens_per_second:
        parts.append(tr(f"{reply.tokens_per_second:.0f} tok/s"))
    if reply.first_token_ms:
        parts.append(tr(f"first {reply.first_token_ms / 1000:.1f} s"))
    count = f"{reply.generated_tokens or 0} tokens"
    cut = event.finished.reason == "length"
    return "  " + " · ".join([*parts, tr(f"cut off at {count}: /continue goes on" if cut else count)])


def _heads(*names: str) -> list[str]:
    """The names of a table's columns."""
    return [tr(name) for name in names]
