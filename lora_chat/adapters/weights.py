"""An adapter's two files as bytes in memory. Owns the safetensors header and the LoRA layout; never touches a base.

What an adapter adapts is read from its tensors' names and shapes, not from what its config claims; the config must
agree. Format of the file: the safetensors specification (8 bytes header length, JSON header, data).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_chat.adapters.below import adapters_below
from lora_chat.adapters.numbers import WIDTHS, widened
from lora_chat.adapters.peft_config import CONFIG_LIMIT, CONFIG_NAME, PeftSettings, parse_config
from lora_chat.adapters.reading import parse_object, read_bytes, read_head, refusal, shown
from lora_chat.errors import NotFoundError, RefusedError

if TYPE_CHECKING:
    from lora_chat.adapters.numbers import Float32

WEIGHTS_NAME = "adapter_model.safetensors"
HEADER_LIMIT = 4 * 2**20
WEIGHTS_LIMIT = 2**30
TENSOR_LIMIT = 20_000
_FIRST_READ = 128 * 1024  # holds the header of every adapter up to about 1,000 tensors
_NAME = re.compile(r"(?:base_model\.model\.)?([A-Za-z0-9_.-]+)\.lora_([AB])(?:\.default)?\.weight")
_AGAIN = "fetch or save it again"
_OTHER = "take another adapter"
_LFS = b"version https://git-lfs"
_MAGICS = {
    b"PK\x03\x04": "a PyTorch pickle", b"\x80\x02": "a pickle", b"\x80\x04": "a pickle", b"GGUF": "a GGUF file",
    _LFS: "a Git LFS pointer",
}  # fmt: skip


@dataclass(frozen=True)
class TensorView:
    """Where one tensor lies in the file's bytes."""

    name: str
    dtype: str
    """``F32``, ``F16`` or ``BF16``."""
    shape: tuple[int, ...]
    start: int
    """First byte, counted from the file's begin."""
    stop: int


@dataclass(frozen=True)
class ModuleLora:
    """What the adapter adds to one linear module: ``scaling * B @ A``."""

    rank: int
    alpha: float
    scaling: float
    """alpha/r, or alpha/sqrt(r) with rsLoRA."""
    a: TensorView
    """(rank, in)."""
    b: TensorView
    """(out, rank)."""


@dataclass(frozen=True)
class LoraLayout:
    """Everything an adapter adapts."""

    modules: Mapping[str, ModuleLora]
    """Module name as the base has it, such as ``model.layers.0.mlp.up_proj``."""
    use_rslora: bool

    @property
    def rank(self) -> int:
        """The largest rank."""
        return max(module.rank for module in self.modules.values())

    @property
    def parameters(self) -> int:
        """How many numbers the adapter adds."""
        return sum(math.prod(view.shape) for each in self.modules.values() for view in (each.a, each.b))

    @property
    def targets(self) -> tuple[str, ...]:
        """Last parts of the module names, such as ``down_proj``."""
        return tuple(sorted({name.rsplit(".", 1)[-1] for name in self.modules}))


@dataclass(frozen=True)
class AdapterHeader:
    """What a listing needs: everything but the numbers."""

    folder: Path
    settings: PeftSettings
    layout: LoraLayout
    bytes: int
    """Of the weights file."""

    @property
    def name(self) -> str:
        """The folder's."""
        return self.folder.name

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know before wearing it, as far as a header tells."""
        return self.settings.warnings


@dataclass(frozen=True)
class AdapterFiles:
    """One adapter, read once: checks, hashes, copies and tensors all come from these bytes."""

    folder: Path
    name: str
    config: bytes
    weights: bytes
    settings: PeftSettings
    layout: LoraLayout
    changes_nothing: bool
    """Whether every B is zero."""

    @cached_property
    def sha256(self) -> str:
        """Of ``adapter_model.safetensors``, in hex."""
        return hashlib.sha256(self.weights).hexdigest()

    @cached_property
    def config_sha256(self) -> str:
        """Of ``adapter_config.json``, in hex: another alpha is another adapter."""
        return hashlib.sha256(self.config).hexdigest()

    def numbers(self, view: TensorView) -> Float32:
        """One tensor as a float32 array in its shape."""
        return widened(memoryview(self.weights)[view.start : view.stop], view.dtype, view.shape)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know before wearing it."""
        nothing = ("It changes nothing: every lora_B is zero.",) if self.changes_nothing else ()
        return self.settings.warnings + nothing


def read_adapter(folder: Path) -> AdapterFiles:
    """Read and check an adapter folder, each file once.

    Raises:
        NotFoundError: there is no such folder.
        RefusedError: it is no adapter that could be worn, saying why.
    """
    settings, config = _read_config(folder)
    return _checked(settings, config, _present(folder / WEIGHTS_NAME, WEIGHTS_LIMIT), folder)


