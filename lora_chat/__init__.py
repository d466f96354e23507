"""lora-chat: chat with a small base model, correct it, train a LoRA adapter from that, wear it.

The layers, each importing only what stands below it::

    cli        what people type            commands, one file per noun
    tui        what people see             the only place that imports textual
    serve      what programs ask           an OpenAI-compatible server, the only place that imports fastapi
    sitting    one sitting at the program  what is open, worn and trained; the command table
    services   the composition root        open_services(config) -> Services
    session    one chat turn               from prompt to saved reply, without any screen
    plugins    how others join in
    engine     how words are made          one protocol; in-process, spawned process, scripted fake
    training   how an adapter is made      selection -> examples -> trainer -> installed adapter
    models     what it runs on             base models, prompts, attaching an adapter
    adapters   what can be worn            chat    what was said
    config -> paths -> errors              language: what all of this is said in

Importing this package loads nothing heavy, reads no file and makes no folder.
"""

from __future__ import annotations


def __getattr__(name: str) -> str:
    """``__version__``, looked up when asked for: reading the package's metadata costs every start 15 ms."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("lora-chat")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0.0.0"
