"""What the base can wear right now. Owns the module trees that reply; never writes to the base.

A worn adapter is a tree of its own over the shared weights, not a mode of one tree: taking it off is running another
tree, so the base comes back bit for bit and two conversations cannot mix. (While one thread called PEFT's
``set_adapter``, 56 of 122 forwards in another matched neither adapter.)
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from lora_chat.adapters.signature import BaseSignature
from lora_chat.adapters.verify import load_verified
from lora_chat.adapters.weights import WEIGHTS_NAME
from lora_chat.engine.protocol import Worn
from lora_chat.errors import NotFoundError
from lora_chat.models.attach import set_scale, twin, wear
from lora_chat.models.base_model import BaseModel
from lora_chat.models.watch import Check, watch_layers

RESIDENT = 8
"""Trees kept for adapters worn lately; each costs its LoRA weights in fp32, 6 to 20 MB on the default base."""


class Wardrobe:
    """The trees of one base. Not safe for two threads at once: who calls has the floor."""

    def __init__(self, base: BaseModel, signature: BaseSignature, check: Check) -> None:
        self._base = base
        self._signature = signature
        self._check = check
        self._bare = twin(base.tree)
        watch_layers(self._bare, check)
        self._worn: OrderedDict[tuple[Any, ...], Any] = OrderedDict()

    def tree(self, adapter: Worn | None) -> Any:
        """The transformers model that replies wearing ``adapter`` at its scale; the bare base for None.

        Raises:
            NotFoundError: the adapter's folder is gone.
            RefusedError: it is damaged, was edited, or does not fit.
        """
        if adapter is None:
            return self._bare
        key = _identity(adapter)
        worn = self._worn.pop(key, None) or self._put_on(adapter)
        self._worn[key] = worn
        while len(self._worn) > RESIDENT:
            self._worn.popitem(last=False)
        set_scale(worn, adapter.scale)
        return worn.get_base_model()

    def _put_on(self, adapter: Worn) -> Any:
        checked = load_verified(adapter.folder, self._signature, adapter.sha256)
        worn = wear(self._base.tree, checked, f"a{checked.sha256[:16]}")
        watch_layers(worn.get_base_model(), self._check)
        return worn


def _identity(adapter: Worn) -> tuple[Any, ...]:
    """Changes whenever the files do, so that an edited adapter is read, and refused, anew."""
    try:
        files = [(adapter.folder / name).stat() for name in (WEIGHTS_NAME, "adapter_config.json")]
    except OSError as error:
        raise NotFoundError(
            f'The adapter "{adapter.name}" is gone from {adapter.folder}: take it off or install it again.'
        ) from error
    return (adapter.folder, adapter.sha256, *((each.st_ino, each.st_mtime_ns, each.st_size) for each in files))
