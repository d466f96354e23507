"""What the disk refuses. Owns the one sentence for it; never touches the disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lora_chat.adapters.reading import shown
from lora_chat.errors import RefusedError


@contextmanager
def telling(what: str) -> Iterator[None]:
    """Turn the disk's failure to do ``what`` into one sentence."""
    try:
        yield
    except OSError as error:
        raise RefusedError(f"Cannot {shown(what, 240)} ({error.strerror or error}): make room or correct its "
                           "permissions; nothing was changed.") from error  # fmt: skip
