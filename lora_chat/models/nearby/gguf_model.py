"""A GGUF file that may be a base. Owns what its head says of the model; never reads a weight or needs torch."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from lora_chat.errors import RefusedError
from lora_chat.hub import is_hub_id
from lora_chat.models.nearby.find import Facts
from lora_chat.models.rope import check_rope
from lora_chat.models.sizes import Sizes
from lora_chat.models.sources.gguf import GgufHead, read_head
from lora_chat.text import clean_line

_FILE_TYPES = {
    **{0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S"},
    **{12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K"},
    **{19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL"},
    **{26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16"},
    **{36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4"},
}
"""llama.cpp's number of how a whole file is kept, to its name."""
_TENSOR_TYPES = {
    **{0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K"},
    **{13: "Q5_K", 14: "Q6_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S"},
    **{22: "IQ2_S", 23: "IQ4_XS", 29: "IQ1_M", 30: "BF16", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4"},
}
"""ggml's number of one tensor's type, to its name."""
_GUESSED = 1024
"""Added to a file's number where llama.cpp was not told it."""
_NO_CHAT = re.compile(r"clip|.*bert.*|t5.*|.*embed.*|whisper|wavtokenizer.*|flux|sd\d.*|sdxl|lumina.*|wan|ltxv|mmproj")
"""Architectures that write no text: pictures, sounds, embeddings, translation."""
_SCALED = frozenset({"llama", "mistral", "qwen2", "qwen3", "phi3", "gemma2", "gemma3"})
"""Architectures whose rotary embedding a conversion may lose."""
_FAMILIES = {"gemma3": "gemma3_text"}
"""llama.cpp's name of an architecture, to transformers' where they differ."""
_MOST_LAYERS, _WIDEST = 1000, 1 << 20


def gguf_facts(file: Path) -> Facts | None:
    """What the head of ``file`` says; None where it is no language model, or not the first part of one.

    Read again only when the file has changed.

    Raises:
        RefusedError: no whole GGUF.
        OSError: it cannot be read.
    """
    status = file.stat()
    return _facts(file, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=512)
def _facts(file: Path, size: int, changed: int) -> Facts | None:
    head = read_head(file)
    if _is_no_language_model(head):
        return None
    parts = head.fields.get("split.count", 1)
    is_part = isinstance(parts, int) and parts > 1
    if is_part and head.fields.get("split.no", 0) != 0:
        return None
    if not head.elements or head.elements > 16 * size or head.last_begins >= size:
        raise RefusedError(f"{file} is cut short: fetch it again.")
    named = [head.fields.get(f"general.{key}") for key in ("name", "basename", "finetune", "version")]
    return Facts(
        bytes=4 * head.elements,
        parameters=head.elements,
        context_window=_number(head, "context_length", 1 << 30),
        sizes=_sizes(head),
        quantisation=_quantisation(head),
        template="" if head.fields.get("tokenizer.chat_template") else "none",
        licence=clean_line(str(head.fields.get("general.license", "")), 40),
        obstacle=f"it is one of {parts} parts of a model: join them with llama.cpp's gguf-split --merge"
        if is_part
        else _obstacle(file, head),
        words=frozenset(re.findall(r"[a-z0-9.]+", " ".join(map(str, named)).casefold())),
        origins=tuple(_origins(head)),
        title=clean_line(str(named[0] or ""), 120),
    )


def _is_no_language_model(head: GgufHead) -> bool:
    pooled = head.fields.get(f"{head.architecture}.pooling_type", 0)
    kind = head.fields.get("general.type", "model")
    return bool(pooled) or kind != "model" or bool(_NO_CHAT.fullmatch(head.architecture.casefold()))


def _obstacle(file: Path, head: GgufHead) -> str:
    """Why a conversion would be refused, as far as that is known without torch."""
    if head.architecture not in _SCALED:
        return ""
    try:
        check_rope(file, head)
    except RefusedError as error:
        return f"its file has {str(error).removeprefix(f'{file} has ').removesuffix('.')}"
    return ""


def _quantisation(head: GgufHead) -> str:
    said = head.fields.get("general.file_type")
    if isinstance(said, int) and (known := _FILE_TYPES.get(said % _GUESSED)):
        return known
    most = max(head.shares, key=lambda kind: head.shares[kind])
    return _TENSOR_TYPES.get(most, "")


def _sizes(head: GgufHead) -> Sizes | None:
    layers = _number(head, "block_count", _MOST_LAYERS)
    hidden, wide = _number(head, "embedding_length"), _number(head, "feed_forward_length")
    heads = _number(head, "attention.head_count", 1 << 12)
    if not (layers and hidden and wide and heads):
        return None
    kv_heads = _number(head, "attention.head_count_kv", 1 << 12) or heads
    each = _number(head, "attention.key_length") or hidden // heads
    family = _FAMILIES.get(head.architecture, head.architecture)
    return Sizes(clean_line(family, 40), layers, hidden, wide, heads, kv_heads, each, _number(head, "vocab_size"))


def _number(head: GgufHead, name: str, most: int = _WIDEST) -> int:
    value = head.fields.get(f"{head.architecture}.{name}", 0)
    return value if type(value) is int and 0 < value <= most else 0


def _origins(head: GgufHead) -> list[str]:
    urls = (head.fields.get(f"general.{key}.repo_url", "") for key in ("base_model.0", "source"))
    found = [str(url).removesuffix("/").removeprefix("https://huggingface.co/") for url in urls]
    return [each for each in found if is_hub_id(each)]
