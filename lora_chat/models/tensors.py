"""Tensors out of an adapter's checked bytes. Owns that one conversion; never reads a file. [torch]"""

from __future__ import annotations

import torch

from lora_chat.adapters.weights import TensorView

_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def read_tensor(data: bytes, view: TensorView) -> torch.Tensor:
    """One tensor in fp32 from a safetensors file's bytes; half precision is widened, as PEFT does when it loads."""
    # The copy is aligned and writable; the bytes are neither.
    piece = bytearray(memoryview(data)[view.start : view.stop])
    return torch.frombuffer(piece, dtype=_DTYPES[view.dtype]).reshape(view.shape).to(torch.float32)
