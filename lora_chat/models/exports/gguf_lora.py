"""An adapter as llama.cpp's LoRA GGUF. Owns its fields and tensors; never reads the base's weights.

llama.cpp scales each module by the file's one alpha over the module's own rank (``llama_adapter_lora_weight``), and
knows neither rsLoRA nor patterns: what differs from that goes into B.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_chat.adapters.manifest import Manifest
from lora_chat.adapters.numbers import narrowed
from lora_chat.adapters.outgoing.place import FILE_MODE, check_free, writing
from lora_chat.adapters.outgoing.plain import common_alpha, correction
from lora_chat.adapters.verify import VerifiedAdapter
from lora_chat.files import staged_file
from lora_chat.models.exports.llama_cpp import architecture, laid_out, tensor_name


def export_gguf(
    adapter: VerifiedAdapter, manifest: Manifest, config: Mapping[str, Any], path: Path, dtype: str = ""
) -> None:
    """Write ``adapter`` for a base with ``config`` (its ``config.json``) to ``path``, which must be free.

    Without ``dtype`` (``F32``, ``F16``, ``BF16``) each tensor keeps its own; a B that had to be multiplied is fp32.

    Raises:
        RefusedError: llama.cpp's layout of this base is not known here, ``path`` is taken, or the disk said no.
    """
    check_free(path)
    tensors = gguf_tensors(adapter, config, dtype)
    with writing(path), staged_file(path, FILE_MODE) as stage:
        _write(stage, architecture(config), manifest, common_alpha(adapter.layout.modules), tensors)


def gguf_tensors(
    adapter: VerifiedAdapter, config: Mapping[str, Any], dtype: str = ""
) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """llama.cpp's name to (dtype, shape, bytes) of each tensor, A and B of a module together. Raises as above."""
    architecture(config)
    modules = adapter.layout.modules
    alpha, found = common_alpha(modules), {}
    for module, lora in sorted(modules.items()):
        name, factor = tensor_name(module), correction(lora, alpha)
        a, b = adapter.files.numbers(lora.a), laid_out(module, adapter.files.numbers(lora.b), config)
        kinds = dtype or lora.a.dtype, dtype or (lora.b.dtype if factor == 1.0 else "F32")
        for side, array, kind in (
            ("a", a, kinds[0]),
            ("b", b if factor == 1.0 else b * b.dtype.type(factor), kinds[1]),
        ):
            found[f"{name}.lora_{side}"] = kind, array.shape, narrowed(array, kind, f"{module}.lora_{side.upper()}")
    return found


def _write(
    path: Path, kind: str, manifest: Manifest, alpha: float, tensors: Mapping[str, tuple[str, tuple[int, ...], bytes]]
) -> None:
    import gguf
    import numpy as np

    writer = gguf.GGUFWriter(path, kind)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
    writer.add_name(manifest.name)
    writer.add_version(manifest.version)
    for add, value in ((writer.add_description, manifest.description), (writer.add_license, manifest.license)):
        if value:
            add(value)
    for name, (dtype, shape, raw) in tensors.items():
        numbers = np.frombuffer(raw, np.float32 if dtype == "F32" else np.uint16).reshape(shape)
        writer.add_tensor(name, numbers, raw_dtype=gguf.GGMLQuantizationType[dtype])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
