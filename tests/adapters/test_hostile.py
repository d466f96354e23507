"""Folders that must not be worn: each refused with one sentence, at once, and nothing is left on the disk."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lora_chat.adapters.install import install_folder
from lora_chat.adapters.registry import discover
from lora_chat.adapters.verify import load_verified
from lora_chat.adapters.weights import read_adapter, read_adapter_header
from lora_chat.errors import LoraChatError, RefusedError
from lora_chat.paths import Paths
from lora_chat.text import clean_line
from tests.adapters.conftest import (
    MODULES,
    SIGNATURE,
    Tensors,
    config,
    safetensors,
    tensors,
    with_header,
    write_adapter,
)

Build = Callable[[Path], object]
FIRST = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def set_to(**changes: Any) -> Build:
    """An adapter that is fine but for these fields of its config."""
    return lambda folder: write_adapter(folder, config(**changes))


def raw_config(raw: bytes) -> Build:
    return lambda folder: write_adapter(folder, raw)


def raw_weights(raw: bytes) -> Build:
    return lambda folder: write_adapter(folder, None, raw)


def with_tensors(change: Callable[[Tensors], Any]) -> Build:
    """An adapter whose tensors went through ``change``, which edits them in place."""

    def build(folder: Path) -> None:
        found = tensors()
        change(found)
        write_adapter(folder, None, found)

    return build


def entry(**changes: Any) -> Build:
    """An adapter whose first header entry was edited."""

    def build(folder: Path) -> None:
        raw = safetensors(tensors())
        length = int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8 : 8 + length])
        header[FIRST] |= changes
        write_adapter(folder, None, with_header(json.dumps(header).encode(), raw[8 + length :]))

    return build


def toml(text: str) -> Build:
    return lambda folder: write_adapter(folder, toml=text)


def put(value: float, dtype: str = "F32") -> Build:
    def change(found: Tensors) -> None:
        _, shape, _ = found[FIRST]
        numbers = np.zeros(shape, np.float32)
        numbers[1, 2] = value
        bits = numbers.view(np.uint32)
        forms: dict[str, np.ndarray[Any, Any]]
        forms = {"F32": numbers, "F16": numbers.astype(np.float16), "BF16": (bits >> 16).astype(np.uint16)}
        found[FIRST] = (dtype, shape, forms[dtype].tobytes())

    return with_tensors(change)


def only(part: str) -> Build:
    return with_tensors(lambda found: [found.pop(name) for name in list(found) if part not in name])


def replaced(name: str, make: Callable[[Path], object]) -> Build:
    """An adapter in which the file ``name`` is something else."""

    def build(folder: Path) -> None:
        write_adapter(folder)
        (folder / name).unlink()
        make(folder / name)

    return build


def link_to_a_good_one(path: Path) -> None:
    good = write_adapter(path.parent.parent / "good")
    path.symlink_to(good / path.name)


def pickle_only(folder: Path) -> None:
    write_adapter(folder)
    (folder / WEIGHTS).unlink()
    (folder / "adapter_model.bin").write_bytes(pickle.dumps({"a": 1}))


def whole_model(folder: Path) -> None:
    names = {f"{name}.weight": ("F32", shape, bytes(4 * shape[0] * shape[1])) for name, shape in MODULES.items()}
    write_adapter(folder, None, names)


def whole_model_folder(folder: Path) -> None:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(safetensors({}))


def sparse(folder: Path) -> None:
    write_adapter(folder)
    os.truncate(folder / WEIGHTS, 2**30 + 1)


def many_tensors(folder: Path) -> None:
    names = {f"t{number}.lora_A.weight": ("F32", (1, 1), bytes(4)) for number in range(30_000)}
    header = {
        name: {"dtype": "F32", "shape": [1, 1], "data_offsets": [4 * i, 4 * i + 4]} for i, name in enumerate(names)
    }
    write_adapter(folder, None, with_header(json.dumps(header).encode(), bytes(4 * 30_000)))


def for_another_base(folder: Path) -> None:
    wide: Tensors = {}
    for name, (dtype, shape, _) in tensors().items():
        bigger = tuple(each * 2 if each != 4 else each for each in shape)
        wide[name] = (dtype, bigger, np.ones(bigger, np.float32).tobytes())
    write_adapter(folder, config(base_model_name_or_path="big/Other-Model"), wide)


def edited_after_packing(folder: Path) -> None:
    write_adapter(folder, toml=f'[weights]\nsha256 = "{"0" * 64}"\n')


DEEP = b'{"a":' * 50_000 + b"1" + b"}" * 50_000
PADDED = json.dumps(config()).encode() + b" " * 102_400
TWICE = json.dumps(config()).encode()[:-1] + b', "r": 8}'
HOSTILE: dict[str, Build] = {
    # the files themselves
    "nothing in it": lambda folder: folder.mkdir(),
    "pickle only": pickle_only,
    "pickle renamed": raw_weights(pickle.dumps({"a": 1})),
    "torch zip renamed": raw_weights(b"PK\x03\x04" + bytes(300)),
    "gguf renamed": raw_weights(b"GGUF\x03" + bytes(300)),
    "git lfs pointer": raw_weights(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"),
    "config missing": lambda folder: (write_adapter(folder) / CONFIG).unlink(),
    "weights missing": lambda folder: (write_adapter(folder) / WEIGHTS).unlink(),
    "a whole model's tensors": whole_model,
    "a whole model's folder": whole_model_folder,
    "weights are a link": replaced(WEIGHTS, link_to_a_good_one),
    "config is a link": replaced(CONFIG, link_to_a_good_one),
    "config links to a device": replaced(CONFIG, lambda path: path.symlink_to("/dev/zero")),
    "weights are a fifo": replaced(WEIGHTS, lambda path: os.mkfifo(path)),
    "config is a fifo": replaced(CONFIG, lambda path: os.mkfifo(path)),
    "manifest is a fifo": lambda folder: os.mkfifo(write_adapter(folder) / "adapter.toml"),
    "weights are a folder": replaced(WEIGHTS, Path.mkdir),
    "config is a folder": replaced(CONFIG, Path.mkdir),
    "a gigabyte and a byte": sparse,
    # the config as text
    "config empty": raw_config(b""),
    "config a list": raw_config(b"[]"),
    "config a number": raw_config(b"8"),
    "config UTF-16": raw_config(json.dumps(config()).encode("utf-16")),
    "config latin-1": raw_config(b'{"peft_type": "LORA", "x": "\xe9"}'),
    "config of 100 KB": raw_config(PADDED),
    "config nested 50,000 deep": raw_config(DEEP),
    "config nested 5,000 deep": raw_config(DEEP[: 5 * 5000]),
    "config with a key twice": raw_config(TWICE),
    "config with NaN": raw_config(json.dumps(config(lora_alpha=float("nan"))).encode()),
    "config with Infinity": raw_config(json.dumps(config(lora_alpha=float("inf"))).encode()),
    "config with 1e999": raw_config(b'{"peft_type": "LORA", "lora_alpha": 1e999}'),
    "config with an integer of 5,000 digits": raw_config(b'{"peft_type": "LORA", "r": ' + b"9" * 5000 + b"}"),
    "config cut off": raw_config(json.dumps(config()).encode()[:-20]),
    # the config's fields
    "no peft_type": set_to(peft_type=...),
    "IA3": set_to(peft_type="IA3"),
    "peft_type a list": set_to(peft_type=["LORA"]),
    "sequence classification": set_to(task_type="SEQ_CLS"),
    "r 0": set_to(r=0),
    "r -4": set_to(r=-4),
    "r 4.5": set_to(r=4.5),
    "r true": set_to(r=True),
    "r text": set_to(r="8"),
    "r 10^9": set_to(r=10**9),
    "r unlike the shapes": set_to(r=8),
    "alpha 1e300": set_to(lora_alpha=1e300),
    "alpha 0": set_to(lora_alpha=0),
    "alpha text": set_to(lora_alpha="16"),
    "rslora as text": set_to(use_rslora="yes"),
    "rank pattern unlike the shapes": set_to(rank_pattern={"q_proj": 2}),
    "rank pattern a regex": set_to(rank_pattern={r".*q_proj|(a+)+$": 4}),
    "alpha pattern a regex": set_to(alpha_pattern={r"(a+)+b": 4}),
    "alpha pattern a list": set_to(alpha_pattern=["q_proj"]),
    "alpha pattern NaN text": set_to(alpha_pattern={"q_proj": "NaN"}),
    "no target matches": set_to(target_modules=["nonsense"]),
    "targets without one that has tensors": set_to(target_modules=["q_proj"]),
    "targets with one that has none": set_to(target_modules=["q_proj", "v_proj", "o_proj"]),
    "targets empty": set_to(target_modules=[]),
    "targets a number": set_to(target_modules=7),
    "targets of lists": set_to(target_modules=[["q_proj"]]),
    "dora": set_to(use_dora=True),
    "bias": set_to(bias="all"),
    "modules_to_save": set_to(modules_to_save=["lm_head"]),
    "token indices": set_to(trainable_token_indices=[1, 2]),
    "target parameters": set_to(target_parameters=["mlp.experts"]),
    "lora bias": set_to(lora_bias=True),
    "layer replication": set_to(layer_replication=[[0, 2], [1, 2]]),
    "megatron config": set_to(megatron_config={"x": 1}),
    "alora": set_to(alora_invocation_tokens=[1]),
    "qalora": set_to(use_qalora=True),
    "pissa": set_to(init_lora_weights="pissa_niter_4"),
    "olora": set_to(init_lora_weights="olora"),
    "loftq": set_to(loftq_config={"loftq_bits": 4}),
    "kasa": set_to(kasa_config={"beta": 1}),
    "unknown field": set_to(sparkle_factor=3),
    "unknown field with escapes": set_to(**{"\x1b]52;c;aGk=\x07": 3}),
    "base name a list": set_to(base_model_name_or_path=["x"]),
    # the safetensors header
    "weights empty": raw_weights(b""),
    "weights of 7 bytes": raw_weights(b"1234567"),
    "header longer than the file": raw_weights((10**6).to_bytes(8, "little") + b"{}"),
    "header bomb": raw_weights((2**63).to_bytes(8, "little") + b"{}"),
    "header of 5 MiB": raw_weights(with_header(b"{" + b" " * 5 * 2**20 + b"}")),
    "header of brackets": raw_weights(with_header(b"[]" * 2**21)),
    "header nested": raw_weights(with_header(b'{"a":' * 10**5)),
    "header of quotes": raw_weights(with_header(b'{"' + b'\\"' * (2**21 - 8))),
    "header of backslashes": raw_weights(with_header(b'{"' + b"\\" * (2**22 - 9))),
    "header of open strings": raw_weights(with_header(b"{" + b'"' * (2**22 - 9))),
    "header of colons": raw_weights(with_header(b'{"a":' + b"1" * (2**22 - 9))),
    "header not an object": raw_weights(with_header(b"[]")),
    "header with a name twice": raw_weights(with_header(b'{"a": 1, "a": 2}')),
    "no tensors": raw_weights(with_header(b"{}")),
    "30,000 tensors": many_tensors,
    "entry without shape": entry(shape=None),
    "entry with more": entry(extra=1),
    "negative shape": entry(shape=[-4, -32]),
    "huge shape": entry(shape=[2**40, 2**40]),
    "shape true": entry(shape=[True, 32]),
    "shape empty": entry(shape=[]),
    "offsets overlapping": entry(data_offsets=[8, 8 + 512]),
    "offsets beyond the end": entry(data_offsets=[2**30, 2**30 + 512]),
    "offsets overflowing": entry(data_offsets=[2**64, 2**64 + 512]),
    "offsets backwards": entry(data_offsets=[512, 0]),
    "truncated": lambda folder: os.truncate(write_adapter(folder) / WEIGHTS, 1500),
    "trailing bytes": raw_weights(safetensors(tensors()) + b"\0"),
    # the tensors
    "int64": with_tensors(lambda found: found.update({FIRST: ("I64", (4, 32), bytes(8 * 128))})),
    "bool": with_tensors(lambda found: found.update({FIRST: ("BOOL", (4, 32), bytes(128))})),
    "F64": with_tensors(lambda found: found.update({FIRST: ("F64", (4, 32), bytes(8 * 128))})),
    "F8": entry(dtype="F8_E4M3"),
    "dtype a list": entry(dtype=["F32"]),
    "NaN": put(float("nan")),
    "Inf": put(float("-inf")),
    "NaN in fp16": put(float("nan"), "F16"),
    "Inf in bf16": put(float("inf"), "BF16"),
    "only A": only("lora_A"),
    "half missing": only("layers.0"),
    "other names": with_tensors(lambda found: found.update({"model.h.0.attn.lora_A.weight": found.pop(FIRST)})),
    "twice under two names": with_tensors(lambda found: found.update({FIRST[17:]: found[FIRST]})),
    "extra lm_head": with_tensors(lambda found: found.update({"lm_head.weight": ("F32", (1, 1), bytes(4))})),
    "extra base_layer": with_tensors(
        lambda found: found.update({FIRST.replace("lora_A", "base_layer"): ("F32", (32, 32), bytes(4096))})
    ),
    "dora's magnitude": with_tensors(
        lambda found: found.update({FIRST.replace("lora_A", "lora_magnitude_vector"): ("F32", (32,), bytes(128))})
    ),
    "lora_B bias": with_tensors(
        lambda found: found.update({FIRST.replace("A.weight", "B.bias"): ("F32", (32,), bytes(128))})
    ),
    "wrong inner shape": with_tensors(lambda found: found.update({FIRST: ("F32", (4, 31), bytes(4 * 124))})),
    "A and B of unlike rank": with_tensors(lambda found: found.update({FIRST: ("F32", (5, 32), bytes(4 * 160))})),
    "conv shape": with_tensors(lambda found: found.update({FIRST: ("F32", (4, 32, 1, 1), bytes(512))})),
    "name with escapes": with_tensors(lambda found: found.update({"\x1b[2J.lora_A.weight": ("F32", (1, 1), bytes(4))})),
    "name of 9,000 dots": with_tensors(
        lambda found: found.update({"a." * 9000 + "lora_A.weight": ("F32", (1, 1), bytes(4))})
    ),
    "made for another model": for_another_base,
    # the manifest
    "manifest not TOML": toml("name = "),
    "manifest of a newer schema": toml("schema = 2"),
    "manifest too large": toml("# " + "x" * 40_000),
    "manifest nested": toml("a = " + "[" * 9000),
    "manifest with an endless heading": toml("[" + "a." * 4000 + "a]\n" + "".join(f"k{i}=1\n" for i in range(900))),
    "manifest name with dots": toml('name = "../../evil"'),
    "manifest name a number": toml("name = 5"),
    "manifest name with escapes": toml('name = "\\u001b[31mred"'),
    "manifest name right to left": toml('name = "\\u202Egpj.exe"'),
    "manifest name of 500": toml(f'name = "{"a" * 500}"'),
    "manifest name with markup": toml('name = "[@click=app.quit]x[/]"'),
    "manifest name of a device": toml('name = "con"'),
    "manifest temperature": toml("[chat]\ntemperature = nan"),
    "manifest base a text": toml('base = "x"'),
    "edited after packing": edited_after_packing,
}


# Windows has no FIFOs, and lets only administrators make links.
CASES = [case for case in HOSTILE if os.name == "posix" or not re.search("fifo|link", case)]


def assert_one_sentence(reason: str) -> None:
    assert reason.endswith(".")
    assert reason == clean_line(reason)
    assert len(reason) < 1000
    assert not re.search(r"[.?!] [A-Z]", reason)
    assert "Traceback" not in reason


WHAT_TO_DO = re.compile(
    r"[;:,] (or )?(update|correct|delete|fetch|save|take|train|copy|replace|put|pack|unpack|install|give|rename|write|"
    r"wear|remove|look|ask|pull)\b"
)


def assert_says_what_to_do(reason: str) -> None:
    assert WHAT_TO_DO.search(reason), reason


def everything_under(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*")) if folder.exists() else []


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_folder_is_refused_and_leaves_nothing(case: str, tmp_path: Path, paths: Paths) -> None:
    source = tmp_path / "source"
    HOSTILE[case](source)
    began = time.monotonic()
    with pytest.raises(RefusedError) as refused:
        install_folder(source, paths, signature=SIGNATURE)
    assert time.monotonic() - began < 2
    assert_one_sentence(str(refused.value))
    assert_says_what_to_do(str(refused.value))
    assert everything_under(paths.adapters) == []


@pytest.mark.parametrize("case", CASES)
def test_dropped_by_hand_it_hides_nobody_and_is_refused_when_loaded(case: str, paths: Paths) -> None:
    paths.adapters.mkdir(parents=True)
    HOSTILE[case](paths.adapters / "bad")
    write_adapter(paths.adapters / "fine")
    began = time.monotonic()
    catalog = discover(paths)
    assert "fine" in [adapter.name for adapter in catalog.adapters]
    for problem in catalog.problems:
        assert_one_sentence(problem.reason)
    if not any(problem.path.name == "bad" for problem in catalog.problems):
        with pytest.raises(RefusedError):
            load_verified(paths.adapters / "bad", SIGNATURE)
    assert time.monotonic() - began < 2


def test_one_inside_another_folder_is_named(tmp_path: Path, paths: Paths) -> None:
    """As a trainer leaves its checkpoints, and as one unpacks an archive by hand."""
    for place in ("checkpoint-90", "checkpoint-1000", "x/deep", "\x1b[31mred"):
        write_adapter(tmp_path / "out" / place)
    (write_adapter(tmp_path / "out" / "half") / WEIGHTS).unlink()
    (tmp_path / "out" / "config.json").write_text("{}")
    (tmp_path / "out" / "round").symlink_to(tmp_path / "out")
    for missing in (CONFIG, WEIGHTS):
        with pytest.raises(RefusedError) as refused:
            install_folder(tmp_path / "out", paths)
        assert str(refused.value) == (
            f"Cannot use {tmp_path / 'out'}: {missing} is missing; take an adapter's folder inside it: "
            '"[31mred", "checkpoint-1000", "checkpoint-90", "x/deep".'
        )
        (tmp_path / "out" / CONFIG).write_text(json.dumps(config()))
    shutil.rmtree(tmp_path / "out" / "x")
    for step in range(7):
        write_adapter(tmp_path / "out" / f"checkpoint-{step}")
    with pytest.raises(RefusedError, match=r'"checkpoint-1000", "checkpoint-90", "checkpoint-6".* and 5 more\.'):
        install_folder(tmp_path / "out", paths)


def test_looking_inside_a_folder_has_an_end(tmp_path: Path, paths: Paths) -> None:
    for number in range(1200):
        (tmp_path / "out" / f"{number:04}" / "a").mkdir(parents=True)
    write_adapter(tmp_path / "out" / "b" / "c" / "d" / "e")
    began = time.monotonic()
    with pytest.raises(RefusedError, match="give a folder that has"):
        install_folder(tmp_path / "out", paths)
    assert time.monotonic() - began < 2


def test_a_regex_in_target_modules_is_never_run(tmp_path: Path, paths: Paths) -> None:
    """21 characters of it cost PEFT 0.15 s, doubling with each more."""
    write_adapter(tmp_path / "source", config(target_modules=r"(([a-z_.0-9]+)+)+!" * 50))
    began = time.monotonic()
    install_folder(tmp_path / "source", paths, signature=SIGNATURE)
    assert time.monotonic() - began < 2


SUFFIXES = (".zip", ".tar.gz", ".tar.xz", ".rar", ".7z", ".gguf", ".bin", ".pt", ".safetensors", ".txt")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_is_refused_by_its_kind(suffix: str, tmp_path: Path, paths: Paths) -> None:
    (tmp_path / f"adapter{suffix}").write_bytes(b"x")
    with pytest.raises(RefusedError) as refused:
        install_folder(tmp_path / f"adapter{suffix}", paths)
    assert_one_sentence(str(refused.value))


BAD_NAMES = ("", "..", ".hidden", "A", "a b", "a/b", "a\\b", "con", "nul.txt", "com1", "a.", "a..b", "é", "-a",
             "a" * 65, "\x1b[0m", "a\0b", "a\n")  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES[1:])
def test_a_bad_name_is_refused(name: str, tmp_path: Path, paths: Paths) -> None:
    write_adapter(tmp_path / "source")
    with pytest.raises(RefusedError) as refused:
        install_folder(tmp_path / "source", paths, name=name)
    assert_one_sentence(str(refused.value))
    assert everything_under(paths.adapters) == []


GOOD_WEIGHTS = safetensors(tensors())
HEADER_END = 8 + int.from_bytes(GOOD_WEIGHTS[:8], "little")
GOOD_CONFIG = json.dumps(config()).encode()
EDITS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255), st.sampled_from("=+-")), max_size=8)


def mutated(raw: bytes, edits: list[tuple[float, int, str]]) -> bytes:
    """Set, insert or delete bytes."""
    value = bytearray(raw)
    for where, byte, kind in edits:
        at = int(where * len(value))
        value[at : at + (kind != "+")] = b"" if kind == "-" else bytes([byte])
    return bytes(value)


@settings(max_examples=300, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(in_config=EDITS, in_header=EDITS)
def test_mutations_are_read_or_refused_but_never_crash(
    in_config: list[tuple[float, int, str]], in_header: list[tuple[float, int, str]], tmp_path: Path
) -> None:
    header = mutated(GOOD_WEIGHTS[:HEADER_END], in_header)
    folder = write_adapter(tmp_path / "mutant", mutated(GOOD_CONFIG, in_config), header + GOOD_WEIGHTS[HEADER_END:])
    for read in (read_adapter, read_adapter_header, lambda folder: load_verified(folder, SIGNATURE)):
        try:
            read(folder)
        except LoraChatError as error:
            assert_one_sentence(str(error))


@settings(max_examples=150, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    field=st.sampled_from(sorted(config())),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=5,
    ),
)
def test_any_value_in_any_field_is_read_or_refused(field: str, value: Any, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "mutant", config(**{field: value}))
    try:
        load_verified(folder, SIGNATURE)
    except LoraChatError as error:
        assert_one_sentence(str(error))