def assembled(config: bytes, weights: bytes, folder: Path) -> AdapterFiles:
    """The same of two files in memory, which need not lie in ``folder``. Raises as ``read_adapter``."""
    return _checked(parse_config(config, str(folder / CONFIG_NAME)), config, weights, folder)


def _checked(settings: PeftSettings, config: bytes, weights: bytes, folder: Path) -> AdapterFiles:
    path = folder / WEIGHTS_NAME
    layout = derive_layout(settings, parse_header(weights, len(weights), path), path)
    return AdapterFiles(folder, folder.name, config, weights, settings, layout, _check_numbers(weights, layout, path))


def read_adapter_header(folder: Path) -> AdapterHeader:
    """Read what a listing needs, leaving the tensors on the disk. Raises as ``read_adapter``."""
    settings, _ = _read_config(folder)
    path = folder / WEIGHTS_NAME
    try:
        head, size = read_head(path, _FIRST_READ)
        needed = 8 + int.from_bytes(head[:8], "little")
        if len(head) < needed <= 8 + HEADER_LIMIT:
            head, size = read_head(path, needed)
    except NotFoundError as error:
        raise _missing(path) from error
    return AdapterHeader(folder, settings, derive_layout(settings, parse_header(head, size, path), path), size)


def _read_config(folder: Path) -> tuple[PeftSettings, bytes]:
    if not folder.is_dir():
        raise NotFoundError(f"There is no adapter folder {shown(str(folder), 200)}: check the path.")
    path = folder / CONFIG_NAME
    raw = _present(path, CONFIG_LIMIT)
    return parse_config(raw, str(path)), raw


def _present(path: Path, limit: int) -> bytes:
    try:
        return read_bytes(path, limit)
    except NotFoundError as error:
        raise _missing(path) from error


def _missing(path: Path) -> RefusedError:
    """Say what is there instead, where that is known."""
    folder = path.parent
    if (folder / "adapter_model.bin").exists():
        return refusal(folder, "its weights are a pickle (adapter_model.bin), which can run code when loaded; "
                               "save them as adapter_model.safetensors")  # fmt: skip
    if below := adapters_below(folder, (CONFIG_NAME, WEIGHTS_NAME)):
        return refusal(folder, f"{path.name} is missing; take an adapter's folder inside it: {below}")
    if (folder / "config.json").exists():
        return refusal(folder, f"it holds a whole model rather than an adapter, as {path.name} is missing; take it "
                               "with `lora-chat model pull`")  # fmt: skip
    return refusal(folder, f"{path.name} is missing; give a folder that has {CONFIG_NAME} and {WEIGHTS_NAME}")


def parse_header(head: bytes, size: int, where: Path) -> dict[str, TensorView]:
    """Parse a safetensors header; ``head`` holds at least the header of a file of ``size`` bytes.

    Raises:
        RefusedError: over a cap, not JSON, or offsets that are not one gapless run over the whole data.
    """
    for magic, what in _MAGICS.items():
        if head.startswith(magic):
            raise refusal(where, f"it is {what}, whatever its name says; {_instead(magic)}")
    length = int.from_bytes(head[:8], "little")
    if size < 8 or length > size - 8:
        raise refusal(where, f"it is truncated or no safetensors file ({size:,} bytes); fetch it again")
    if size > WEIGHTS_LIMIT:
        raise refusal(where, f"it has {size:,} bytes where at most {WEIGHTS_LIMIT:,} are accepted; {_OTHER}")
    if length > HEADER_LIMIT:
        raise refusal(where, f"its header has {length:,} bytes where at most {HEADER_LIMIT:,} are accepted; {_OTHER}")
    found = parse_object(head[8 : 8 + length], where, depth=4)
    found.pop("__metadata__", None)
    if len(found) > TENSOR_LIMIT:
        raise refusal(where, f"it has {len(found):,} tensors where at most {TENSOR_LIMIT:,} are accepted; {_OTHER}")
    views = [_view(name, entry, 8 + length, where) for name, entry in found.items()]
    _check_gapless(views, 8 + length, size, where)
    return {view.name: view for view in views}


def _instead(magic: bytes) -> str:
    return "fetch the file itself with `git lfs pull`" if magic == _LFS else "save it as safetensors"


def _view(name: str, entry: Any, data: int, where: Path) -> TensorView:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise refusal(where, f'the header entry "{shown(name)}" needs dtype, shape and data_offsets and nothing else; '
                             f"{_AGAIN}")  # fmt: skip
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in WIDTHS:
        raise refusal(where, f'"{shown(name)}" holds {shown(dtype, 20)}; save it in F32, F16 or BF16')
    if not _are_counts(shape, 1, 2**31) or not 1 <= len(shape) <= 8:
        raise refusal(where, f'"{shown(name)}" has the shape {shown(shape)}, which no LoRA tensor has; {_OTHER}')
    if not _are_counts(offsets, 0, 2**31) or len(offsets) != 2:
        raise refusal(where, f'"{shown(name)}" has the data_offsets {shown(offsets)}, which lie nowhere; {_AGAIN}')
    start, stop = offsets
    if stop - start != math.prod(shape) * WIDTHS[dtype]:
        raise refusal(where, f'"{shown(name)}" has {stop - start:,} bytes, which its shape {shown(shape)} contradicts; '
                             f"{_AGAIN}")  # fmt: skip
    return TensorView(name, dtype, tuple(shape), data + start, data + stop)


