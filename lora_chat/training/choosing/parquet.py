"""Parquet files, a row group at a time. Owns the way through pyarrow; never knows what a column means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lora_chat.errors import RefusedError
from lora_chat.training.choosing.forms import KNOWN, is_known

LARGEST_CONTENT = 1_000_000_000
"""Bytes of a file once it is unpacked, as it says itself."""
_ROWS = 256
"""That are unpacked together."""
_WANTED = {
    *("messages", "conversations", "instruction", "input", "output"),
    *("prompt", "response", "question", "answer", "completion", "never_train"),
}


def read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    """Yield each row's known columns, by their names in small letters.

    Raises:
        RefusedError: it is damaged, unpacks to too much, or has no known columns.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            names = {name: name.strip().casefold() for name in file.schema_arrow.names}
            _check(path, set(names.values()), file.metadata)
            columns = [name for name, known in names.items() if known in _WANTED]
            for batch in file.iter_batches(_ROWS, columns=columns, use_threads=False):
                yield from ({names[name]: value for name, value in row.items()} for row in batch.to_pylist())
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        said = str(error).split("\n", 1)[0][:200]
        raise RefusedError(f"{path} is a damaged Parquet file ({said}): get it again; nothing was trained.") from error


def _check(path: Path, names: set[str], metadata: Any) -> None:
    if not is_known(names):
        raise RefusedError(f"{path} has no known columns ({KNOWN}): rename them; nothing was trained.")
    size = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    if size > LARGEST_CONTENT:
        raise RefusedError(
            f"{path} unpacks to {size:,} bytes and at most {LARGEST_CONTENT:,} are read: take a part of it; "
            f"nothing was trained."
        )
