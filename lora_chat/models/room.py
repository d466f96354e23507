"""Whether a base model has room in memory to be loaded. Owns what is certain of its need; never loads anything.

Weights that must lie in memory in another type than they are stored in count. Those that are mapped as they lie can be
dropped and read again, so they do not.
"""

from __future__ import annotations

import math
from contextlib import suppress

from safetensors import SafetensorError, safe_open

from lora_chat.errors import RefusedError
from lora_chat.models.installed import InstalledBase, weight_files
from lora_chat.models.sources.staging import require_memory

_BYTES = {"F32": 4, "BF16": 2}
"""Of a weight in each of the types that a base is loaded in, by safetensors' name."""


def check_loads(base: InstalledBase, loaded_as: str) -> None:
    """Refuse to load a ``base`` as ``F32`` or ``BF16`` whose weights this machine can never hold so.

    Files that are damaged pass: who loads them says it best.

    Raises:
        EngineError: with the bytes needed and there.
    """
    weights = 0
    with suppress(SafetensorError, OSError, RefusedError):
        # Not more than the model has: a file may carry parts that are not loaded, such as a vision tower.
        weights = min(_stored_otherwise(base, loaded_as), base.parameters)
    require_memory(f"The base model {base.name}", _BYTES[loaded_as] * weights, "loaded", "choose a smaller one")


def _stored_otherwise(base: InstalledBase, loaded_as: str) -> int:
    """Weights that cannot be mapped as they lie in the files; told by the files' heads."""
    count = 0
    for file in weight_files(base.folder):
        with safe_open(str(file), framework="numpy") as stored:
            for name in stored.keys():  # noqa: SIM118, it is no mapping
                tensor = stored.get_slice(name)
                if tensor.get_dtype() != loaded_as:
                    count += math.prod(tensor.get_shape())
    return count
