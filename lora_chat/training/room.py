"""Whether a training has room in memory. Owns asking its device for what is free; never estimates a need. [torch]"""

from __future__ import annotations

import torch

from lora_chat.adapters.signature import BaseSignature
from lora_chat.memory import free
from lora_chat.training.estimate import check_fits
from lora_chat.training.events import DatasetReady
from lora_chat.training.fast.base import FastBase
from lora_chat.training.opening import Base
from lora_chat.training.peak import Read, added_bytes, peak_bytes
from lora_chat.training.recipe import Recipe


def check_room(counted: DatasetReady, recipe: Recipe, base: Base, signature: BaseSignature, processes: int = 1) -> None:
    """Refuse what has none, in so many ``processes`` of this machine, by the plan's figure for the path that trains it.

    Raises as ``estimate.check_fits``.
    """
    if base.device.type == "cuda":  # where the base lies already
        check_fits(added_bytes(counted, recipe, signature), torch.cuda.mem_get_info(base.device)[0])
    else:
        read: Read
        if isinstance(base, FastBase):
            read = "unpacked" if base.weights.head.dtype == torch.float32 else "layerwise"  # as ``read_of``
        else:
            read = "widened" if base.widened else "mapped"
        needed = peak_bytes(counted, recipe, base.parameters, signature, read)
        check_fits(needed * processes, free())
