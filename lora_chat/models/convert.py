"""What of a base model only torch knows. Owns GGUF to safetensors and the list of linear modules; never goes online."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from gguf import dequantize
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.pytorch_utils import Conv1D

from lora_chat.errors import LoraChatError, RefusedError
from lora_chat.files import is_disk_full
from lora_chat.models.convertible import check_convertible
from lora_chat.models.installed import Described
from lora_chat.models.rope import FACTORS, restore_rope
from lora_chat.models.sources.gguf import GgufHead, read_head
from lora_chat.models.sources.staging import Progress
from lora_chat.text import clean_line

# llama.cpp's name of the pre-tokenizer that splits digits one by one before the byte-level step.
_SPLITS_DIGITS = "smollm"


def convert_gguf(file: Path, into: Path, progress: Progress, head: GgufHead | None = None) -> None:
    """Write the model in ``file`` as a float32 safetensors folder that transformers loads as it is.

    Quantised weights are expanded exactly; nothing is lost or gained. About 20 s for the embedded model on two cores.
    Nothing that lies beside ``file`` is looked at. ``head`` is its head, if ``check_convertible`` has passed it.

    Raises:
        NotFoundError: there is no such file.
        RefusedError: an architecture, tensor type or tokenizer that cannot be converted, or a damaged file.
    """
    if head is None:
        head = read_head(file)
        check_convertible(file, head)
    with _quietly(), _refusing(f"{file} cannot be converted"), _alone(file, into) as alone:
        # As a whole path: a bare name would be taken from the working folder first.
        here = {"gguf_file": str(alone), "local_files_only": True, "trust_remote_code": False}
        progress("Converting the tokenizer", 0, 1)
        tokenizer = AutoTokenizer.from_pretrained(alone.parent, **here)
        _split_digits(tokenizer, head.pre_tokenizer)
        progress("Converting the tokenizer", 1, 1)
        with _each_tensor(progress) as dropped:
            model, found = AutoModelForCausalLM.from_pretrained(
                alone.parent, dtype=torch.float32, output_loading_info=True, **here
            )
        if missing := sorted(found["missing_keys"]):  # transformers makes up numbers for them
            raise RefusedError(f'{file} lacks {len(missing)} of its weights, "{missing[0]}" first: fetch it again.')
        tokenizer.model_max_length = _context_window(model.config) or tokenizer.model_max_length
        _name_ends(model, head)
        restore_rope(file, model.config, head, dropped.get(FACTORS, ()))
        progress("Saving", 0, 1)
        _save(model, tokenizer, into)
        progress("Saving", 1, 1)


def write_fast_tokenizer(folder: Path) -> None:
    """Add the ``tokenizer.json`` that older models (OPT, GPT-2) lack, made from the vocabulary that lies in ``folder``.

    Raises:
        RefusedError: transformers has no fast tokenizer for it.
    """
    with _quietly(), _refusing(f"The tokenizer in {folder} cannot be converted"):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))


def describe(folder: Path) -> Described:
    """List the linear modules of the model in ``folder``; built without weights, so it costs no memory.

    Raises:
        RefusedError: not a causal language model, or one that needs code of its own.
    """
    with _quietly(), _refusing(f"{folder} is not a base model lora-chat can use"):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
        return Described(
            architecture=type(model).__name__,
            modules=dict(_linear_modules(model)),
            parameters=sum(each.numel() for each in model.parameters()),  # parameters() gives tied ones once
            context_window=_context_window(config),
        )


def _linear_modules(model: torch.nn.Module) -> Iterator[tuple[str, tuple[int, int]]]:
    """Each linear module's name and (out, in); GPT-2's Conv1D is one too, with its weight the other way round."""
    head = model.get_output_embeddings()  # type: ignore[operator]
    for name, module in model.named_modules():
        if module is head:
            continue
        if isinstance(module, torch.nn.Linear):
            yield name, (module.out_features, module.in_features)
        elif isinstance(module, Conv1D):
            wide, out = module.weight.shape
            yield name, (out, wide)


def _context_window(config: Any) -> int:
    for name in ("max_position_embeddings", "n_positions", "max_sequence_length"):
        value = getattr(config.get_text_config(), name, None)
        if isinstance(value, int) and value > 0:
            return value
    return 0


@contextmanager
def _alone(file: Path, into: Path) -> Iterator[Path]:
    """``file`` by another name in a folder of its own in ``into``, away from what may be planted beside it.

    transformers would follow an ``adapter_config.json`` there, even to other weights, and take a template, tokens and
    code from a ``tokenizer_config.json``. A copy is made only where the system allows no link.
    """
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".alone-", dir=into, ignore_cleanup_errors=True) as folder:
        alone = Path(folder).resolve() / "model.gguf"
        for bring in (os.symlink, os.link, shutil.copyfile):
            try:
                bring(file.resolve(), alone)
                break
            except (OSError, NotImplementedError):
                if bring is shutil.copyfile:
                    raise
        yield alone


def _name_ends(model: Any, head: GgufHead) -> None:
    """Have the model say every token that ends a reply: Gemma's turns end at another one than its texts."""
    named = model.generation_config.eos_token_id
    ends = named if isinstance(named, list) else [named]
    for key in ("tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"):
        token = head.fields.get(key)
        if type(token) is int and 0 <= token < model.config.get_text_config().vocab_size:
            ends = [*ends, token]
    ends = list(dict.fromkeys(token for token in ends if token is not None))
    model.generation_config.eos_token_id = ends if len(ends) > 1 else next(iter(ends), None)


