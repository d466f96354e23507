"""What runs inside a worker of ``learn.py``. Owns TRL's adapters and the distance of any adapter from the base.

Runs under this project's interpreter and, for TRL, under one that has it, so that everything but the standard library
is imported where it is used. The distance is transformers' and PEFT's in fp32 for every way alike.
"""

from __future__ import annotations

import json
from itertools import takewhile
from pathlib import Path
from typing import Any

import train_peers

ANSWER_TOKENS = 32

Messages = list[dict[str, str]]


def trl(folder: str, data: str, into: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """TRL's completion-only adapter after ``settings["steps"]`` steps, in ``settings["adapter"]`` as PEFT saves it."""
    return train_peers.trl(folder, data, into, settings)


def base_answers(folder: str, asked: str, answers: str) -> dict[str, Any]:
    """The base's own greedy answers to the conversations in ``asked``, as token ids, written to ``answers``."""
    import torch

    model, tokenizer = _load(folder)
    found = []
    for messages in _read(asked):
        beginning = _beginning(tokenizer, messages)
        with torch.no_grad():
            out = model.generate(
                torch.tensor([beginning]),
                attention_mask=torch.ones(1, len(beginning), dtype=torch.long),
                max_new_tokens=ANSWER_TOKENS,
                do_sample=False,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.eos_token_id,
            )
        found.append(out[0, len(beginning) :].tolist())
    Path(answers).write_text(json.dumps(found), encoding="utf-8")
    return {"answers": len(found), "tokens": sum(map(len, found))}


def divergence(folder: str, asked: str, answers: str, adapter: str = "", instead: str = "") -> dict[str, Any]:
    """Mean KL(base ‖ adapted) in nats per token of the base's answers, over the whole vocabulary.

    Adapted is the base with ``adapter`` on, or the base asked the conversations in ``instead``.
    """
    from peft import PeftModel

    model, tokenizer = _load(folder)
    conversations = _read(asked)
    adapted = PeftModel.from_pretrained(_load(folder)[0], adapter).eval() if adapter else model
    base = _Scorer(model, [_beginning(tokenizer, each) for each in conversations])
    other = _Scorer(adapted, [_beginning(tokenizer, each) for each in (_read(instead) if instead else conversations)])
    total, tokens = 0.0, 0
    for number, answer in enumerate(_read(answers)):
        own, changed = base.log_probabilities(number, answer), other.log_probabilities(number, answer)
        total += float((own.exp() * (own - changed)).sum())
        tokens += len(answer)
    return {"kl": total / tokens, "tokens": tokens}


class _Scorer:
    """A model and the beginnings it is asked; what all of them share is run once."""

    def __init__(self, model: Any, beginnings: list[list[int]]) -> None:
        import torch

        self._model, self._beginnings = model, beginnings
        places = zip(*(each[:-1] for each in beginnings), strict=False)  # one token at least is left to run
        self._shared = sum(1 for _ in takewhile(lambda tokens: len(set(tokens)) == 1, places))
        with torch.no_grad():
            self._cache = model(torch.tensor([beginnings[0][: self._shared]]), use_cache=True).past_key_values

    def log_probabilities(self, number: int, answer: list[int]) -> Any:
        """(answer, vocabulary): of each token of ``answer`` after that beginning."""
        import torch

        ids = [*self._beginnings[number], *answer][self._shared :]
        with torch.no_grad():
            out = self._model(torch.tensor([ids]), past_key_values=self._cache, logits_to_keep=len(answer) + 1)
        self._cache.crop(-len(ids))
        return out.logits[0, :-1].float().log_softmax(-1)


def _load(folder: str) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    return model.eval(), AutoTokenizer.from_pretrained(folder, local_files_only=True)


def _beginning(tokenizer: Any, messages: Messages) -> list[int]:
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _read(path: str) -> list[Any]:
    found: list[Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return found
