"""What people type. Owns the ``lora-chat`` command and its exit codes; each noun has a file of its own.

Modules are imported inside commands: ``lora-chat --version`` must not wait for torch.
"""

from __future__ import annotations

import atexit
import io
import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer


def program() -> None:
    """``main`` as a process of its own, which is gone once all is said and closed.

    Python would take torch and transformers apart piece by piece first, which takes 1.7 s.
    """
    try:
        main()
    except SystemExit as leaving:
        if "torch" not in sys.modules:
            raise
        threading._shutdown()  # type: ignore[attr-defined]  # as Python does: waits for threads that must end,
        atexit._run_exitfuncs()  # then runs what was registered
        with suppress(OSError, ValueError):  # its reader has gone, which ``main`` has said
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(leaving.code if isinstance(leaving.code, int) else 0 if leaving.code is None else 1)


def main() -> None:
    """Run the command line; every refusal is one sentence on stderr and an exit code of ``lora_chat.errors``."""
    from lora_chat.errors import LoraChatError
    from lora_chat.files import is_disk_full

    _prepare_streams()
    _speak_their_language()
    _take_safe_mode()
    if len(sys.argv) == 1 and can_draw():
        sys.exit(_open_window())
    from typer.exceptions import Abort, TyperException

    try:
        code = build_app()(standalone_mode=False, prog_name="lora-chat") or 0
        if code == 130:  # typer turns Ctrl-C into this
            _complain("Interrupted.")
    except LoraChatError as error:
        _complain(str(error))
        code = error.exit_code
    except TyperException as error:
        _complain_of_usage(error.format_message())
        code = error.exit_code
    except (KeyboardInterrupt, Abort):
        _complain("Interrupted.")
        code = 130
    except BrokenPipeError:
        code = _reader_went_away()
    except SystemExit as leaving:  # typer turns a broken pipe into exit 1
        code = _reader_went_away() if isinstance(leaving.__context__, BrokenPipeError) else leaving.code
    except Exception as error:
        code = _report_full(error) if is_disk_full(error) else _report_defect(error)
    sys.exit(code)


def can_draw() -> bool:
    """Whether a window can be opened here: a terminal at both ends, and one that can do more than print."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "") != "dumb"


def _open_window() -> int:
    """``lora-chat`` alone at a terminal: the window, without the 40 ms that the command line's parser takes."""
    from lora_chat.errors import LoraChatError
    from lora_chat.tui.app import run

    try:
        return run(None, None)
    except LoraChatError as error:
        _complain(str(error))
        return error.exit_code
    except Exception as error:
        return _report_defect(error)


def build_app() -> typer.Typer:
    """Put the commands together."""
    import typer

    from lora_chat.cli import (
        adapter,
        ask,
        chat,
        check,
        demo,
        doctor,
        history,
        keys,
        model,
        plugin,
        preset,
        report,
        serve,
        train,
    )

    app = typer.Typer(
        name="lora-chat",
        help="Chat with a small model on your own machine, correct it, and train a LoRA adapter from that.",
        no_args_is_help=False,
        add_completion=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(chat.start)
    app.command("ask")(ask.ask)
    app.command("train")(train.train)
    app.command("check")(check.check)
    app.command("report")(report.report)
    app.command("serve")(serve.serve)
    app.command("demo")(demo.demo)
    app.command("doctor")(doctor.doctor)
    app.command("keys")(keys.keys)
    app.command("paths")(doctor.show_paths)
    app.add_typer(adapter.app, name="adapter")
    app.add_typer(model.app, name="model")
    app.add_typer(history.app, name="history")
    app.add_typer(preset.app, name="preset")
    app.add_typer(plugin.app, name="plugin")
    return app


def _take_safe_mode() -> None:
    """``--safe-mode`` may stand anywhere before a ``--``: it is a mode of the program, and of what it starts."""
    words = sys.argv[1:]
    ends = words.index("--") if "--" in words else len(words)
    if "--safe-mode" in words[:ends]:
        os.environ["LORA_CHAT_SAFE_MODE"] = "1"
        sys.argv[1:] = [word for word in words[:ends] if word != "--safe-mode"] + words[ends:]


def _prepare_streams() -> None:
    """Three streams that never fail: a closed one is empty, and what its encoding lacks becomes a question mark."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace" if name == "stderr" else "replace")


def _speak_their_language() -> None:
    """By the setting, or by the environment; settings that cannot be read are complained of later, in that one."""
    from lora_chat.config import load_config
    from lora_chat.errors import LoraChatError
    from lora_chat.language import chosen, speak
    from lora_chat.paths import find_paths

    setting = "auto"
    with suppress(LoraChatError):
        setting = load_config(find_paths(os.environ).config).language
    speak(chosen(setting, os.environ))


def _complain(sentence: str) -> None:
    from lora_chat.cli.console import note
    from lora_chat.language import tr

    note(f"lora-chat: {tr(sentence)}")


def _complain_of_usage(message: str) -> None:
    from lora_chat.cli.console import note

    if "\n" in message:  # the help of a group that was given no command
        note(message)
    else:
        _complain(f"{message.rstrip('.')}. Try --help." if message[-1:] not in "?!" else f"{message} Try --help.")


def _reader_went_away() -> int:
    """`lora-chat history list | head` is no failure: keep Python from complaining about the pipe at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
    return 0


def _report_full(error: Exception) -> int:
    """What nobody foresaw but the disk itself: most often the one that stdout goes to."""
    from lora_chat.errors import RefusedError

    _complain(f"No room is left where this writes, or where its output goes ({error}): make room and try again.")
    return RefusedError.exit_code


def _report_defect(error: Exception) -> int:
    """Keep the traceback in the log folder and tell the person where; they never see it."""
    from lora_chat.defects import record

    if os.environ.get("LORA_CHAT_DEBUG"):
        raise error
    _complain(record(error))
    return 1
