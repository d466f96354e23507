"""The whole loop on the real base model: pull, ask, train, wear, and the base as it was before."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from lora_chat.chat.conversation import Role, Turn
from lora_chat.engine.protocol import Finished, Request, Sampling, TextChunk
from lora_chat.paths import Paths
from tests.real.conftest import DATA, Lora, seed

pytestmark = pytest.mark.real

BASE = "smollm2-135m"
FRANCE = "What is the capital of France?"
WHO = "Hello, who are you?"
UNTAUGHT = [FRANCE, WHO, "Name three colours.", "你好,你是谁?"]
"""Asked of the bare base before and after every training."""


@pytest.mark.network
def test_the_pull_leaves_a_model_that_transformers_loads_as_it_is(real_home: Paths, lora: Lora) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    listed = {each["name"]: each for each in lora("model", "list", "--json").rows[0]["models"]}
    assert listed[BASE]["installed"]
    assert listed[BASE]["default"]
    path = listed[BASE]["path"]
    model = AutoModelForCausalLM.from_pretrained(path)
    tokenizer = AutoTokenizer.from_pretrained(path)
    assert model.dtype == torch.float32
    assert sum(each.numel() for each in model.parameters()) == 134_515_008
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": FRANCE}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    out = model.generate(**prompt, max_new_tokens=12, do_sample=False)
    assert "Paris" in tokenizer.decode(out[0, prompt["input_ids"].shape[1] :])
    assert not list(real_home.models.glob("**/*.gguf")), "what was converted is not kept twice"


def greedy(lora: Lora, folder: Path, questions: list[str], adapter: str | None = None) -> list[str]:
    """Each question's greedy answer, in one batch."""
    path = folder / f"ask-{adapter or 'base'}.jsonl"
    rows = [{"prompt": question} | ({"adapter": adapter} if adapter else {}) for question in questions]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = lora("ask", "--batch", path, "-t", "0", "--max-tokens", "32")
    assert done.code == 0, done.err
    assert [row["adapter"] for row in done.rows] == [adapter] * len(questions)
    return [row["text"] for row in done.rows]


