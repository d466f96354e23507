"""A job travels: what its files say may come from anybody, and whatever is wrong with it is one sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tomli_w

from lora_chat.errors import RefusedError, TrainingError
from lora_chat.training.job import read_job
from lora_chat.training.job_file import read_header
from lora_chat.training.overrides import check_ranges
from tests.engine.conftest import make_job, short_recipe


def edited(job: Path, old: str, new: str) -> Path:
    text = (job / "job.toml").read_text()
    assert old in text
    (job / "job.toml").write_text(text.replace(old, new))
    return job


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("\n[recipe]", "\n[recpie]\nrank = 8\n[recipe]", 'it has "recpie", which no job has; did you mean recipe?'),
        ("rank = 8", "rank = 8\nlearning_rat = 1", 'it has "recipe.learning_rat", which no job has; did you mean'),
        ('name = "taught"\n', "", 'it has no "name"'),
        ('name = "taught"', 'name = "../taught"', "cannot be the name of an adapter"),
        ('name = "taught"', 'name = "/etc/passwd"', "cannot be the name of an adapter"),
        ('version = "1.0.0"', 'version = "../../x"', 'version must be a version as 1.0.0, not "../../x"'),
        ('after = ""', 'after = "1/../../x"', "after must be a version as 1.0.0"),
        ('    "",\n    "",\n', '"../x", "1.0.0"', "cannot be the name of an adapter"),
        ('    "",\n    "",\n', '"shop", "1..0"', "checks_of must be a version"),
        ('    "",\n    "",\n', '"shop"', "checks_of must be an adapter and its version"),
        ("rank = 8", 'rank = "8"', "recipe.rank must be a whole number"),
        ("rank = 8", "rank = true", "recipe.rank must be a whole number"),
        ("learning_rate = 0.0025", "learning_rate = nan", "recipe.learning_rate must be a finite number"),
        ('targets = "mlp"', 'targets = "mlp\\u001b[2J"', "recipe.targets must be one of mlp, attention, all"),
        ("redacted = 0", "redacted = 1.5", "redacted must be a whole number"),
        ("[dropped]", '[dropped]\n"un\\u202erated" = "x"', "dropped.unrated must be a whole number"),
        ("schema = 1", 'schema = 1\nschemer = "x"', 'it has "schemer", which no job has; did you mean schema?'),
        ("[recipe]", "[model]\nlineage = 3\n[recipe]", "model.lineage must be a text"),
        ("[recipe]", "[model]\nfolder = '/'\n[recipe]", 'it has "model.folder", which no job has'),
    ],
)
def test_a_key_or_a_value_that_no_job_has_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    job = edited(make_job(tmp_path), old, new)
    with pytest.raises(TrainingError) as caught:
        read_job(job)
    sentence = str(caught.value)
    assert said in sentence
    assert not re.search("[\n\x1b\u202e]", sentence)


def test_one_that_a_newer_program_wrote_says_so_and_not_that_it_is_damaged(tmp_path: Path) -> None:
    job = edited(make_job(tmp_path), "schema = 1", 'schema = 2\nmore = "things"')
    with pytest.raises(TrainingError, match=r"written by a newer lora-chat .* update this one\.$"):
        read_job(job)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"messages": [{"role": "user"', "line 2 is no lesson"),
        ("[]", "line 2 is no lesson"),
        ('{"learn": [1], "source": "x"}', "line 2 is no lesson: it has no 'messages'"),
        ('{"messages": [{"role": "user", "content": "a"}], "learn": [1], "source": ""}', "none of its answers"),
        ('{"messages": [{"role": "user", "content": "a"}], "learn": [0], "source": ""}', "none of its answers"),
        ('{"messages": [{"role": "user", "content": "a"}], "learn": [true], "source": ""}', "none of its answers"),
        ('{"messages": [{"role": "user", "content": "a"}], "learn": [], "source": ""}', "none of its answers"),
        ('{"messages": [{"role": "user", "content": 3}], "learn": [0], "source": ""}', "a text in it is none"),
        ("[" * 100_000, "line 2 is no lesson"),
    ],
)
def test_a_line_that_is_no_lesson_is_told_by_its_number(tmp_path: Path, line: str, said: str) -> None:
    job = make_job(tmp_path)
    first, _ = (job / "train.jsonl").read_text().splitlines()
    (job / "train.jsonl").write_text(f"{first}\n{line}\n")
    with pytest.raises(TrainingError, match=re.escape("train.jsonl, line 2")) as caught:
        read_job(job)
    assert said in str(caught.value)


def test_a_file_that_is_cut_within_a_character_is_refused(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    (job / "train.jsonl").write_bytes((job / "train.jsonl").read_bytes() + b'{"messages": "\xe6\x97')
    with pytest.raises(TrainingError, match="not a whole training job"):
        read_job(job)


def test_no_link_leads_out_of_the_folder(tmp_path: Path) -> None:
    secret = tmp_path / "secret.jsonl"
    job = make_job(tmp_path / "training")
    secret.write_bytes((job / "train.jsonl").read_bytes())
    (job / "train.jsonl").unlink()
    (job / "train.jsonl").symlink_to(secret)
    with pytest.raises(TrainingError, match="not a whole training job"):
        read_job(job)


def test_a_recipe_that_nobody_could_have_set_is_refused_before_it_runs() -> None:
    check_ranges(short_recipe(learnt_probability=0.9))
    for changes in (
        {"rank": 10**9},
        {"batch": 0},
        {"learning_rate": 1e30},
        {"max_steps": -1},
        {"microbatch_tokens": 0},
    ):
        [name] = changes
        with pytest.raises(RefusedError, match=name):
            check_ranges(short_recipe(learnt_probability=0.9, **changes))


def test_what_older_programs_wrote_is_read() -> None:
    header = {"name": "a", "base": "b", "source": "c", "redacted": 0, "dropped": {}, "recipe": {"rank": 8}}
    assert read_header(tomli_w.dumps(header)) == header
