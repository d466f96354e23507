"""One base in memory, ready to answer. Owns which way of decoding it gets and why; never makes a reply. [torch]

The fast path needs neither transformers nor PEFT: they are imported, and transformers' own module tree is loaded, where
the fast path does not know the base.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import torch

from lora_chat.chat.conversation import Turn
from lora_chat.config import Precision
from lora_chat.decoder.fast import FastDecoder, open_fast
from lora_chat.decoder.protocol import Context, Decoder
from lora_chat.decoder.shape import UnknownShape
from lora_chat.engine.kept import Kept
from lora_chat.engine.prompt_cache import PromptCache
from lora_chat.engine.protocol import Worn
from lora_chat.engine.wardrobe import Wardrobe
from lora_chat.errors import RefusedError
from lora_chat.memory import give_back
from lora_chat.models.base_model import BaseModel, load_base_model, pick_device
from lora_chat.models.installed import InstalledBase, weights_key
from lora_chat.models.prompt import PromptFormat, load_prompt_format
from lora_chat.models.room import check_loads
from lora_chat.text import clean_line
from lora_chat.training.fast.base import open_fast_base
from lora_chat.training.opening import Base

POSITIONS = 4096
"""The prompt cache's memory, in positions of the base: 190 MB on the default one."""

_GENERAL_BUDGET = 256 << 20


class Loaded:
    """A base, its prompt format, its decoder and what goes with it."""

    def __init__(
        self, installed: InstalledBase, kept: Kept, precision: Precision, device: torch.device | None = None
    ) -> None:
        """Load it.

        Raises:
            EngineError: it cannot be loaded, naming it and why.
        """
        began = time.perf_counter()
        self.installed, self._kept = installed, kept
        self.device = device or pick_device()
        self._tree_loading = threading.Lock()
        self._tree: BaseModel | None = None
        self._is_general = False
        with ThreadPoolExecutor(1) as beside:  # the tokenizer is read in compiled code, side by side with the weights
            reading = beside.submit(load_prompt_format, installed.folder)
            self.decoder, budget = self._open_decoder(
                kept, precision, lambda text: reading.result().tokenizer.encode(text, add_special_tokens=False).ids
            )
            self.prompt: PromptFormat = reading.result()
        self.prompts = PromptCache(budget)
        self.wardrobe = Wardrobe(self.decoder, installed.signature, self._let_go)
        self._encoded: tuple[tuple[tuple[Turn, ...], bool], list[int]] | None = None
        self.load_seconds = time.perf_counter() - began

    @property
    def context_window(self) -> int:
        """In tokens."""
        return self.installed.window

    def training_base(self) -> Base:
        """What a training reads of the base: its mapped weights where the fast path knows it, else ``base_model``."""
        if self.device.type == "cpu":  # as every other door decides it: replies may be general for another reason
            with suppress(UnknownShape):
                exact = self.decoder.exact() if isinstance(self.decoder, FastDecoder) else None
                return open_fast_base(
                    self.installed.name, self.installed.folder, self.prompt, exact, self._kept.kernels
                )
        return self.base_model()

    def base_model(self) -> BaseModel:
        """transformers' form of the base, for the general path; loaded at the first call."""
        with self._tree_loading:
            if self._tree is None:
                check_loads(self.installed, "BF16" if self.device.type == "cuda" else "F32")
                self._tree = load_base_model(self.installed.name, self.installed.folder, self.device)
            return self._tree

    def forget_base_model(self) -> None:
        """Free that form, unless replies are made with it; the next training loads it again, in half a second."""
        with self._tree_loading:
            if not self._is_general:
                self._tree = None
        give_back()

    def encode(self, messages: tuple[Turn, ...], continues: bool = False) -> list[int]:
        """Token ids of the prompt that ``messages`` make: counted first, then read, encoded once."""
        newest, wanted = self._encoded, (messages, continues)
        if newest is None or newest[0] != wanted:
            encode = self.prompt.encode_continued if continues else self.prompt.encode_prompt
            newest = self._encoded = wanted, encode(messages)
        return newest[1]

    @contextmanager
    def context(self, adapter: Worn | None, ids: Sequence[int]) -> Iterator[Context]:
        """A context that wears ``adapter`` and holds a beginning of ``ids``, kept afterwards; who calls has the floor.

        Raises:
            RefusedError: the adapter does not fit.
            NotFoundError: its folder is gone.
        """
        dressed = None if adapter is None else self.wardrobe.dress(adapter)
        key = None if dressed is None else (dressed.identity, dressed.scale)

        def begin() -> Context:
            return self.decoder.begin(None, 1.0) if dressed is None else dressed.begin(self.decoder)

        context = self.prompts.take(key, ids, begin)
        try:
            yield context
        finally:
            if context.ids:
                self.prompts.give(key, context)

    def close(self) -> None:
        """Free it."""
        self.prompts.forget()
        self.decoder.close()

    def _let_go(self, identity: tuple[Any, ...]) -> None:
        """What an adapter made goes with it: its contexts would keep it in memory."""
        self.prompts.drop(lambda key: isinstance(key, tuple) and key[0] == identity)

    def _open_decoder(
        self, kept: Kept, precision: Precision, encode: Callable[[str], list[int]]
    ) -> tuple[Decoder, int]:
        """The decoder, and the bytes its contexts may take at rest."""
        base = self.installed
        try:
            if self.device.type != "cpu":
                raise UnknownShape(f"it knows the CPU, and this is {self.device.type}")
            fast = open_fast(base.folder, weights_key(base), kept.folder, kept.kernels, precision, encode)
        except RefusedError as error:  # its files are damaged, which the general path says best
            return self._open_general(str(error)), _GENERAL_BUDGET
        except UnknownShape as why:
            if precision not in ("auto", "fp32"):
                raise RefusedError(
                    f"{base.name} cannot decode in {precision}: the fast path does not take it, as "
                    f"{clean_line(str(why), 200)}; leave the precision at auto."
                ) from why
            return self._open_general(str(why)), _GENERAL_BUDGET
        return fast, POSITIONS * fast.shape.cache_bytes

    def _open_general(self, why: str) -> Decoder:
        from lora_chat.engine.general import GeneralDecoder

        self._is_general = True
        return GeneralDecoder(self.base_model(), clean_line(why, 200))
