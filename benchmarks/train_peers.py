"""The trainings that run inside a worker. Owns the article's recipe, TRL's trainer, and lora-chat's beside a chat.

Runs under this project's interpreter and, for TRL, under one that has it, so that everything but the standard library
is imported where it is used.
"""

from __future__ import annotations

import json
import statistics
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

ARTICLE_EPOCHS = 20
ARTICLE_RATE = 2e-4
PADDED = 128
REPLY_TOKENS = 64
QUESTIONS = (
    "Tell me a very long story about an old lighthouse keeper and the sea.",
    "Explain step by step how bread is baked, from the grain to the table.",
    "Describe a walk through a forest in autumn, with all its colours and sounds.",
    "What should somebody know before moving to a big city for the first time?",
)


def article(folder: str, seed: str, into: Path) -> dict[str, Any]:
    """The article's script: `Q: …\\nA: …` padded to 128, every position in the loss, batch 1, ``Trainer``, q and v."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    config = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    model = get_peft_model(model, config)
    rows = []
    for line in Path(seed).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        text = row["prompt"] + row["response"] + tokenizer.eos_token
        ids = tokenizer(text, truncation=True, max_length=PADDED, padding="max_length")
        rows.append({**ids, "labels": list(ids["input_ids"])})
    arguments = TrainingArguments(
        output_dir=str(into / "trainer"),
        num_train_epochs=ARTICLE_EPOCHS,
        per_device_train_batch_size=1,
        learning_rate=ARTICLE_RATE,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    done = Trainer(model=model, args=arguments, train_dataset=rows).train()
    model.save_pretrained(into)
    return {"train_s": round(done.metrics["train_runtime"], 2), "steps": done.global_step}


def article_answers(folder: str, seed: str, into: Path) -> dict[str, Any]:
    """How many of its examples it answers to the letter, greedily, with its own prompt."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    model = PeftModel.from_pretrained(model, into).eval()
    said = []
    for line in Path(seed).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        ids = tokenizer(row["prompt"], return_tensors="pt")
        with torch.no_grad():
            out = model.generate(**ids, max_new_tokens=32, do_sample=False)
        answer = tokenizer.decode(out[0][ids["input_ids"].shape[1] :], skip_special_tokens=True).strip()
        said.append({"answer": answer, "exact": answer == row["response"].strip()})
    return {"exact": sum(each["exact"] for each in said), "of": len(said), "answers": said}


