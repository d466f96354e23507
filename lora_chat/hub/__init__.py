"""The hubs that models and adapters come from. Owns which there are and how they are called; never asks one itself.

Each knows its own listing, addresses, page and token (``huggingface``, ``modelscope``); how a file comes, is resumed
and checked (``download``) and the sentence for each way that fails (``place``) are the same for all.
"""

from __future__ import annotations

from lora_chat.config import HubName
from lora_chat.hub.download import download
from lora_chat.hub.huggingface import HuggingFace
from lora_chat.hub.listing import Listing, Remote, Words, is_hub_id
from lora_chat.hub.modelscope import ModelScope
from lora_chat.hub.place import Hub

__all__ = [
    "HUGGING_FACE",
    "Hub",
    "HubName",
    "Listing",
    "Remote",
    "Words",
    "download",
    "hub_called",
    "is_hub_id",
    "split_hub",
]

HUGGING_FACE = HuggingFace()
_HUBS: dict[str, Hub] = {"huggingface": HUGGING_FACE, "modelscope": ModelScope()}


def hub_called(name: HubName | None) -> Hub:
    """The hub of this name; Hugging Face for None."""
    return _HUBS[name] if name is not None else HUGGING_FACE


def split_hub(text: str) -> tuple[HubName | None, str]:
    """The hub that ``text`` names before a colon, if it names one, and the rest: ``modelscope:org/name``."""
    before, colon, rest = text.partition(":")
    if colon and before.casefold() == "modelscope":
        return "modelscope", rest
    if colon and before.casefold() == "huggingface":
        return "huggingface", rest
    return None, text