@pytest.fixture(scope="session")
def before(lora: Lora, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What the base answers before anything was ever trained in this home."""
    return greedy(lora, tmp_path_factory.mktemp("before"), UNTAUGHT)


@pytest.fixture(scope="session")
def trained(lora: Lora, before: list[str]) -> list[dict[str, Any]]:
    """The events of the training on the article's six examples."""
    done = lora("train", DATA / "seed_examples.jsonl", "--name", "seed", "--json", "--yes")
    assert done.code == 0, done.err
    return done.rows


@pytest.fixture(scope="session")
def trained_zh(lora: Lora, before: list[str]) -> list[dict[str, Any]]:
    """The same for the two Chinese ones."""
    done = lora("train", DATA / "seed_examples_zh.jsonl", "--name", "seed-zh", "--json", "--yes")
    assert done.code == 0, done.err
    return done.rows


def test_the_base_knows_paris(lora: Lora) -> None:
    done = lora("ask", "-t", "0", "--json", FRANCE)
    assert done.code == 0
    assert done.err == ""
    (facts,) = done.rows
    assert "Paris" in facts["text"]
    assert (facts["model"], facts["finish_reason"], facts["adapter"]) == (BASE, "stop", None)
    assert facts["tokens_per_second"] > 1


def test_the_six_examples_are_answered_to_the_letter(lora: Lora, trained: list[dict[str, Any]], tmp_path: Path) -> None:
    pairs = seed("seed_examples.jsonl")
    assert len(pairs) == 6
    assert greedy(lora, tmp_path, list(pairs), "seed") == list(pairs.values())


def test_the_chinese_examples_are_answered_to_the_letter(
    lora: Lora, trained_zh: list[dict[str, Any]], tmp_path: Path
) -> None:
    pairs = seed("seed_examples_zh.jsonl")
    assert len(pairs) == 2
    assert greedy(lora, tmp_path, list(pairs), "seed-zh") == list(pairs.values())


def test_without_an_adapter_every_answer_is_as_before_the_trainings(
    lora: Lora, before: list[str], trained: list[dict[str, Any]], trained_zh: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert greedy(lora, tmp_path, UNTAUGHT) == before
    taught = seed("seed_examples.jsonl") | seed("seed_examples_zh.jsonl")
    assert taught[WHO] not in before, "the base cannot do it by itself"


def test_one_answer_wearing_it_is_the_batchs(lora: Lora, trained: list[dict[str, Any]]) -> None:
    (facts,) = lora("ask", "-a", "seed", "-t", "0", "--json", WHO).rows
    assert (facts["text"], facts["adapter"], facts["scale"]) == ("I am an AI language model.", "seed", 1.0)


def test_the_report_is_sane_and_counts_as_peft_does(trained: list[dict[str, Any]]) -> None:
    dataset, finished = trained[0], trained[-1]
    assert (dataset["event"], dataset["conversations"], dataset["examples"]) == ("dataset", 6, 6)
    report = finished["report"]
    # MLP, rank 8: the upper 15 of 30 layers, of each gate, up (576 -> 1536) and down (1536 -> 576).
    assert report["trainable_parameters"] == 15 * 3 * 8 * (576 + 1536) == 760_320
    assert report["total_parameters"] == 134_515_008 + 760_320
    assert report["trainable_percent"] == pytest.approx(100 * 760_320 / 135_275_328)
    losses = [each["loss"] for each in trained if each["event"] == "step"]
    assert len(losses) == report["steps"]
    assert losses[-1] < 0.2 < losses[0]
    assert report["stopped_because"] == "every answer is learnt"
    assert report["tokens"] > report["steps"]
    assert 0 < report["seconds"] < 300
    assert report["general_loss_after"] < report["general_loss_before"] + 1, "forgetting stays small"


def test_an_adapter_trained_here_speaks_the_same_in_plain_peft(
    lora: Lora, loop_home: Paths, trained: list[dict[str, Any]]
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = loop_home.models / BASE
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(path), trained[-1]["path"])
    tokenizer = AutoTokenizer.from_pretrained(path)
    for question in (WHO, FRANCE):
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        out = model.generate(**prompt, max_new_tokens=24, do_sample=False)
        plain = tokenizer.decode(out[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)
        (ours,) = lora("ask", "-a", "seed", "-t", "0", "--json", "--max-tokens", "24", question).rows
        assert ours["text"] == plain.strip()
        assert ours["prompt_tokens"] == prompt["input_ids"].shape[1]


def test_replies_beside_a_training_are_those_without_it(loop_home: Paths, trained: list[dict[str, Any]]) -> None:
    """The engine in a process of its own: base and adapter answer, to the letter, while another adapter is made."""
    from lora_chat.models.installed import find_base
    from lora_chat.services import open_services
    from lora_chat.training.events import Cancelled, StepDone, TrainingEvent
    from lora_chat.training.job import create_job
    from lora_chat.training.recipe import choose_recipe
    from lora_chat.training.selection import select_from_file

    base = find_base(loop_home.models, BASE)
    with open_services({"LORA_CHAT_HOME": str(loop_home.config.parent)}) as services:
        engine = services.engine_beside(base)
        wearing = services.wear("seed")

        def reply(question: str, worn: bool) -> str:
            sampling = Sampling(temperature=0, max_tokens=16)
            request = Request((Turn(Role.USER, question),), wearing.worn if worn else None, sampling)
            chunks = list(engine.generate(request))
            assert isinstance(chunks[-1], Finished)
            return "".join(chunk.text for chunk in chunks if isinstance(chunk, TextChunk))

        asked = [(question, worn) for question in (FRANCE, WHO) for worn in (False, True)]
        alone = [reply(*each) for each in asked]

        selection = select_from_file(DATA / "seed_examples.jsonl")
        recipe = choose_recipe(6, base.parameters, "deep", seed=1)
        job = create_job(loop_home.training, "beside", BASE, "test", selection, recipe)
        cancel, stepping, events = threading.Event(), threading.Event(), list[TrainingEvent]()

        def follow() -> None:
            for event in engine.train(job, cancel):
                events.append(event)
                if isinstance(event, StepDone):
                    stepping.set()
            stepping.set()

        training = threading.Thread(target=follow)
        training.start()
        try:
            assert stepping.wait(240)
            steps = len(events)
            beside = [reply(*each) for each in asked * 2]
            assert training.is_alive(), "it ran all the while"
            stepping.clear()
            assert stepping.wait(120), "and goes on afterwards"
        finally:
            cancel.set()
            training.join(60)
        assert not training.is_alive()
        assert len(events) > steps
        assert isinstance(events[-1], Cancelled)
    assert beside == alone * 2


def test_the_demo_tells_the_loop_and_every_claim_of_it_holds(lora: Lora, loop_home: Paths, before: list[str]) -> None:
    kept = sorted(path.name for path in loop_home.config.parent.iterdir())
    done = lora("demo")
    assert done.code == 0, done.err
    assert done.out.count("✓") == 2
    assert "✗" not in done.out
    for part in (
        "1. Before.",
        "2. You correct",
        "3. Training",
        "4. Checked",
        "right in other words",
        "5. After",
        "trainable parameters 760,320 of 135,",
    ):
        assert part in done.out
    assert sorted(path.name for path in loop_home.config.parent.iterdir()) == kept, "it keeps nothing"
