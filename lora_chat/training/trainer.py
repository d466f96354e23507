"""The training loop. Owns the trainee, the optimiser and when to stop; never prints or installs.

One step: the lessons' cross-entropy on their supervised tokens, plus the divergence from the base on a few general
questions, so that what is not taught stays as it was. [torch]
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import torch

from lora_chat.adapters.signature import BaseSignature
from lora_chat.adapters.verify import VerifiedAdapter, load_verified
from lora_chat.errors import TrainingError
from lora_chat.memory import give_back, settle, used
from lora_chat.models.prompt import Example
from lora_chat.models.watch import Check, KeepAsked, StopAsked
from lora_chat.training.adamw import AdamW
from lora_chat.training.bound import BOUND, forgotten
from lora_chat.training.checkpoint import Checkpoint, Identity, Keeper, Position, gather, newest, put_back
from lora_chat.training.dataset import pad, tokenise, variants_of
from lora_chat.training.digest import dataset_digest
from lora_chat.training.events import (
    Cancelled,
    DatasetReady,
    Evaluated,
    Report,
    Resumed,
    StepDone,
    Stopped,
    Trained,
    TrainingEvent,
)
from lora_chat.training.job import RESULT, Job, read_job
from lora_chat.training.measure import mean_loss
from lora_chat.training.opening import Base, path_of, trainee
from lora_chat.training.pace import PACE, Pace
from lora_chat.training.preview import count
from lora_chat.training.ranks import ALONE, RankLost, Ranks, made
from lora_chat.training.recipe import Recipe
from lora_chat.training.rehearsal import Rehearsal, moved, prepare
from lora_chat.training.remembered import STATES, Remembered
from lora_chat.training.room import check_room
from lora_chat.training.samples import Samples
from lora_chat.training.save import save_adapter
from lora_chat.training.selection import Lesson
from lora_chat.training.step import add_gradients
from lora_chat.training.stopping import HeldoutRule, LearntRule
from lora_chat.training.trainee import Trainee


def train(
    base: Base,
    signature: BaseSignature,
    folder: Path,
    general_answers: Path,
    check: Check,
    clock: Callable[[], float] = time.perf_counter,
    ranks: Ranks = ALONE,
) -> Iterator[TrainingEvent]:
    """Run the job in ``folder`` and write the adapter into its ``adapter/``; the last event is ``Trained``.

    Where several processes train together (``ranks``) only the first one's ends so, and ``check`` is asked between
    steps alone.

    ``check`` runs before each layer, forward and backward: it may wait, and it raises ``StopAsked`` to cancel, which
    ends the run with a ``Cancelled`` event and writes nothing, or ``KeepAsked`` to stop, which writes a checkpoint and
    ends it with ``Stopped``. A job with a checkpoint goes on from there, with the thread count it had, and makes the
    same bytes as if it had never stopped. All figures are in the seconds of ``clock``.

    Raises:
        TrainingError: the loss is no longer a number.
        EngineError: another of the processes is gone; what was made is kept.
        RefusedError: the job's lessons cannot be tokenised for this base or are not those of its checkpoint, or there
            is no room in memory.
    """
    settle()
    give_back()
    began = clock()
    job = read_job(folder)
    run: _Run | None = None
    kept: Keeper | None = None
    identity = Identity.of(folder, signature.weights, path_of(base))
    checkpoint, why = yield from ranks.of_first(made(lambda: newest(folder, identity)))
    with _threads_of(checkpoint, ranks):
        try:
            examples = tokenise(job.train, base.prompt), tokenise(job.heldout, base.prompt)
            counted = count((*job.train, *job.heldout), examples[0] + examples[1], job)
            yield counted
            check_room(counted, job.recipe, base, signature, ranks.here)
            rehearsal = yield from ranks.of_first(prepare(base, signature.weights, general_answers, check))
            check = check if ranks.is_alone else lambda: None
            pace = Pace(general_answers.with_name(PACE), signature.weights)
            states = general_answers.with_name(STATES)
            begin = load_verified(job.start, signature) if job.start else None
            taught = job.train
            run = _Run(
                base, signature, job.recipe, *examples, rehearsal, check, clock, taught, pace, states, folder, begin,
                ranks,
            )  # fmt: skip
            if checkpoint is not None:
                began -= checkpoint.seconds[0]
                yield run.go_on(checkpoint)
            elif why:
                yield Resumed(0, reason=why)
            make = run.checkpoint if ranks.is_first else lambda _: None
            kept = Keeper(make, folder, identity, clock, began, job.checkpoint_s)
            for event in run.learn():
                kept.look()
                yield event
            if ranks.is_first:
                yield _written(run, job, folder, signature, began, counted)
        except RankLost:
            if kept is not None:
                kept.keep()
            raise
        except KeepAsked:
            yield Stopped(kept.keep() if kept else checkpoint.position.step if checkpoint else 0)
        except StopAsked:
            yield Cancelled(run.step if run else 0)
        finally:
            if run is not None:
                run.trainee.lower.close()


@contextmanager
def _threads_of(checkpoint: Checkpoint | None, ranks: Ranks) -> Iterator[None]:
    """With as many threads as it was made with: other sums come of another number of them, and of processes."""
    threads = torch.get_num_threads()
    same = checkpoint is not None and checkpoint.position.processes == ranks.count
    if checkpoint is not None and same and checkpoint.position.threads != threads:
        torch.set_num_threads(checkpoint.position.threads)
    try:
        yield
    finally:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)


def _written(run: _Run, job: Job, folder: Path, signature: BaseSignature, began: float, saw: DatasetReady) -> Trained:
    """Measure what was learnt and write the adapter into the job's folder."""
    report = replace(run.report(began), dataset_sha256=dataset_digest((*job.train, *job.heldout)))
    shutil.rmtree(folder / RESULT, ignore_errors=True)  # of a program that was killed before it was installed
    run.remembered.keep()
    save_adapter(run.trainee, folder / RESULT, job, signature, report)
    report = replace(report, seconds=run.clock() - began)
    return Trained(str(folder / RESULT), report, saw, tuple(run.losses), tuple(run.evaluations))


