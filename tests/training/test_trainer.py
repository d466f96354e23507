"""The training loop on a tiny base: against plain PyTorch and PEFT, twice alike, and honest when it fails."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from lora_chat.adapters.manifest import read_manifest
from lora_chat.adapters.signature import BaseSignature
from lora_chat.adapters.verify import load_verified
from lora_chat.errors import RefusedError, TrainingError
from lora_chat.models.base_model import BaseModel, load_base_model
from lora_chat.models.installed import InstalledBase
from lora_chat.models.prompt import Example
from lora_chat.models.watch import StopAsked
from lora_chat.training import rehearsal
from lora_chat.training.bound import BOUND
from lora_chat.training.dataset import microbatches, supervised_targets, tokenise, variants_of
from lora_chat.training.digest import dataset_digest
from lora_chat.training.events import (
    Cancelled,
    DatasetReady,
    Evaluated,
    StepDone,
    Trained,
    TrainingEvent,
    as_json,
)
from lora_chat.training.general import MEASURED, REHEARSED
from lora_chat.training.job import read_job
from lora_chat.training.losses import divergence
from lora_chat.training.opening import Base
from lora_chat.training.peft.forward import supervised_logits
from lora_chat.training.recipe import choose_recipe, target_modules
from lora_chat.training.selection import Lesson
from lora_chat.training.step import add_gradients
from lora_chat.training.trainer import train
from lora_chat.training.variant import variants
from tests.conftest import installed
from tests.engine.conftest import LESSONS, lesson, make_job
from tests.training.preparing import nothing, prepared

CPU = torch.device("cpu")


class Trainer:
    """Runs jobs of the tiny base below one folder."""

    def __init__(self, base: Base, installed: InstalledBase, general: Path, folder: Path) -> None:
        self.base, self.installed, self.general, self.folder = base, installed, general, folder

    def events(self, lessons: tuple[Lesson, ...] = LESSONS, **changes: Any) -> list[TrainingEvent]:
        return list(self.start(lessons, **changes))

    def start(self, lessons: tuple[Lesson, ...] = LESSONS, **changes: Any) -> Iterator[TrainingEvent]:
        job = make_job(self.folder, lessons, **changes)
        return train(self.base, self.installed.signature, job, self.general, nothing)


@pytest.fixture
def trainer(learner: Base, tiny_llama: InstalledBase, general: Path, tmp_path: Path) -> Trainer:
    return Trainer(learner, tiny_llama, general, tmp_path)


def trained(events: list[TrainingEvent]) -> Trained:
    assert isinstance(events[-1], Trained)
    return events[-1]


def weights_of(events: list[TrainingEvent]) -> bytes:
    return (Path(trained(events).folder) / "adapter_model.safetensors").read_bytes()


def steps_of(events: list[TrainingEvent]) -> list[StepDone]:
    return [event for event in events if isinstance(event, StepDone)]


LEARN: dict[str, Any] = {
    "max_steps": 400,
    "learning_rate": 0.01,
    "targets": "all",
    "upper": 1.0,
    "learnt_probability": 0.5,
    "settle_steps": 3,
    "rehearsed": 0,
}


@pytest.fixture(scope="module")
def teachable(tiny_llama: InstalledBase, tmp_path_factory: pytest.TempPathFactory) -> InstalledBase:
    """The tiny Llama with larger embeddings, also for its end token: with its own it is never sure of anything."""
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(tiny_llama.folder, tmp_path_factory.mktemp("teachable") / "teachable"))
    weights = load_file(folder / "model.safetensors")
    [name] = [each for each in weights if "embed" in each]
    weights[name] = torch.randn(weights[name].shape, generator=torch.Generator().manual_seed(5)) * 0.3
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return installed(folder, tmp_path_factory.mktemp("teachable-home"))


@pytest.fixture
def teacher(teachable: InstalledBase, tmp_path: Path) -> Trainer:
    base = load_base_model(teachable.name, teachable.folder, CPU)
    return Trainer(base, teachable, tmp_path / "general", tmp_path)


# The course of a training


def test_the_loss_falls_and_the_events_come_in_order(trainer: Trainer) -> None:
    events = trainer.events(max_steps=25)
    assert isinstance(events[0], DatasetReady)
    steps = steps_of(events)
    assert [step.step for step in steps] == list(range(1, 26))
    assert {step.steps for step in steps} == {25}
    assert steps[-1].loss < steps[0].loss - 0.5
    assert min(step.loss for step in steps) == steps[-1].loss
    report = trained(events).report
    assert (report.steps, report.train_loss_after) == (25, steps[-1].loss)
    assert report.tokens > events[0].tokens * 25  # the rehearsed answers are read as well
    assert report.heldout_loss_before is report.heldout_loss_after is None
    assert steps[-1].eta_s == 0


def test_all_figures_are_in_the_seconds_of_its_clock(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lora_chat.training.samples.EVERY_S", float("inf"))  # each would take some of the steps' time

    class Clock:
        """Stands still but for a second before each layer."""

        seconds = 0.0

        def check(self) -> None:
            self.seconds += 1

        def now(self) -> float:
            return self.seconds

    # All layers are trained, as the lower ones of a lesson are only run the first time.
    clock, job = Clock(), make_job(trainer.folder, max_steps=6, microbatch_tokens=10_000, upper=1.0)
    base, signature = trainer.base, trainer.installed.signature
    events = list(train(base, signature, job, trainer.general, clock.check, clock.now))
    report = trained(events).report
    assert report.seconds == clock.seconds > 0
    third = steps_of(events)[2]
    assert third.eta_s == int(third.eta_s) > 0  # three steps more take as long as the three before
    assert report.tokens_per_second == report.tokens / (2 * third.eta_s)


def test_the_same_job_twice_makes_the_same_bytes_and_another_seed_others(trainer: Trainer) -> None:
    first = weights_of(trainer.events())
    torch.manual_seed(99)  # the generator that all threads share has no part in it
    assert weights_of(trainer.events()) == first
    assert weights_of(trainer.events(seed=1)) != first


def test_it_ends_once_every_answer_is_learnt_and_the_rate_fell(teacher: Trainer) -> None:
    events = teacher.events(**LEARN)
    report = trained(events).report
    assert report.stopped_because == "every answer is learnt"
    assert report.steps < 400
    assert [step.steps - step.step for step in steps_of(events)][-3:] == [2, 1, 0]


def test_what_was_learnt_is_said_greedily(teacher: Trainer, teachable: InstalledBase) -> None:
    from lora_chat.engine.kept import Kept
    from lora_chat.engine.local import LocalEngine
    from lora_chat.engine.protocol import Request, Sampling, TextChunk, Worn

    done = trained(teacher.events(**LEARN))
    adapter = load_verified(Path(done.folder), teachable.signature)
    engine = LocalEngine(teachable, Kept(teacher.general.parent, teacher.general.parent))
    for each in LESSONS:
        request = Request(each.messages[:1], Worn("x", Path(done.folder), adapter.sha256), Sampling(temperature=0))
        chunks = engine.generate(request)
        assert "".join(c.text for c in chunks if isinstance(c, TextChunk)) == each.messages[1].content


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_that_share_of_the_lessons_comes_with_its_question_written_otherwise(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    drawn: list[tuple[int, ...]] = []

    def spy(forward: Any, lessons: Any, *more: Any) -> Any:
        drawn.extend(each.ids for each in lessons)
        return add_gradients(forward, lessons, *more)

    monkeypatch.setattr("lora_chat.training.trainer.add_gradients", spy)
    trained(trainer.events(max_steps=20, variants=3, varied=share))
    own = {each.ids for each in tokenise(LESSONS, trainer.base.prompt)}
    ways = {each.ids for ways in variants_of(LESSONS, trainer.base.prompt, 3, 0) for each in ways}
    assert len(drawn) == 20 * len(LESSONS)
    assert {*drawn} <= own | ways
    assert len(ways & {*drawn}) == (len(ways) if share else 0)
    assert sum(ids in ways for ids in drawn) / len(drawn) == pytest.approx(share, abs=0.25)


def test_each_row_has_its_own_variants_and_the_same_answer(trainer: Trainer) -> None:
    prompt = trainer.base.prompt
    found = variants_of((*LESSONS, lesson("What is 3*4?", "12.")), prompt, 3, 0)
    assert [len(ways) for ways in found] == [*(len(variants(each, 3, 0)) for each in LESSONS), 0]
    assert all(found[:2])
    for own, ways in zip(tokenise(LESSONS, prompt), found, strict=False):
        answer = own.ids[own.supervised.index(True) :]
        for way in ways:
            assert way.ids != own.ids
            assert way.ids[way.supervised.index(True) :] == answer
    assert variants_of(LESSONS, prompt, 0, 0) == [(), ()]


def test_rehearsal_keeps_the_adapter_near_the_base(trainer: Trainer) -> None:
    free = trained(trainer.events(max_steps=25, rehearsed=0)).report
    held = trained(trainer.events(max_steps=25, rehearsed=8, rehearsal_weight=100.0)).report
    assert free.general_loss_before == held.general_loss_before
    assert held.general_loss_after is not None
    assert free.general_loss_after is not None
    assert held.general_loss_before is not None
    assert held.general_loss_after - held.general_loss_before < free.general_loss_after - held.general_loss_before
    assert held.general_kl_after is not None
    assert free.general_kl_after is not None
    assert 0 < held.general_kl_after < free.general_kl_after


def test_what_was_forgotten_is_measured_as_plain_pytorch_would(
    trainer: Trainer, base: BaseModel, tiny_llama: InstalledBase
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    done = trained(trainer.events(max_steps=6, learning_rate=0.01))
    rehearsed, _ = prepared(base, tiny_llama.signature.weights, trainer.general)
    model = AutoModelForCausalLM.from_pretrained(tiny_llama.folder, dtype=torch.float32)
    drift, count = 0.0, 0
    with torch.no_grad():
        before = reference_loss(model, [rehearsed.text])
        worn = PeftModel.from_pretrained(model, done.folder)
        for each in rehearsed.measured:
            supervised = torch.tensor(each.example.supervised[1:])
            logits = worn(input_ids=torch.tensor([each.example.ids])).logits[0, :-1][supervised]
            drift += float(divergence(logits, each.tokens, each.log_probabilities).sum())
            count += len(logits)
        after = reference_loss(worn, [rehearsed.text])
        general = reference_loss(worn, [each.example for each in rehearsed.measured])
    report = done.report
    assert report.general_kl_before == 0
    assert report.general_kl_after == pytest.approx(drift / count, rel=1e-3)
    assert report.text_loss_before == pytest.approx(float(before), abs=1e-5)
    assert report.text_loss_after == pytest.approx(float(after), abs=1e-4)
    assert report.general_loss_after == pytest.approx(float(general), abs=1e-4)


def test_one_that_forgot_too_much_says_so_and_keeps_it_in_its_manifest(teacher: Trainer) -> None:
    for rate, forgot in ((1e-5, False), (0.01, True)):
        done = trained(teacher.events(**LEARN | {"max_steps": 40, "learning_rate": rate, "learnt_probability": 1.1}))
        kl = done.report.general_kl_after
        assert kl is not None
        assert (kl > BOUND) is forgot
        said = f"it has moved {kl:.2f} nats a token from the base (bound {BOUND:g})" if forgot else ""
        assert said in done.report.forgot
        assert bool(done.report.forgot) is forgot
        manifest = read_manifest((Path(done.folder) / "adapter.toml").read_bytes())
        assert manifest.evaluation.get("forgot", "") == done.report.forgot
        assert manifest.evaluation["general_kl_after"] == kl
        assert manifest.evaluation["general_kl_bound"] == BOUND


MANY = tuple(lesson(f"What is {number}?", f"It is {number}.") for number in range(36))


def test_a_collection_is_evaluated_each_epoch_and_the_best_weights_are_kept(trainer: Trainer) -> None:
    # A rate this high spoils what the first epochs learnt.
    events = trainer.events(MANY, max_steps=200, heldout=4, patience=2, learning_rate=0.05, rehearsed=0, settle_steps=0)
    evaluated = [event for event in events if isinstance(event, Evaluated)]
    assert [event.step for event in evaluated] == [4 * epoch for epoch in range(len(evaluated))]
    report = trained(events).report
    losses = [event.heldout_loss for event in evaluated]
    assert report.heldout_loss_before == losses[0]
    assert report.heldout_loss_after == pytest.approx(min(losses[1:]))
    assert report.heldout_loss_after != pytest.approx(losses[-1])
    assert "no better for 2 epochs" in report.stopped_because
    assert losses.index(min(losses[1:])) == len(losses) - 3


def test_a_step_reads_its_eight_lessons_and_the_held_out_ones_in_none(trainer: Trainer) -> None:
    events = trainer.events(MANY[:30], max_steps=13, heldout=4, patience=9, rehearsed=0)
    assert isinstance(events[0], DatasetReady)
    assert events[0].conversations == 30  # both parts are counted
    # 13 steps of 8 are four rounds of the 26 that are learnt.
    learnt = trained(events).report.tokens / 4
    assert learnt == pytest.approx(events[0].tokens * 26 / 30, rel=0.01)


def test_a_loss_that_is_no_number_ends_it_and_leaves_nothing(trainer: Trainer, tmp_path: Path) -> None:
    failing: tuple[dict[str, Any], ...] = (
        {"learning_rate": 1e30},
        {"learning_rate": 1e30, "max_steps": 1, "warmup_steps": 1},
    )
    for changes in failing:
        with pytest.raises(TrainingError, match="no longer a number at step") as caught:
            trainer.events(**changes)
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("adapter*"))


def test_a_rate_of_0_trains_nothing_and_says_so(trainer: Trainer, tiny_llama: InstalledBase) -> None:
    events = trainer.events(learning_rate=0.0)
    assert "not every answer is learnt" in trained(events).report.stopped_because
    assert load_verified(Path(trained(events).folder), tiny_llama.signature).files.changes_nothing


def test_a_lesson_that_cannot_be_masked_is_named(base: BaseModel, trainer: Trainer) -> None:
    with pytest.raises(RefusedError, match="line 1"):
        trainer.events((lesson("Who are you?", " "),))


def test_stopping_anywhere_ends_in_cancelled(
    base: BaseModel, tiny_llama: InstalledBase, general: Path, tmp_path: Path
) -> None:
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == stop_at:
            raise StopAsked

    for kept in (general, tmp_path / "not made yet"):
        for stop_at in (1, 7, 40):
            calls = 0
            job = make_job(tmp_path)
            events = list(train(base, tiny_llama.signature, job, kept, check))
            assert isinstance(events[-1], Cancelled)
            assert calls == stop_at
            assert not (job / "adapter").exists()


# Against plain PyTorch and PEFT


def reference_loss(tree: Any, examples: list[Example]) -> torch.Tensor:
    """Mean cross-entropy per supervised token, one whole sequence at a time."""
    total, count = torch.zeros(()), 0
    for example in examples:
        logits = tree(input_ids=torch.tensor([example.ids])).logits[0, :-1]
        labels = torch.tensor([t if s else -100 for t, s in zip(example.ids, example.supervised, strict=True)][1:])
        total = total + functional.cross_entropy(logits, labels, ignore_index=-100, reduction="sum")
        count += int((labels >= 0).sum())
    return total / count


FIVE = (
    *LESSONS,
    lesson("Hello", "Hi."),
    lesson("Where is your shop?", "12 Harbour Street."),
    lesson("What?", "Sorry."),
)


@pytest.mark.parametrize("microbatch", [1, 60, 10_000])
def test_the_loss_of_a_step_is_the_mean_over_all_its_supervised_tokens(
    trainer: Trainer, base: BaseModel, microbatch: int
) -> None:
    [step] = steps_of(trainer.events(FIVE, max_steps=1, microbatch_tokens=microbatch))
    with torch.no_grad():
        expected = float(reference_loss(base.tree, tokenise(FIVE, base.prompt)))
    assert step.loss == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("upper", [1.0, 0.5])
def test_one_step_moves_the_weights_as_plain_peft_would(
    trainer: Trainer, base: BaseModel, tiny_llama: InstalledBase, upper: float
) -> None:
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
    from safetensors.torch import load
    from transformers import AutoModelForCausalLM

    changes = {"max_steps": 1, "rehearsed": 0, "microbatch_tokens": 60, "warmup_steps": 1, "upper": upper}
    found = load(weights_of(trainer.events(FIVE, **changes)))
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(tiny_llama.folder, dtype=torch.float32)
    names = target_modules(tiny_llama.signature, replace(choose_recipe(5, base.parameters), upper=upper))
    torch.manual_seed(0)
    tree = get_peft_model(model, LoraConfig(r=8, lora_alpha=8, target_modules=names, task_type="CAUSAL_LM"))
    weights = [each for each in tree.parameters() if each.requires_grad]
    rate = trainer_rate()
    optimiser = torch.optim.AdamW(weights, lr=rate, weight_decay=0.0)
    torch.autograd.backward(reference_loss(tree, tokenise(FIVE, base.prompt)))
    torch.nn.utils.clip_grad_norm_(weights, 1.0)
    optimiser.step()
    expected = get_peft_model_state_dict(tree)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        # Adam's first step is the rate times the sign of the gradient, which is noise where that is nearly 0.
        close = (found[name] - tensor).abs() < 1e-5
        assert close.float().mean() > 0.99, name


def trainer_rate() -> float:
    from tests.engine.conftest import short_recipe

    return short_recipe().learning_rate


def test_padding_and_bucketing_change_no_logit(base: BaseModel) -> None:
    examples = tokenise(FIVE, base.prompt)
    for most in (1, 60, 10_000):
        seen = 0
        for batch in microbatches(examples, most, CPU):
            assert len(batch.ids) == 1 or batch.ids.numel() <= most
            seen += len(batch.ids)
            with torch.no_grad():
                logits = supervised_logits(base.tree, batch)
            alone = []
            for row in range(len(batch.ids)):
                ids = batch.ids[row, : int(batch.attention[row].sum())]
                with torch.no_grad():
                    whole = base.tree(input_ids=ids[None]).logits[0, :-1]
                alone.append(whole[batch.supervised[row, : len(ids) - 1]])
            assert torch.allclose(logits, torch.cat(alone), atol=1e-5)
            assert len(supervised_targets(batch)) == len(logits)
        assert seen == 5


def test_parameters_are_counted_as_peft_counts_them(trainer: Trainer, tiny_llama: InstalledBase) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    done = trained(trainer.events())
    model = AutoModelForCausalLM.from_pretrained(tiny_llama.folder)
    tree = PeftModel.from_pretrained(model, done.folder, is_trainable=True)
    trainable, total = tree.get_nb_trainable_parameters()
    report = done.report
    assert (report.trainable_parameters, report.total_parameters) == (trainable, total)
    assert report.trainable_percent == pytest.approx(100 * trainable / total)


def counted_on_meta(model: Any, kind: str, rank: int, *ends: str) -> tuple[int, int]:
    """Trainable and all parameters of ``model`` with an adapter on the modules whose names end so, as PEFT counts."""
    from peft import LoraConfig, get_peft_model

    with torch.device("meta"):
        names = [name for name, _ in model.named_modules() if name.rsplit(".", 1)[-1] in ends]
        config = LoraConfig(r=rank, lora_alpha=rank, target_modules=names, task_type=kind)
        tree: Any = get_peft_model(model, config)
    trainable, total = tree.get_nb_trainable_parameters()
    return int(trainable), int(total)


def test_the_articles_parameter_counts_are_reproduced() -> None:
    """Configs by hand, as the models' own say: no hub is asked, and no weight is made."""
    from transformers import MT5Config, MT5ForConditionalGeneration, OPTConfig, OPTForCausalLM

    mt0_large = MT5Config(
        vocab_size=250_112, d_model=1024, d_kv=64, d_ff=2816, num_layers=24, num_decoder_layers=24, num_heads=16,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    mt0_large.tie_word_embeddings = False  # its head is its own; the class now says otherwise until weights are read
    opt_125m = OPTConfig(
        vocab_size=50_272, hidden_size=768, ffn_dim=3072, num_hidden_layers=12, num_attention_heads=12,
        word_embed_proj_dim=768, max_position_embeddings=2048,
    )  # fmt: skip
    with torch.device("meta"):
        mt0, opt, final = MT5ForConditionalGeneration(mt0_large), OPTForCausalLM(opt_125m), OPTForCausalLM(opt_125m)
    mt0.set_input_embeddings(mt0.shared)  # encoder and decoder have the same
    trainable, total = counted_on_meta(mt0, "SEQ_2_SEQ_LM", 8, "q", "v")
    assert (trainable, round(total / 1e9, 2), round(100 * trainable / total, 2)) == (2_359_296, 1.23, 0.19)
    trainable, total = counted_on_meta(opt, "CAUSAL_LM", 8, "q_proj", "v_proj")
    assert (trainable, round(100 * trainable / total, 3)) == (294_912, 0.235)
    trainable, total = counted_on_meta(final, "CAUSAL_LM", 16, "q_proj", "k_proj", "v_proj", "out_proj")
    assert (trainable, round(100 * trainable / total, 2)) == (1_179_648, 0.93)


def test_which_lessons_were_learnt_is_kept_by_their_digest(trainer: Trainer) -> None:
    done = trained(trainer.events(MANY, max_steps=1, heldout=4, patience=1))
    found = dataset_digest(MANY)
    assert done.report.dataset_sha256 == found == dataset_digest(MANY[::-1])
    assert found.startswith("sha256:")
    manifest = read_manifest((Path(done.folder) / "adapter.toml").read_bytes())
    assert manifest.training["dataset_sha256"] == found
    assert found in (Path(done.folder).parent / "job.toml").read_text(encoding="utf-8")
    others = (MANY[1:], (*MANY, MANY[0]), (replace(MANY[0], learn=()), *MANY[1:]), (lesson("a", "b"), *MANY[1:]))
    assert len({found, *map(dataset_digest, others)}) == 5
    assert dataset_digest([replace(each, source="elsewhere") for each in MANY]) == found


def test_the_base_is_what_it_was(trainer: Trainer, base: BaseModel) -> None:
    before = base.checksum()
    trainer.events()
    assert base.checksum() == before
    assert not any(parameter.requires_grad for parameter in base.tree.parameters())
    assert not base.tree.training


@pytest.mark.parametrize("name", ["tiny_llama", "tiny_opt"])
def test_what_is_adapted_is_named_by_what_it_is(name: str, request: pytest.FixtureRequest) -> None:
    signature, recipe = request.getfixturevalue(name).signature, replace(choose_recipe(3, 1000), upper=1.0)
    attention, mlp, every = (
        target_modules(signature, replace(recipe, targets=targets)) for targets in ("attention", "mlp", "all")
    )
    assert all(each.rsplit(".", 1)[1] in ("q_proj", "k_proj", "v_proj", "o_proj", "out_proj") for each in attention)
    assert all(each.rsplit(".", 1)[1] in ("gate_proj", "up_proj", "down_proj", "fc1", "fc2") for each in mlp)
    assert sorted(attention + mlp) == every == sorted(signature.modules)


@pytest.mark.parametrize(
    ("upper", "lowest"), [(1.0, 0), (0.99, 0), (0.967, 0), (0.966, 1), (0.5, 15), (0.34, 19), (0.04, 28), (0.01, 29)]
)
def test_the_upper_share_of_the_layers_is_adapted_and_never_none(upper: float, lowest: int) -> None:
    modules = {f"model.layers.{layer}.mlp.up_proj": (2, 1) for layer in range(30)}
    signature = BaseSignature("", "", modules, "", "", "")
    found = target_modules(signature, replace(choose_recipe(3, 1000), upper=upper))
    assert found == sorted(f"model.layers.{layer}.mlp.up_proj" for layer in range(lowest, 30))


def test_modules_without_a_number_are_adapted_all() -> None:
    signature = BaseSignature("", "", {"body.up": (2, 1), "body.down": (1, 2)}, "", "", "")
    assert target_modules(signature, choose_recipe(3, 1000)) == ["body.down", "body.up"]


@pytest.mark.parametrize("targets", ["mlp", "attention", "all"])
def test_opt_is_trained_by_the_same_loop(tiny_opt: InstalledBase, tmp_path: Path, targets: str) -> None:
    opt = load_base_model(tiny_opt.name, tiny_opt.folder, CPU)
    job = make_job(tmp_path, targets=targets)
    events = list(train(opt, tiny_opt.signature, job, tmp_path / "general", nothing))
    adapter = load_verified(Path(trained(events).folder), tiny_opt.signature)
    assert sorted(adapter.layout.modules) == target_modules(tiny_opt.signature, read_job(job).recipe)


# What is written


def test_the_saved_adapter_is_plain_peft_and_names_no_place_of_this_machine(
    trainer: Trainer, tiny_llama: InstalledBase, tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    folder = Path(trained(trainer.events()).folder)
    assert sorted(file.name for file in folder.iterdir()) == [
        "adapter.toml",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == tiny_llama.signature.lineage
    assert config["inference_mode"] is True
    for file in folder.iterdir():
        data = file.read_bytes()
        for place in (str(tmp_path), str(tiny_llama.folder), str(Path.home()) + "/"):
            assert place.encode() not in data, file.name
        assert b"language model" not in data  # nor what was taught
    model = AutoModelForCausalLM.from_pretrained(tiny_llama.folder)
    PeftModel.from_pretrained(model, str(folder))


def test_events_are_flat_json_with_their_kind_first(trainer: Trainer) -> None:
    for event in trainer.events(MANY, max_steps=4, heldout=4, patience=2, rehearsed=0):
        line = as_json(event)
        assert next(iter(line)) == "event"
        assert json.dumps(json.loads(json.dumps(line))) == json.dumps(line)
    assert as_json(Evaluated(3, 0.5)) == {"event": "evaluated", "step": 3, "heldout_loss": 0.5}
    assert as_json(Cancelled(3)) == {"event": "cancelled", "step": 3}


# Rehearsal


def likeliest(logits: torch.Tensor, keep: int) -> tuple[torch.Tensor, torch.Tensor]:
    found = logits.log_softmax(-1).topk(keep)
    return found.indices, found.values


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), vocabulary=st.integers(2, 40), keep=st.integers(1, 40), spread=st.floats(0.1, 4))
def test_the_divergence_is_the_whole_one_or_a_lower_bound(seed: int, vocabulary: int, keep: int, spread: float) -> None:
    draw = torch.Generator().manual_seed(seed)
    base, adapted = (torch.randn(5, vocabulary, generator=draw) * spread for _ in range(2))
    whole = functional.kl_div(adapted.log_softmax(-1), base.log_softmax(-1), reduction="batchmean", log_target=True)
    found = divergence(adapted, *likeliest(base, min(keep, vocabulary))).mean()
    assert found <= whole + 1e-4
    assert found >= -1e-5
    if keep >= vocabulary:
        assert found == pytest.approx(float(whole), abs=1e-4)
    same = divergence(base, *likeliest(base, min(keep, vocabulary))).mean()
    assert same == pytest.approx(0, abs=1e-5)


def test_general_answers_are_the_bases_own_greedy_ones(
    base: BaseModel, general: Path, tiny_llama: InstalledBase
) -> None:
    found, made = prepared(base, tiny_llama.signature.weights, general)
    assert not made
    assert (len(found.rehearsed), len(found.measured)) == (len(REHEARSED), len(MEASURED))
    for each in found.measured[:4]:
        example = each.example
        with torch.no_grad():
            logits = base.tree(input_ids=torch.tensor([example.ids])).logits[0, :-1]
        supervised = torch.tensor(example.supervised[1:])
        assert torch.equal(logits[supervised].argmax(-1), torch.tensor(example.ids[1:])[supervised])
        apart = divergence(logits[supervised], each.tokens, each.log_probabilities)
        assert float(apart.mean()) == pytest.approx(0, abs=1e-5)


def test_general_answers_are_kept_for_these_weights_alone(base: BaseModel, general: Path, tmp_path: Path) -> None:
    kept = tmp_path / "answers"
    assert prepared(base, "sha256:1", kept)[1]
    first, made = prepared(base, "sha256:1", kept)
    assert not made
    assert prepared(base, "sha256:2", kept)[1]
    assert prepared(base, "sha256:1", kept)[1]  # the others took their place
    data = kept.read_bytes()
    for damaged in (data[:-5], b"", b"garbage", data[:40] + b"\xff" * 40 + data[80:]):
        kept.write_bytes(damaged)
        again, made = prepared(base, "sha256:1", kept)
        assert made
        assert [each.example for each in again.rehearsed] == [each.example for each in first.rehearsed]


def test_other_questions_make_the_answers_anew(
    base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "answers"
    prepared(base, "sha256:1", kept)
    monkeypatch.setattr(rehearsal, "MEASURED", ("Who are you?", *MEASURED[1:]))
    assert prepared(base, "sha256:1", kept)[1]


def test_without_room_for_the_answers_a_training_goes_on(
    base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rehearsal, "write_durably", full)
    assert prepared(base, "sha256:1", tmp_path / "answers")[1]


def test_a_report_holds_no_text_but_why_it_ended_and_what_it_forgot(trainer: Trainer) -> None:
    report = asdict(trained(trainer.events()).report)
    assert [name for name, value in report.items() if isinstance(value, str)] == [
        "stopped_because",
        "dataset_sha256",
        "forgot",
    ]
    assert all(value is None or isinstance(value, str) or math.isfinite(value) for value in report.values())
    assert replace(trained(trainer.events()).report, seconds=0.0).steps == 4
