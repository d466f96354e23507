"""The base model in memory. Owns loading it; never changes a weight.

Everything that runs does so on a twin tree (``attach.twin``) over the same tensors, so this tree stays as it came.
"""

from __future__ import annotations

import hashlib
import inspect
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lora_chat.errors import EngineError, LoraChatError, RefusedError
from lora_chat.models.installed import weight_files
from lora_chat.models.prompt import PromptFormat, load_prompt_format
from lora_chat.text import clean_line


@dataclass(frozen=True)
class BaseModel:
    """A loaded base: its module tree, never run itself, and its prompt format."""

    name: str
    tree: Any
    """transformers' ``…ForCausalLM``, in eval mode and frozen."""
    prompt: PromptFormat
    device: torch.device
    context_window: int
    """In tokens."""
    load_seconds: float
    widened: bool = False
    """Whether its weights are kept in fewer bytes than they have here, so that none of them is mapped as it lies."""

    @property
    def parameters(self) -> int:
        """Tied ones counted once."""
        return sum(parameter.numel() for parameter in self.tree.parameters())

    def tensor(self, ids: Sequence[int]) -> torch.Tensor:
        """``ids`` as a batch of one on the base's device, (1, seq)."""
        return torch.tensor([list(ids)], device=self.device)

    def checksum(self) -> str:
        """sha256 over every weight: the proof that nothing ever wrote to them. About 0.5 s for 0.5 GB."""
        digest = hashlib.sha256()
        for name, parameter in self.tree.named_parameters():
            digest.update(name.encode())
            digest.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy())
        return digest.hexdigest()


def pick_device() -> torch.device:
    """The fastest device torch sees: cuda, mps, cpu."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def load_base_model(name: str, folder: Path, device: torch.device | None = None) -> BaseModel:
    """Load the base in ``folder`` in fp32 (bf16 on cuda), frozen.

    Raises:
        EngineError: it cannot be loaded, naming it and why.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    began = time.perf_counter()
    device = device or pick_device()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        prompt = load_prompt_format(folder)
        tree, found = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch.bfloat16 if device.type == "cuda" else torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            attn_implementation="sdpa",
            output_loading_info=True,
        )
        tree = tree.to(device)
    except LoraChatError:
        raise
    except Exception as error:  # transformers raises whatever the broken file provokes
        why = f"{type(error).__name__}: {clean_line(str(error), 300)}"
        raise EngineError(
            f"The base model {name} in {folder} cannot be loaded ({why}): "
            f"run `lora-chat model remove {name}`, then `lora-chat model pull {name}`."
        ) from error
    if missing := sorted(found["missing_keys"]):
        # transformers makes up numbers for them and says so in a warning only.
        raise EngineError(
            f'The base model {name} in {folder} lacks {len(missing)} of its weights, "{missing[0]}" first: '
            f"run `lora-chat model remove {name}`, then `lora-chat model pull {name}`."
        )
    tree.eval().requires_grad_(False)
    window = int(getattr(tree.config.get_text_config(), "max_position_embeddings", 0) or 2048)
    kept = sum(file.stat().st_size for file in weight_files(folder))
    widened = 4 * kept < 3 * sum(each.nbytes for each in tree.parameters())  # what the files hold beside them counts
    return BaseModel(name, tree, prompt, device, window, time.perf_counter() - began, widened)


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"


def cache_keyword(kind: Any) -> str:
    """What a model calls its cache of keys and values: ``past_key_values``, ``cache`` from transformers 5.24 on."""
    return "cache" if "cache" in inspect.signature(kind.forward).parameters else "past_key_values"


def check_length(name: str, window: int, prompt_tokens: int, messages: int) -> None:
    """Refuse a prompt that leaves no room for one token in the base ``name``'s ``window``.

    Raises:
        RefusedError: with the numbers.
    """
    if prompt_tokens >= window:
        raise RefusedError(
            f"The conversation has {prompt_tokens:,} tokens in {_messages(messages)} and {name} takes "
            f"{window:,} with the answer: shorten it or begin a new one."
        )
