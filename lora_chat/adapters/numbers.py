"""An adapter's numbers as arrays. Owns reading them in float32; never needs torch.

numpy knows no bfloat16: it is the upper half of a float32's bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lora_chat.adapters.weights import TensorView

if TYPE_CHECKING:
    import numpy as np


def as_float32(data: bytes, view: TensorView) -> np.ndarray[Any, Any]:
    """One tensor out of a safetensors file's bytes, in its shape; halves are widened, which loses nothing."""
    import numpy as np

    raw = memoryview(data)[view.start : view.stop]
    if view.dtype == "BF16":
        widened = np.frombuffer(raw, "<u2").astype(np.uint32) << 16
        return widened.view(np.float32).reshape(view.shape)
    return np.frombuffer(raw, "<f2" if view.dtype == "F16" else "<f4").astype(np.float32).reshape(view.shape)
