"""The compiled step, found or made. Owns when numba is imported and where its work is kept; never runs a model. [torch]

Compiling takes some 3 s, once for each machine and version; after that it is read from the cache within 0.2 s.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from lora_chat.decoder.step import Kernel, as_kernel

_lock = threading.Lock()


def load_kernel(cache: Path | None = None) -> Kernel:
    """Return the compiled step, compiling it if ``cache`` does not hold it for this machine.

    Raises:
        Exception: whatever numba or LLVM says on a machine they do not know; the other way of decoding still works.
    """
    with _lock:
        if cache is not None:
            os.environ.setdefault("NUMBA_CACHE_DIR", str(cache))
        from lora_chat.decoder import kernels

        return as_kernel(kernels.step.address)
