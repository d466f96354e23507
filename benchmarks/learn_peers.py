"""What runs inside a worker of ``learn.py``. Owns TRL's adapters, and the distance and the loss of any adapter.

Runs under this project's interpreter and, for TRL, under one that has it, so that everything but the standard library
is imported where it is used. Distance and loss are transformers' and PEFT's in fp32 for every way alike.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

import train_peers

ANSWER_TOKENS = 32

Messages = list[dict[str, str]]


def trl(folder: str, data: str, into: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """TRL's completion-only adapter after ``settings["steps"]`` steps, in ``settings["adapter"]`` as PEFT saves it."""
    return train_peers.trl(folder, data, into, settings)


def trl_timed(folder: str, data: str, into: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """TRL's completion-only adapter for ``settings["seconds"]`` of the clock since ``settings["began"]``.

    Its rate falls to nothing in a line, as TRL's own, but by the clock, so that it is there when the time is over. It
    is saved ``settings["saves"]`` times, at even distances and last after the step in which the time ended; saving is
    not counted as time. ``saved`` is (steps, seconds, folder).
    """
    from transformers import TrainerCallback

    trainer = train_peers.trl_trainer(folder, data, into, {**settings, "steps": 10**6})
    clock, saves = _Clock(settings["began"], settings["seconds"]), settings["saves"]
    saved: list[tuple[int, float, str]] = []

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            spent = clock.spent()
            if spent < min((len(saved) + 1) / saves, 1) * clock.seconds:
                return
            with clock.stopped():
                name = str(into / f"{settings['name']}-{state.global_step}")
                trainer.model.save_pretrained(name)
                saved.append((state.global_step, round(spent, 1), name))
            control.should_training_stop = spent >= clock.seconds

    def by_the_clock(num_training_steps: int, optimizer: Any = None) -> Any:
        from torch.optim.lr_scheduler import LambdaLR

        begun = clock.spent()
        left = max(clock.seconds - begun, 1e-6)
        trainer.lr_scheduler = LambdaLR(
            optimizer or trainer.optimizer, lambda _: max(0.0, 1 - (clock.spent() - begun) / left)
        )
        return trainer.lr_scheduler

    trainer.add_callback(Watch())
    trainer.create_scheduler = by_the_clock
    done = trainer.train()
    return {"steps": trainer.state.global_step, "saved": saved, **train_peers.trl_figures(trainer, done)}


class _Clock:
    """The seconds since a process was asked for, without those in which it was stopped."""

    def __init__(self, began: float, seconds: float) -> None:
        self._began, self.seconds = began, seconds

    def spent(self) -> float:
        return time.time() - self._began

    @contextmanager
    def stopped(self) -> Iterator[None]:
        at = time.time()
        yield
        self._began += time.time() - at


def heldout_loss(folder: str, data: str, adapters: list[str]) -> dict[str, Any]:
    """Of each adapter (or of the base: ""), the mean loss in nats of an answer's tokens and the one that ends its turn.

    Over all of them alike, whatever the answer: ``tokens`` counts them.
    """
    from peft import PeftModel

    pairs, losses, tokens = [json.loads(line) for line in Path(data).read_text(encoding="utf-8").splitlines()], [], 0
    for adapter in adapters:
        model, tokenizer = _load(folder)
        if adapter:
            model = PeftModel.from_pretrained(model, adapter).eval()
        rows = [_rendered(tokenizer, pair["prompt"], pair["response"]) for pair in pairs]
        scorer = _Scorer(model, [beginning for beginning, _ in rows])
        total = 0.0
        for number, (_, answer) in enumerate(rows):
            scored = scorer.log_probabilities(number, answer)
            total -= sum(float(scored[place, token]) for place, token in enumerate(answer))
        tokens = sum(len(answer) for _, answer in rows)
        losses.append(round(total / tokens, 5))
    return {"losses": losses, "tokens": tokens}


def _rendered(tokenizer: Any, prompt: str, response: str) -> tuple[list[int], list[int]]:
    """What comes before the answer, and the answer with the token that ends its turn, by the base's own template."""
    turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
    beginning = _beginning(tokenizer, turns[:1])
    text = tokenizer.apply_chat_template(turns, tokenize=False)
    whole = list(tokenizer(text, add_special_tokens=False)["input_ids"])
    if whole[: len(beginning)] != beginning:
        raise ValueError("the template renders a question otherwise when it is answered")
    answer = whole[len(beginning) :]
    return beginning, answer[: answer.index(tokenizer.eos_token_id) + 1]


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