def _are_counts(value: Any, least: int, most: int) -> bool:
    return isinstance(value, list) and all(type(each) is int and least <= each <= most for each in value)


def _check_gapless(views: list[TensorView], begin: int, size: int, where: Path) -> None:
    end = begin
    for view in sorted(views, key=lambda view: view.start):
        if view.start != end:
            raise refusal(where, f'the data of "{shown(view.name)}" overlaps another tensor or leaves a gap; {_AGAIN}')
        end = view.stop
    if end != size:
        what = "is truncated" if end > size else "has bytes after its last tensor"
        raise refusal(where, f"it {what} ({size:,} bytes where its header describes {end:,}); fetch it again")


def derive_layout(settings: PeftSettings, tensors: Mapping[str, TensorView], where: Path) -> LoraLayout:
    """Read from names and shapes what is adapted, and hold the config against it.

    Raises:
        RefusedError: no LoRA tensors, others beside them, half a pair, or shapes unlike the config, naming the tensor.
    """
    pairs: dict[str, dict[str, TensorView]] = {}
    for name, view in tensors.items():
        match = _NAME.fullmatch(name) if len(name) <= 512 else None
        if match is None:
            raise _stray(name, tensors, where)
        if match[2] in pairs.setdefault(match[1], {}):
            raise refusal(where, f'it holds lora_{match[2]} of "{shown(match[1])}" twice under different names; '
                                 f"{_AGAIN}")  # fmt: skip
        pairs[match[1]][match[2]] = view
    if not pairs:
        raise refusal(where, f"it holds no tensors; {_AGAIN}")
    return LoraLayout({name: _module(name, pair, settings, where) for name, pair in pairs.items()}, settings.use_rslora)


def _module(name: str, pair: dict[str, TensorView], settings: PeftSettings, where: Path) -> ModuleLora:
    if len(pair) != 2:
        raise refusal(where, f'"{shown(name)}" has only lora_{next(iter(pair))}, so it is incomplete; {_AGAIN}')
    a, b = pair["A"], pair["B"]
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1]:
        raise refusal(where, f'lora_A {list(a.shape)} and lora_B {list(b.shape)} of "{shown(name)}" do not multiply; '
                             f"{_AGAIN}")  # fmt: skip
    rank, declared = a.shape[0], settings.rank_of(name)
    if rank != declared:
        raise refusal(where, f'"{shown(name)}" has rank {rank} while its config says {declared}; take both files from '
                             "one training")  # fmt: skip
    if not settings.names(name):
        raise refusal(where, f'it adapts "{shown(name)}", which target_modules of its config does not name; take both '
                             "files from one training")  # fmt: skip
    alpha = settings.alpha_of(name)
    return ModuleLora(rank, alpha, alpha / math.sqrt(rank) if settings.use_rslora else alpha / rank, a, b)


def _stray(name: str, tensors: Mapping[str, TensorView], where: Path) -> RefusedError:
    if not any(".lora_" in each for each in tensors):
        return refusal(where, f'it holds no LoRA tensors but such as "{shown(name)}", as a whole model does; {_OTHER}')
    kinds = {
        "lora_magnitude_vector": "belongs to DoRA",
        "lora_embedding_": "adapts an embedding",
        ".base_layer.": "would overwrite the base model",
        "modules_to_save": "would overwrite the base model",
    }
    what = next((what for part, what in kinds.items() if part in name), "is no LoRA tensor of a linear module")
    return refusal(where, f'its tensor "{shown(name, 100)}" {what}; train or take one of linear modules alone')


def _check_numbers(data: bytes, layout: LoraLayout, where: Path) -> bool:
    """Refuse NaN and Inf; return whether every B is zero (then the adapter changes nothing)."""
    import numpy as np

    # All exponent bits set means Inf or NaN. Looking at bits spares converting bf16, which numpy does not know.
    kinds: dict[str, tuple[type[np.unsignedinteger[Any]], int]]
    kinds = {"F32": (np.uint32, 0x7F800000), "F16": (np.uint16, 0x7C00), "BF16": (np.uint16, 0x7F80)}
    zero = True
    for module in layout.modules.values():
        for view in (module.a, module.b):
            kind, exponent = kinds[view.dtype]
            bits = np.frombuffer(data, kind, math.prod(view.shape), view.start)
            if ((bits & exponent) == exponent).any():
                raise refusal(
                    where, f'"{shown(view.name, 100)}" holds NaN or infinite numbers; fetch or train it again'
                )
            # << 1 drops the sign: -0.0 is zero as well.
            zero = zero and (view is module.a or not (bits << 1).any())
    return zero
