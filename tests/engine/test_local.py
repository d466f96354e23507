"""The engine in this process: what it says is what transformers and PEFT say, and it stops and waits when it should."""

from __future__ import annotations

import itertools
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lora_chat.decoder.fast import FastDecoder
from lora_chat.engine import local
from lora_chat.engine.general import GeneralDecoder
from lora_chat.engine.kept import Kept
from lora_chat.engine.local import LocalEngine
from lora_chat.engine.protocol import Chunk, Request, TextChunk, Worn
from lora_chat.errors import EngineError, RefusedError, TrainingError
from lora_chat.models.base_model import load_base_model
from lora_chat.models.installed import InstalledBase
from lora_chat.models.watch import find_layers
from lora_chat.training import trainer
from lora_chat.training.events import Cancelled, StepDone, Stopped, Trained, TrainingEvent
from lora_chat.training.fast.block import Block
from tests.engine.conftest import (
    GREEDY,
    QUESTION,
    Follower,
    ask,
    finish,
    is_one_sentence,
    make_adapter,
    make_job,
    text_of,
    user,
    wait_until,
)


@pytest.fixture
def engine(tiny_llama: InstalledBase, kept: Kept) -> Iterator[LocalEngine]:
    engine = LocalEngine(tiny_llama, kept)
    engine.load()
    yield engine
    engine.close()


