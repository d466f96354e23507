"""A line that stands in the prompt before the person types. Owns handing it to Python's line editing, where it is."""

from __future__ import annotations

from contextlib import suppress


def begin_line(text: str) -> bool:
    """Have the next prompt begin with ``text``; whether it can: several lines, or a Python without editing, cannot."""
    if "\n" in text:
        return False
    with suppress(ImportError):
        import readline

        def insert() -> None:
            readline.set_startup_hook()  # for one prompt alone
            readline.insert_text(text)

        readline.set_startup_hook(insert)
        return True
    return False