@dataclass
class _Run:
    """One run's state."""

    base: Base
    signature: BaseSignature
    recipe: Recipe
    lessons: list[Example]
    heldout: list[Example]
    rehearsal: Rehearsal
    check: Check
    clock: Callable[[], float]
    taught: tuple[Lesson, ...]
    """What ``lessons`` were made from."""
    pace: Pace
    states: Path
    """Where what the lower layers make of general questions is kept."""
    folder: Path
    """The job's."""
    begin: VerifiedAdapter | None = None
    """The version before, which this one starts from."""
    ranks: Ranks = ALONE
    step: int = 0
    tokens: int = 0
    loss: float = float("nan")
    memory: int = 0
    """Bytes of this process, at most."""
    stopped_because: str = ""
    before: tuple[float | None, float] = (None, 0.0)
    trainee: Trainee = field(init=False)

    def __post_init__(self) -> None:
        self.random = random.Random(self.recipe.seed)
        self.trainee = trainee(self.base, self.signature, self.recipe, self.begin, self.check)
        lower = self.trainee.lower
        lower.keep_in(self.folder)
        self.remembered = Remembered(self.states, self.signature.weights, lower, self.rehearsal.sequences)
        self.variants: list[tuple[Example, ...]] = [()] * len(self.lessons)
        if self.recipe.variants:  # a collection has none, and is not tokenised twice for nothing
            self.variants = variants_of(self.taught, self.base.prompt, self.recipe.variants, self.recipe.seed)
        known = (each.ids for each in (*self.lessons, *chain.from_iterable(self.variants), *self.heldout))
        lower.know(known, self.recipe.microbatch_tokens)
        self.weights = self.trainee.weights
        self.ranks.begin_alike(self.weights)
        self.optimiser = AdamW(self.weights, self.recipe.weight_decay)
        self.best: tuple[float, list[torch.Tensor]] | None = None
        self._unseen: list[int] = []
        self._unrehearsed: list[int] = []
        self.losses: list[float] = []
        self.evaluations: list[tuple[int, float]] = []
        self.stop: HeldoutRule | LearntRule = HeldoutRule(self) if self.heldout else LearntRule(self)
        self.judged: bool | None = None
        """See ``Position.judged``."""
        self.position: Position | None = None
        """Of the weights as they are; None before the first step."""
        self.began = self.clock()

    def learn(self) -> Iterator[TrainingEvent]:
        """All steps, evaluations between them; ends by the recipe's rule with the best weights."""
        self.trainee.look(pad([self.lessons[0], self.rehearsal.measured[0].example], self.base.device))
        if self.position is None:
            self.before = self.evaluate(), self.rehearsal.measured_loss
            if self.before[0] is not None:
                yield self.evaluated(self.before[0])
            self.began = self.clock()
        samples = Samples(self.trainee, self.base.prompt, self.taught, self.rehearsal, self.clock)
        while not self.stopped_because:
            self.ranks.check()
            if self.judged is None:
                before, began = self.tokens, self.clock()
                self.judged = self._step(self._rate(self.stop.decay()))
                self.position = self._position()  # nothing between the new weights and this can stop it
                if self.ranks.is_alone:
                    self.pace.step(self.tokens - before, self.clock() - began)
                yield self._step_event(self.stop.steps_left())
                if self.ranks.is_alone:  # the others would wait for them
                    yield from samples.after_step(self.step)
            yield from self.stop.after_step(self.judged)
            self.judged = None
            self.position = self._position()
        if self.best is not None:
            self._restore(self.best[1])

    def _position(self) -> Position:
        return Position(
            step=self.step,
            tokens=self.tokens,
            loss=self.loss,
            losses=tuple(self.losses),
            evaluations=tuple(self.evaluations),
            before=self.before,
            judged=self.judged,
            rule=self.stop.counted(),
            stopped_because=self.stopped_because,
            unseen=tuple(self._unseen),
            unrehearsed=tuple(self._unrehearsed),
            random=self.random.getstate(),
            threads=torch.get_num_threads(),
            processes=self.ranks.count,
        )

    def checkpoint(self, seconds: float) -> Checkpoint | None:
        """What to go on from, ``seconds`` after the beginning; a step that was begun is made again."""
        if self.position is None:
            return None
        tensors = gather(self.weights, self.optimiser, self.best[1] if self.best else [])
        best_loss = self.best[0] if self.best else None
        return Checkpoint(self.position, (seconds, self.clock() - self.began), best_loss, tensors)

    def go_on(self, checkpoint: Checkpoint) -> Resumed:
        """Be where ``checkpoint`` was made."""
        at = checkpoint.position
        best = put_back(checkpoint.tensors, self.weights, self.optimiser)
        if checkpoint.best_loss is not None:
            self.best = checkpoint.best_loss, best
        self.step, self.tokens, self.loss, self.before = at.step, at.tokens, at.loss, at.before
        self.losses, self.evaluations = list(at.losses), list(at.evaluations)
        self._unseen, self._unrehearsed = list(at.unseen), list(at.unrehearsed)
        self.random.setstate(at.random)
        self.stop.go_on(at.rule)
        self.judged, self.stopped_because, self.position = at.judged, at.stopped_because, at
        self.began = self.clock() - checkpoint.seconds[1]
        return Resumed(at.step, at.losses, at.evaluations)

    def evaluated(self, loss: float) -> Evaluated:
        """The held-out loss was measured after this step."""
        self.evaluations.append((self.step, loss))
        return Evaluated(self.step, loss)

    def _step(self, rate: float) -> bool:
        """One optimiser step; returns whether each lesson in it was already learnt."""
        lessons = [self._written(i) for i in self._draw(self._unseen, len(self.lessons), self.recipe.batch)]
        rehearsed = self.rehearsal.rehearsed
        anchors = [rehearsed[i] for i in self._draw(self._unrehearsed, len(rehearsed), self.recipe.rehearsed)]
        found = add_gradients(self.trainee, lessons, anchors, self.recipe, self.base.device, self.ranks.mine)
        found = self.ranks.together(found, self.weights)
        self.tokens += found.tokens
        torch.nn.utils.clip_grad_norm_(self.weights, self.recipe.gradient_clip)
        self.optimiser.step(rate)
        self.step += 1
        self.loss = found.loss
        self.losses.append(found.loss)
        if not found.loss < float("inf"):
            raise self._diverged()
        return found.learnt

    def _diverged(self) -> TrainingError:
        return TrainingError(
            f"The loss is no longer a number at step {self.step} (learning rate {self.recipe.learning_rate:g}): "
            f"nothing was saved; train again with --effort light."
        )

    def _draw(self, waiting: list[int], total: int, count: int) -> list[int]:
        """The next ``count`` of a shuffled deck, reshuffled when it is through; all of them when there are no more."""
        if total <= count:
            return list(range(total))
        while len(waiting) < count:
            waiting += self.random.sample(range(total), total)
        drawn = waiting[:count]
        del waiting[:count]
        return drawn

    def _written(self, index: int) -> Example:
        """That lesson as it is or with its question written otherwise."""
        ways = self.variants[index]
        return self.random.choice(ways) if ways and self.random.random() < self.recipe.varied else self.lessons[index]

    def _rate(self, decay: float) -> float:
        return self.recipe.learning_rate * min(1.0, (self.step + 1) / self.recipe.warmup_steps) * decay

    def _step_event(self, left: int) -> StepDone:
        seconds, memory = self.clock() - self.began, used()
        self.memory = max(self.memory, memory)
        return StepDone(
            step=self.step,
            steps=self.step + left,
            loss=self.loss,
            tokens_per_second=self.tokens / seconds,
            eta_s=seconds / self.step * left,
            memory=memory,
        )

    def evaluate(self) -> float | None:
        """Mean loss of the held-out lessons in nats per supervised token; None without any."""
        return self._mean_loss(self.heldout, self.ranks) if self.heldout else None

    def _mean_loss(self, examples: list[Example], ranks: Ranks = ALONE) -> float:
        return mean_loss(self.trainee, examples, self.recipe.microbatch_tokens, self.base.device, ranks)

    def keep_best(self, loss: float) -> bool:
        """Remember the weights if ``loss`` is the lowest so far."""
        if self.best is not None and loss >= self.best[0]:
            return False
        self.best = loss, [weight.detach().clone() for weight in self.weights]
        return True

    def _restore(self, weights: list[torch.Tensor]) -> None:
        with torch.no_grad():
            for weight, best in zip(self.weights, weights, strict=True):
                weight.copy_(best)

    def report(self, began: float) -> Report:
        """Everything measured, with the evaluations after."""
        steps_s = self.clock() - self.began
        heldout = self._mean_loss(self.heldout) if self.heldout else None
        found = moved(self.trainee, self.rehearsal, self.recipe.microbatch_tokens, self.base.device)
        text = self._mean_loss([self.rehearsal.text])
        if not found.loss < float("inf"):  # the last step's own loss was taken before it
            raise self._diverged()
        trainable, total = self.trainee.parameters
        return Report(
            seconds=self.clock() - began,
            steps=self.step,
            tokens=self.tokens,
            tokens_per_second=self.tokens / steps_s,
            trainable_parameters=trainable,
            total_parameters=total,
            trainable_percent=100 * trainable / total,
            heldout_loss_before=self.before[0],
            heldout_loss_after=heldout,
            general_loss_before=self.before[1],
            general_loss_after=found.loss,
            train_loss_after=self.loss,
            stopped_because=self.stopped_because,
            general_kl_before=0.0,
            general_kl_after=found.kl,
            general_kl_bound=BOUND,
            text_loss_before=self.rehearsal.text_loss,
            text_loss_after=text,
            forgot=forgotten(found.kl),
            general_kl_low=found.interval[0],
            general_kl_high=found.interval[1],
            general_answers=found.answers,
            general_tokens=found.tokens,
            memory=self.memory,
        )