def _split_digits(tokenizer: Any, pre_tokenizer: str) -> None:
    """Restore the step that transformers' conversion loses: without it spaces before digits are cut elsewhere."""
    if pre_tokenizer != _SPLITS_DIGITS:
        return
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence

    steps = [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence(steps)


def _save(model: Any, tokenizer: Any, into: Path) -> None:
    # transformers thinks the model still quantised, and would refuse to save it.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.hf_quantizer = None
    model.is_quantized = False
    model.save_pretrained(into)
    tokenizer.save_pretrained(into)
    # The class every reader knows; transformers 5's own name for it is unknown to older ones.
    settings = into / "tokenizer_config.json"
    values = json.loads(settings.read_text(encoding="utf-8")) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    settings.write_text(json.dumps(values, indent=2, ensure_ascii=False), encoding="utf-8")


@contextmanager
def _each_tensor(progress: Progress) -> Iterator[dict[str, list[float]]]:
    """Put our progress where transformers' GGUF reader draws a bar of its own, which no setting turns off.

    Gives the factors of the rotary embedding, which pass by there and are dropped.
    """
    from transformers import modeling_gguf_pytorch_utils as reader

    dropped: dict[str, list[float]] = {}

    def counted(tensors: Iterable[Any], *_: object, **__: object) -> Iterator[Any]:
        tensors = list(tensors)
        for done, tensor in enumerate(tensors, 1):
            if tensor.name == FACTORS:
                dropped[FACTORS] = dequantize(tensor.data, tensor.tensor_type).tolist()
            yield tensor
            progress("Converting the weights", done, len(tensors))

    bar: Callable[..., Any] = reader.tqdm
    progress("Converting the weights", 0, 0)
    reader.tqdm = counted
    try:
        yield dropped
    finally:
        reader.tqdm = bar


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep transformers' bars and warnings off the screen, and put its settings back afterwards."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """Whatever a library says against a foreign file becomes one sentence; a full disk is not the file's fault."""
    try:
        yield
    except (LoraChatError, MemoryError):
        raise
    except Exception as error:
        if is_disk_full(error):
            raise
        raise RefusedError(f"{what} ({clean_line(str(error), 160)}): choose another model.") from error
