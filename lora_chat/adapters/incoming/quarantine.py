"""Where a stranger's adapter lies until it is checked. Owns a private hidden folder's life; never looks into it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lora_chat.adapters.disk import telling
from lora_chat.errors import LoraChatError
from lora_chat.paths import Paths, make_private


@contextmanager
def quarantine(paths: Paths, called: str) -> Iterator[Path]:
    """A folder beside the adapters that no listing sees, gone afterwards whatever happens.

    Sentences that leave here name ``called``, what the person gave, and not the folder. One that a killed program left
    is swept as a half-made install is.

    Raises:
        RefusedError: the disk is full or cannot be written, while the folder is filled.
    """
    with telling(f"open {called} beside the adapters"):
        make_private(paths.adapters)
        folder = Path(tempfile.mkdtemp(prefix=".incoming-", dir=paths.adapters))
    try:
        yield folder
    except LoraChatError as error:
        raise type(error)(str(error).replace(str(folder), called)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
