"""Compiled kernels, found or made. Owns their files and how those are loaded; never runs a model. [torch]

numba compiles each once for each machine and version, in some 3 s. What it made is kept as plain object code, which
LLVM's loader takes in 20 ms: importing numba and reading its own cache would take 0.4 s at every start.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lora_chat.errors import LoraChatError
from lora_chat.files import write_durably
from lora_chat.paths import make_private

Kernel = Callable[[int, int], None]
"""``step(address of the plan, thread)``; gives the interpreter lock away while it runs."""

Unpack = Callable[[int, int, int, int, int, int, int], None]
"""``unpacking.unpack``; gives the interpreter lock away too."""

_SOURCES = {
    "step": ("kernels.py", "attention.py", "matrices.py", "vectors.py", "intrinsics.py", "plan.py"),
    "unpack": ("unpacking.py", "intrinsics.py", "plan.py"),
}
"""Of each kernel the files that it is made of; the first one has it."""
_NEVER_CALLED = (
    "NRT_Free", "NRT_MemInfo_call_dtor", "numba_do_raise", "numba_gil_ensure", "numba_gil_release",
    "numba_runtime_build_excinfo_struct", "numba_unpickle",
)  # fmt: skip
"""numba's runtime, for memory and exceptions: named in what it compiles, though the kernels have neither."""

_lock = threading.Lock()
_engines: list[Any] = []
"""LLVM's, which own the code: kept as long as the process."""


def load_kernel(folder: Path) -> Kernel:
    """Return the compiled step, from ``folder`` or compiled and kept there.

    Raises:
        Exception: whatever numba or LLVM says on a machine they do not know; the general path still works.
    """
    with _lock:
        step: Kernel = _load(folder, "step")
        return step


def load_unpack(folder: Path) -> Unpack:
    """Return what unpacks weights, likewise. Raises as ``load_kernel``."""
    with _lock:
        unpack: Unpack = _load(folder, "unpack")
        return unpack


@lru_cache(maxsize=2)
def _load(folder: Path, name: str) -> Any:
    path = folder / f"{name}-{_identity(name)}.o"
    found = _read(path)
    if found is None:
        symbol, code = found = _compile(name)
        with suppress(OSError, LoraChatError):  # a cache
            make_private(folder)
            head = {"symbol": symbol, "sha256": hashlib.sha256(code).hexdigest()}
            write_durably(path, json.dumps(head).encode() + b"\n" + code)
    return _linked(*found, arguments=2 if name == "step" else 7)


def _identity(kernel: str) -> str:
    """Of the sources, of who compiles them, and of the processor they are compiled for."""
    from llvmlite import binding

    digest = hashlib.sha256()
    for name in _SOURCES[kernel]:
        digest.update((Path(__file__).parent / name).read_bytes())
    who = (
        version("numba"),
        version("llvmlite"),
        binding.get_host_cpu_name(),
        binding.get_host_cpu_features().flatten(),
    )
    digest.update(json.dumps(who).encode())
    return digest.hexdigest()[:24]


def _read(path: Path) -> tuple[str, bytes] | None:
    """Symbol and object code; None where there is none, or it is not what was written."""
    try:
        line, code = path.read_bytes().split(b"\n", 1)
        head = json.loads(line)
        whole = hashlib.sha256(code).hexdigest() == head["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (str(head["symbol"]), code) if whole else None


def _compile(name: str) -> tuple[str, bytes]:
    module = import_module(f"lora_chat.decoder.{_SOURCES[name][0].removesuffix('.py')}")
    compiled: Any = getattr(module, name)
    _, _, (code, _) = compiled._library.serialize_using_object_code()
    return compiled._wrapper_name, code


def _linked(symbol: str, code: bytes, arguments: int) -> Any:
    """Load ``code`` into this process; ctypes gives the interpreter lock away while it runs."""
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    library = ctypes.CDLL(None) if os.name == "posix" else ctypes.CDLL("msvcrt")
    abort = ctypes.cast(library.abort, ctypes.c_void_p).value
    for name in _NEVER_CALLED:
        if binding.address_of_symbol(name) is None:
            binding.add_symbol(name, abort)
    machine = binding.Target.from_default_triple().create_target_machine(jit=True)
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine)
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * arguments)(engine.get_function_address(symbol))