def trl(folder: str, data: str, into: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """TRL on prompts and completions, as ``trl_trainer`` takes ``settings``; with ``adapter`` saved in that folder."""
    trainer = trl_trainer(folder, data, into, settings)
    done = trainer.train()
    if settings.get("adapter"):
        trainer.model.save_pretrained(settings["adapter"])
    return trl_figures(trainer, done)


def trl_figures(trainer: Any, done: Any) -> dict[str, Any]:
    """What a training of TRL's took."""
    seconds, tokens = done.metrics["train_runtime"], int(trainer.state.num_input_tokens_seen)
    return {"train_s": round(seconds, 2), "tokens": tokens, "tokens_per_second": round(tokens / seconds, 1)}


def trl_trainer(folder: str, data: str, into: Path, settings: dict[str, Any]) -> Any:
    """TRL's ``SFTTrainer`` on prompts and completions, loss on the completion alone, its memory savers off.

    ``settings``: steps, batch, rank and modules; with ``seed`` by that, with ``rate`` at that.
    """
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed
    from trl import SFTConfig, SFTTrainer

    seed = settings.get("seed", 42)  # 42 is its own
    set_seed(seed)  # the adapter's first weights are drawn before the trainer seeds anything
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    rows = [json.loads(line) for line in Path(data).read_text(encoding="utf-8").splitlines()]
    dataset = Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": row["prompt"]}],
                "completion": [{"role": "assistant", "content": row["response"]}],
            }
            for row in rows
        ]
    )
    arguments = SFTConfig(
        output_dir=str(into / "trl"),
        max_steps=settings["steps"],
        seed=seed,
        per_device_train_batch_size=settings["batch"],
        learning_rate=settings.get("rate", 2e-4),
        completion_only_loss=True,
        packing=False,
        gradient_checkpointing=False,
        bf16=False,
        include_num_input_tokens_seen="non_padding",
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    config = LoraConfig(
        r=settings["rank"], lora_alpha=settings["rank"], target_modules=settings["modules"], task_type="CAUSAL_LM"
    )
    return SFTTrainer(
        model=model, args=arguments, train_dataset=dataset, processing_class=tokenizer, peft_config=config
    )


def beside(job: Path | None, rounds: int) -> dict[str, Any]:
    """Replies of lora-chat's engine process, alone and then, with ``job``, while that trains; its peak of memory."""
    from lora_chat.models.installed import find_base
    from lora_chat.services import open_services

    with open_services() as services:
        engine = services.engine_beside(find_base(services.paths.models, services.config.model))
        with closing(engine):
            _reply(engine, 0)  # what is made once is made
            idle = [_reply(engine, number) for number in range(rounds)]
            found: dict[str, Any] = {"idle": _figures(idle)}
            if job is None:  # as many conversations as beside a training: each is remembered
                found["idle"] = _figures([*idle, *(_reply(engine, number) for number in range(rounds, 2 * rounds))])
            else:
                training = _training(engine, job)
                with training as steps:
                    found["training"] = _figures([_reply(engine, number) for number in range(rounds, 2 * rounds)])
                    found["steps_meanwhile"] = len(steps)
                    while len(steps) < 2 * rounds and training.is_alive():  # the largest forward has come by
                        time.sleep(0.1)
            assert engine.pid is not None
            found["engine_peak_mb"] = round(_peak_mb(engine.pid))
    return found


class _training:
    """A training on a thread of its own; entering waits until it has made two steps, leaving cancels it."""

    def __init__(self, engine: Any, job: Path) -> None:
        self._engine, self._job = engine, job
        self._cancel = threading.Event()
        self._steps: list[Any] = []
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._follow)

    def __enter__(self) -> list[Any]:
        self._thread.start()
        while len(self._steps) < 2 and self._thread.is_alive():
            time.sleep(0.05)
        if not self._thread.is_alive():
            raise RuntimeError(f"the training ended too early: {self._failed}")
        return self._steps

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def __exit__(self, *_: object) -> None:
        self._cancel.set()
        self._thread.join()

    def _follow(self) -> None:
        from lora_chat.training.events import StepDone

        try:
            for event in self._engine.train(self._job, self._cancel):
                if isinstance(event, StepDone):
                    self._steps.append(event)
        except Exception as error:
            self._failed = error


def _reply(engine: Any, number: int) -> tuple[float, float]:
    """First token in ms and tokens a second of one reply to a question that was not asked before."""
    from lora_chat.chat.conversation import Role, Turn
    from lora_chat.engine.protocol import Finished, Request, Sampling

    time.sleep(0.5)  # a person reads, and a training goes on
    asked = f"({number}) {QUESTIONS[number % len(QUESTIONS)]}"
    request = Request((Turn(Role.USER, asked),), None, Sampling(temperature=0, max_tokens=REPLY_TOKENS))
    last = list(engine.generate(request))[-1]
    assert isinstance(last, Finished)
    return last.first_token_ms or 0.0, last.tokens_per_second or 0.0


def _figures(replies: list[tuple[float, float]]) -> dict[str, float]:
    first, speed = (statistics.median(each) for each in zip(*replies, strict=True))
    return {"first_ms": round(first, 1), "tokens_per_second": round(speed, 2)}


def _peak_mb(pid: int) -> float:
    """The largest resident memory of that process so far (Linux); now, elsewhere."""
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    import psutil  # type: ignore[import-untyped]

    return float(psutil.Process(pid).memory_info().rss) / (1 << 20)


def polite(job: Path, *, asks: bool) -> dict[str, Any]:
    """One training by the engine with nobody chatting, which asks before each product whether it may; or never."""
    from lora_chat.engine.factory import open_local_for
    from lora_chat.engine.floor import Floor
    from lora_chat.models.installed import find_base
    from lora_chat.services import open_services
    from lora_chat.training.events import Trained

    if not asks:
        Floor.check_training = lambda *_: None  # type: ignore[method-assign]
    with open_services() as services:
        base = find_base(services.paths.models, services.config.model)
        with closing(open_local_for(base, services.paths, services.config.precision)) as engine:
            engine.load()
            events = list(engine.train(job, threading.Event()))
    assert isinstance(events[-1], Trained), events[-1]
    report = events[-1].report
    return {"tokens_per_second": round(report.tokens_per_second, 2), "steps": report.steps}
