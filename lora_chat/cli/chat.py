"""``lora-chat`` alone: the terminal UI, or the line chat. Owns that choice and reading lines; ``line`` shows them."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from lora_chat.cli import names
from lora_chat.cli.signals import Terminated, ended_in_order, one_interrupt_a_line

if TYPE_CHECKING:
    from lora_chat.chat.store import Store
    from lora_chat.cli.line import LineFace
    from lora_chat.engine.protocol import Engine


def start(
    context: typer.Context,
    plain: Annotated[bool, typer.Option("--plain", help="Line by line, as on a pipe and for screen readers.")] = False,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Base model.", autocompletion=names.bases)] = None,
    adapter: Annotated[
        str | None,
        typer.Option("--adapter", "-a", help="Wear this adapter: NAME or NAME=SCALE.", autocompletion=names.adapters),
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Pull a missing base model without asking.")] = False,
    safe_mode: Annotated[
        bool, typer.Option("--safe-mode", help="Run no plugin and wear no adapter; for any command.")
    ] = False,
) -> None:
    """Chat with a small model on your own machine, correct it, and train a LoRA adapter from that."""
    if context.invoked_subcommand is not None:
        if model is not None or adapter is not None or plain or yes:
            from lora_chat.errors import UsageError

            raise UsageError(f"Options belong behind the command: lora-chat {context.invoked_subcommand} --help.")
        return
    if version:
        from lora_chat import __version__
        from lora_chat.cli.console import answer

        answer(f"lora-chat {__version__}")
        return
    from lora_chat.cli import can_draw

    if plain or not can_draw():
        _line_chat(model, adapter, yes=yes)
        return
    from lora_chat.tui.app import run

    raise typer.Exit(run(model, adapter))


def _line_chat(model: str | None, adapter: str | None, *, yes: bool) -> None:
    from lora_chat.adapters.removal import sweep
    from lora_chat.cli.console import note
    from lora_chat.cli.line import LineFace
    from lora_chat.cli.model import base_to_answer
    from lora_chat.errors import LoraChatError
    from lora_chat.language import tr
    from lora_chat.services import open_services
    from lora_chat.sitting.returning import what_came_of_them

    with ended_in_order(), open_services() as services:
        sweep(services.paths)
        wearing = services.wear(adapter) if adapter else None
        base = base_to_answer(services, model, yes=yes)
        if wearing is not None and services.is_served:
            with suppress(LoraChatError):  # which is said at the first message
                services.answerer(base)  # what is worn is held against it
        chat = LineFace(services, base, wearing)
        if sys.stdin.isatty():
            # It loads while the person writes; what goes wrong is said at the first message.
            threading.Thread(target=_load, args=(chat.sitting.engine,), name="load", daemon=True).start()
            for news in what_came_of_them(services.paths.training):
                note(tr(news))
            _let_up_bring_back(services.store)
            name = chat.sitting.answerer.name
            note(f"{name}. {tr('Write a message, or /help. Ctrl-C stops an answer, /quit leaves.')}")
        try:
            _converse(chat)
        except Terminated:
            _put_away(chat)
            raise


def _put_away(chat: LineFace) -> None:
    """Stop what goes on beside the talk, and say what became of it."""
    from lora_chat.cli.console import note
    from lora_chat.language import tr

    training = chat.sitting.training if chat.sitting.is_training else None
    if sys.stdin.isatty():
        note("")  # the cursor stands behind the prompt
    chat.sitting.close()
    if training is not None:
        note(tr(training.status))


def _let_up_bring_back(store: Store) -> None:
    """What was sent in earlier sessions, where Python has line editing; what has several lines a line cannot hold."""
    from lora_chat.chat.written import sent_before

    with suppress(ImportError):
        import readline

        for text in reversed(sent_before(store)):
            if "\n" not in text:
                readline.add_history(text)


def _load(engine: Engine) -> None:
    from lora_chat.errors import LoraChatError

    with suppress(LoraChatError):
        engine.load()


def _converse(chat: LineFace) -> None:
    from lora_chat.cli.console import note
    from lora_chat.errors import LoraChatError
    from lora_chat.language import tr

    with one_interrupt_a_line() as next_line:
        while not chat.done:
            said = "\n/quit leaves."
            try:
                next_line()
                line = _read(chat)
                said = "\nStopped."
                if line is None:
                    chat.leave()
                else:
                    chat.take(line)
            except LoraChatError as error:
                note(f"✗ {tr(str(error))}")
                chat.failed = error.exit_code
            except KeyboardInterrupt:
                if not sys.stdin.isatty():
                    raise
                note(tr(said))
    if chat.failed and not sys.stdin.isatty():
        raise typer.Exit(chat.failed)


def _read(chat: LineFace) -> str | None:
    """The next line; None at the end of the input."""
    from lora_chat.cli.console import note
    from lora_chat.language import tr

    for news in chat.news():
        note(tr(news))
    if not sys.stdin.isatty():
        line = sys.stdin.readline()
        return line.rstrip("\n") if line else None
    with suppress(ImportError):  # line editing and history, where Python has it
        import readline  # noqa: F401
    try:
        return input(f"{chat.prompt} › ")
    except EOFError:
        note("")  # Ctrl-D leaves the cursor behind the prompt
        return None
