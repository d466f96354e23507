"""What is said of a zip that nobody reads. Owns telling a damaged one from one without chats; never unpacks it all."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import IO

from lora_chat.errors import RefusedError

_MOST_LOOKED_AT = 20
_BEGINNING = 4096


def zip_refusal(path: Path, file: IO[bytes]) -> RefusedError:
    """Of a zip in which no conversations were found, open as ``file``: in a damaged one nobody finds any."""
    if _can_be_read(file):
        return RefusedError(
            f"{path} is a zip, in which no conversations were found: name the file with them; nothing was changed."
        )
    return RefusedError(f"{path} is a zip that is cut short or damaged: fetch it again; nothing was changed.")


def _can_be_read(file: IO[bytes]) -> bool:
    """Whether the list at its end is there, and the beginnings of the JSON in it can be unpacked."""
    if not zipfile.is_zipfile(file):
        return False
    try:
        with zipfile.ZipFile(file) as packed:
            found = [each for each in packed.infolist() if each.filename.endswith(".json") and not each.flag_bits & 1]
            for each in found[:_MOST_LOOKED_AT]:
                with packed.open(each) as stream:
                    stream.read(_BEGINNING)
    except NotImplementedError:  # packed in a way that is not known here, which is no damage
        return True
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, ValueError, zlib.error):
        return False
    return True