@pytest.mark.parametrize("name", ["tiny_llama", "tiny_opt"])
@pytest.mark.parametrize("worn", [False, True])
def test_the_reply_is_token_for_token_that_of_transformers_and_plain_peft(
    name: str, worn: bool, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    base: InstalledBase = request.getfixturevalue(name)
    adapter = make_adapter(tmp_path / "red", base, 1) if worn else None
    engine = LocalEngine(base, Kept(tmp_path, tmp_path), "fp32")
    prompt = load_base_model(base.name, base.folder).prompt
    ids = prompt.encode_prompt(user(QUESTION))
    model = plain(base, adapter)
    settings: Any = {"do_sample": False, "max_new_tokens": 40, "pad_token_id": 1}
    with torch.inference_mode():
        expected = model.generate(input_ids=torch.tensor([ids]), **settings)[0, len(ids) :].tolist()
    chunks = list(engine.generate(Request(user(QUESTION), adapter, replace(GREEDY, max_tokens=40))))
    text = "".join(chunk.text for chunk in chunks if isinstance(chunk, TextChunk))
    assert text == prompt.decode(expected).split("\nQ:")[0]
    assert finish(iter(chunks)).generated_tokens == len(expected)


@pytest.mark.parametrize(("name", "tolerance"), [("tiny_llama", 1e-5), ("tiny_opt", 0.0)])
def test_the_logits_are_those_of_plain_peft(
    name: str, tolerance: float, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    base: InstalledBase = request.getfixturevalue(name)
    adapter = make_adapter(tmp_path / "red", base, 1)
    loaded = LocalEngine(base, Kept(tmp_path, tmp_path), "fp32")._load()
    ids = list(range(3, 40))
    for worn in (None, adapter):
        outfit = None if worn is None else loaded.wardrobe.dress(worn).outfit
        found = loaded.decoder.begin(outfit, 1.0).extend(ids, lambda: None, every=True)
        with torch.inference_mode():
            expected = plain(base, worn)(input_ids=torch.tensor([ids])).logits[0]
        assert (found - expected).abs().max() <= tolerance


def plain(base: InstalledBase, adapter: Worn | None) -> Any:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base.folder, dtype=torch.float32).eval()
    return model if adapter is None else PeftModel.from_pretrained(model, str(adapter.folder)).eval()


def test_a_prompt_read_in_pieces_gets_the_same_reply(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ask(engine)
    for tokens in (1, 2, 7):
        monkeypatch.setattr(local, "PREFILL_CHUNK", tokens)
        assert ask(engine) == whole


def test_a_base_whose_weights_are_gone_is_the_engines_failure(tiny_llama: InstalledBase, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(tiny_llama.folder, folder)
    (folder / "model.safetensors").unlink()
    engine = LocalEngine(replace(tiny_llama, folder=folder), Kept(tmp_path, tmp_path), "int4")
    with pytest.raises(EngineError, match="lora-chat model pull tiny-llama") as caught:
        engine.load()
    assert is_one_sentence(caught.value)


def test_weights_that_changed_where_they_lie_are_packed_again(tiny_llama: InstalledBase, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(tiny_llama.folder, folder)
    base, kept = replace(tiny_llama, folder=folder), Kept(tmp_path, tmp_path)
    before = LocalEngine(base, kept, "int4").checksum()
    weights = load_file(folder / "model.safetensors")
    save_file({name: tensor.flip(0) for name, tensor in weights.items()}, folder / "model.safetensors")
    after = LocalEngine(base, kept, "int4").checksum()
    assert before != after == LocalEngine(base, Kept(tmp_path / "new", tmp_path), "int4").checksum()


def test_a_precision_that_the_general_path_has_not_is_refused(tiny_opt: InstalledBase, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="opt is not one of") as caught:
        LocalEngine(tiny_opt, Kept(tmp_path, tmp_path), "int8").load()
    assert is_one_sentence(caught.value)
    assert (
        LocalEngine(tiny_opt, Kept(tmp_path, tmp_path), "fp32").load().decoding.startswith("general path (opt is not")
    )


def test_nothing_writes_to_the_base(engine: LocalEngine, adapters: list[Worn], tmp_path: Path) -> None:
    tree = engine._load().base_model()
    before = engine.checksum(), tree.checksum()
    for adapter in (*adapters, replace(adapters[0], scale=-3.0)):
        ask(engine, adapter=adapter)
        engine.probe(adapter)
    assert isinstance(list(engine.train(make_job(tmp_path)))[-1], Trained)
    assert (engine.checksum(), tree.checksum()) == before


@pytest.mark.parametrize("scale", [17.0, float("nan"), float("-inf")])
def test_a_scale_that_is_no_strength_is_refused(engine: LocalEngine, adapters: list[Worn], scale: float) -> None:
    with pytest.raises(RefusedError, match="scale") as caught:
        ask(engine, adapter=replace(adapters[0], scale=scale))
    assert is_one_sentence(caught.value)


def test_200_replies_of_three_threads_over_three_adapters_beside_a_training_do_not_mix(
    engine: LocalEngine, adapters: list[Worn], tmp_path: Path
) -> None:
    short = replace(GREEDY, max_tokens=4)
    worn: list[Worn | None] = [None, *adapters, replace(adapters[0], scale=0.5)]
    expected = [ask(engine, adapter=adapter, sampling=short) for adapter in worn]
    assert len(set(expected)) == 5
    cancel = threading.Event()
    with ThreadPoolExecutor(4) as pool:
        training = pool.submit(lambda: list(engine.train(make_job(tmp_path, max_steps=100_000), cancel)))
        wanted = list(itertools.islice(itertools.cycle(range(5)), 200))
        said = list(pool.map(lambda i: ask(engine, adapter=worn[i], sampling=short), wanted))
        cancel.set()
    assert said == [expected[i] for i in wanted]
    assert isinstance(training.result()[-1], Cancelled)


# Stopping: counted in layers, since seconds on a busy machine prove nothing. One layer takes some 30 ms at most.


def test_a_cancel_inside_the_prefill_ends_it_before_the_next_tokens(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder, cancel = engine._load().decoder, threading.Event()
    assert isinstance(decoder, FastDecoder)
    stepper, ran = decoder._stepper, []
    read = stepper.step

    def step(ids: Any, *others: Any) -> torch.Tensor:
        ran.append(len(ids))
        cancel.set()
        return read(ids, *others)

    monkeypatch.setattr(stepper, "step", step)
    question = user(QUESTION * 4)
    [done] = list(engine.generate(Request(question, None, GREEDY), cancel))
    assert finish(iter([done])).reason == "cancelled"
    assert ran == [stepper.most]
    assert engine.count_tokens(question) > stepper.most


def test_a_cancel_inside_the_general_paths_prefill_ends_it_before_the_next_layer(
    tiny_opt: InstalledBase, tmp_path: Path
) -> None:
    engine, ran, cancel = LocalEngine(tiny_opt, Kept(tmp_path, tmp_path)), [], threading.Event()

    def note(index: int) -> None:
        ran.append(index)
        cancel.set()

    decoder = engine._load().decoder
    assert isinstance(decoder, GeneralDecoder)
    with hooked(find_layers(decoder._bare), note):
        [done] = list(engine.generate(Request(user(QUESTION), None, GREEDY), cancel))
    assert finish(iter([done])).reason == "cancelled"
    assert ran == [0]


class hooked:
    """Call ``note`` with a layer's number before it runs."""

    def __init__(self, layers: list[torch.nn.Module], note: Callable[[int], None]) -> None:
        self.handles = [
            layer.register_forward_pre_hook(lambda _module, _inputs, index=index: note(index))
            for index, layer in enumerate(layers)
        ]

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()


@pytest.mark.parametrize("phase", ["forward", "backward"])
def test_a_cancel_inside_a_training_step_ends_it_before_the_next_layer(
    engine: LocalEngine, phase: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    cancel = threading.Event()

    def noted(what: str, run: Callable[..., Any]) -> Callable[..., Any]:
        def one(self: Block, *given: Any, **named: Any) -> Any:
            ran.append(what)
            if what == phase and len(ran) > 8 and "backward" in ran:
                cancel.set()
            return run(self, *given, **named)

        return one

    list(engine.train(make_job(tmp_path)))  # its general answers are made
    for name in ("forward", "backward"):
        monkeypatch.setattr(Block, name, noted(name, getattr(Block, name)))
    events = list(engine.train(make_job(tmp_path, max_steps=100_000, upper=1.0), cancel))
    assert isinstance(events[-1], Cancelled)
    # Only the layer that ran when the cancel came is the last one.
    assert ran[-1] == phase
    first = next(at for at, what in enumerate(ran) if at > 7 and what == phase and "backward" in ran[: at + 1])
    assert len(ran) == first + 1


def test_a_cancelled_training_stops_at_once_even_if_every_layer_is_slow(
    engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Block.forward

    def slow(self: Block, *given: Any) -> Any:
        time.sleep(0.4)
        return forward(self, *given)

    list(engine.train(make_job(tmp_path)))  # its general answers are made
    monkeypatch.setattr(Block, "forward", slow)
    cancel = threading.Event()
    events = engine.train(make_job(tmp_path, max_steps=100_000), cancel)
    next(events)
    time.sleep(0.15)
    asked = time.perf_counter()
    cancel.set()
    assert isinstance(list(events)[-1], Cancelled)
    # One layer, of the many that were to come, and five times as much for a busy machine.
    assert time.perf_counter() - asked < 2.5


def test_a_training_waits_while_a_reply_runs_and_then_goes_on(engine: LocalEngine, tmp_path: Path) -> None:
    steps: list[TrainingEvent] = []
    cancel = threading.Event()

    def run() -> None:
        steps.extend(event for event in note_each(engine.train(make_job(tmp_path, max_steps=100_000), cancel)))

    noted: list[int] = []

    def note_each(events: Iterator[TrainingEvent]) -> Iterator[TrainingEvent]:
        for event in events:
            if isinstance(event, StepDone):
                noted.append(event.step)
            yield event

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: len(noted) > 2)
    reply = engine.generate(Request(user(QUESTION), None, GREEDY))
    next(reply)  # it has the floor until it is read on
    time.sleep(0.2)
    before = len(noted)
    time.sleep(0.4)
    assert len(noted) == before
    reply.close()  # type: ignore[attr-defined]
    wait_until(lambda: len(noted) > before + 2)
    cancel.set()
    thread.join(10)
    assert isinstance(steps[-1], Cancelled)


def test_a_training_waits_as_long_as_it_is_paused_each_time(engine: LocalEngine, tmp_path: Path) -> None:
    pause, cancel = threading.Event(), threading.Event()
    training = Follower(engine.train(make_job(tmp_path, max_steps=100_000), cancel, pause=pause))
    for _ in range(2):
        before = training.steps
        wait_until(lambda before=before: training.steps > before + 2)  # type: ignore[misc]
        pause.set()
        time.sleep(0.25)
        made = training.steps
        time.sleep(0.3)
        assert training.steps == made
        pause.clear()
    cancel.set()
    assert isinstance(training.join(), Cancelled)


def test_a_pause_in_the_middle_changes_nothing_of_the_adapter(engine: LocalEngine, tmp_path: Path) -> None:
    def weights(last: TrainingEvent) -> bytes:
        assert isinstance(last, Trained)
        return (Path(last.folder) / "adapter_model.safetensors").read_bytes()

    *_, whole = engine.train(make_job(tmp_path, max_steps=40))
    pause = threading.Event()
    training = Follower(engine.train(make_job(tmp_path, max_steps=40), pause=pause))
    wait_until(lambda: training.steps > 2)
    pause.set()
    time.sleep(0.2)
    assert ask(engine)
    pause.clear()
    assert weights(training.join()) == weights(whole)


def test_closing_ends_a_paused_training(engine: LocalEngine, tmp_path: Path) -> None:
    pause = threading.Event()
    pause.set()
    training = Follower(engine.train(make_job(tmp_path), pause=pause))
    wait_until(lambda: training.events != [])
    engine.close()
    assert isinstance(training.join(), Stopped)  # and kept: nobody cancelled it


def test_closing_ends_a_running_reply_and_a_running_training(engine: LocalEngine, tmp_path: Path) -> None:
    training = engine.train(make_job(tmp_path, max_steps=100_000))
    next(training)
    reply = engine.generate(Request(user(QUESTION * 9), None, replace(GREEDY, max_tokens=300)))
    next(reply)
    engine.close()
    assert finish(reply).reason == "cancelled"
    assert isinstance(list(training)[-1], Stopped)


@pytest.mark.parametrize("error", [MemoryError("no room"), RuntimeError("a kernel\nfailed"), ValueError("odd")])
@pytest.mark.parametrize("call", [1, 9])
@pytest.mark.parametrize("name", ["tiny_llama", "tiny_opt"])
def test_an_error_in_a_forward_is_the_engines_failure_and_what_was_said_stays(
    name: str, error: Exception, call: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    engine = LocalEngine(request.getfixturevalue(name), Kept(tmp_path, tmp_path))
    whole = ask(engine)
    engine._load().prompts.forget()
    decoder: Any = engine._load().decoder
    runs, read = itertools.count(1), decoder.read

    def fail(*asked: Any, **named: Any) -> torch.Tensor:
        if next(runs) == call:
            raise error
        logits: torch.Tensor = read(*asked, **named)
        return logits

    decoder.read = fail
    chunks: list[Chunk] = []
    with pytest.raises(EngineError) as caught:
        chunks.extend(engine.generate(Request(user(QUESTION), None, GREEDY)))
    said = text_of(iter(chunks))
    assert is_one_sentence(caught.value)
    assert whole.startswith(said)
    assert bool(said) == (call > 2)
    assert ask(engine) == whole


def test_a_training_that_fails_says_so_in_one_sentence_and_another_can_start(
    engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(trainer, "save_adapter", full)
        with pytest.raises(TrainingError, match="No space left") as caught:
            list(engine.train(make_job(tmp_path)))
    assert is_one_sentence(caught.value)
    assert isinstance(list(engine.train(make_job(tmp_path)))[-1], Trained)


def test_more_adapters_than_stay_resident_are_all_worn(
    engine: LocalEngine, tiny_llama: InstalledBase, tmp_path: Path
) -> None:
    short = replace(GREEDY, max_tokens=6)
    many = [make_adapter(tmp_path / f"a{seed}", tiny_llama, seed) for seed in range(11)]
    ask(engine, adapter=many[0], sampling=short)
    wardrobe = engine._load().wardrobe
    wardrobe._budget = int(3.1 * next(iter(wardrobe._dressed.values())).outfit.bytes)
    first = [ask(engine, adapter=adapter, sampling=short) for adapter in many]
    assert [ask(engine, adapter=adapter, sampling=short) for adapter in many] == first
    assert 1 < len(wardrobe) < 11
    kept = {each.identity for each in wardrobe._dressed.values()}
    assert {key[0] for key, _ in engine._load().prompts._kept if isinstance(key, tuple)} == kept
    assert sum(each.outfit.bytes for each in wardrobe._dressed.values()) <= wardrobe._budget
