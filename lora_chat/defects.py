"""What becomes of an error nobody foresaw. Owns ``logs/defects.log`` and the sentence; never shows a traceback."""

from __future__ import annotations

import os
import traceback

from lora_chat.errors import LoraChatError
from lora_chat.paths import find_paths, make_private


def record(error: BaseException) -> str:
    """Keep the traceback in the log folder and return one sentence that says where."""
    where = "set LORA_CHAT_DEBUG=1 to see where"
    try:
        log = make_private(find_paths(os.environ).logs) / "defects.log"
        with log.open("a", encoding="utf-8") as file:
            traceback.print_exception(error, file=file)
        log.chmod(0o600)
        where = f"the details are in {log}"
    except (OSError, LoraChatError):
        pass  # the sentence below still names the error
    return f"A defect of lora-chat, please report it: {type(error).__name__}: {error} ({where})."


def sentence(error: BaseException) -> str:
    """What the person is told of any error: a refusal's own words, or where a defect's traceback is."""
    return str(error) if isinstance(error, LoraChatError) else record(error)
