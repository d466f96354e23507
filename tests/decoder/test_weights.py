"""A base's weights, mapped: the tensors safetensors reads, from pages that no write of ours reaches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lora_chat.decoder.weights import map_file, map_weights, write_tensors

DTYPES = [torch.float32, torch.float16, torch.bfloat16]


def write(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    """A safetensors file with a ``header`` of our own and, if given, a lie about its length."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(raw) if length is None else length).to_bytes(8, "little") + raw + data)
    return path


def entry(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def assert_as_safetensors_reads(path: Path) -> None:
    expected, (found, _) = load_file(path), map_file(path)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].is_contiguous()
        assert torch.equal(found[name], tensor)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_mapped_tensors_are_those_of_safetensors(dtype: torch.dtype, tmp_path: Path) -> None:
    tensors = {"a": random(5, 7), "b": random(3), "one": random(1, 1, 4), "point": random(1)[0], "none": random(0, 4)}
    save_file({name: tensor.to(dtype) for name, tensor in tensors.items()}, tmp_path / "w")
    assert_as_safetensors_reads(tmp_path / "w")


def test_what_is_written_is_what_safetensors_reads_and_is_aligned(tmp_path: Path) -> None:
    tensors = {
        "bytes": torch.arange(7, dtype=torch.uint8),
        "signed": torch.arange(-5, 4, dtype=torch.int8).reshape(3, 3),
        "halves": random(3, 5).half(),
        "wide": random(2, 3),
        "none": random(0, 4),
        "point": random(1)[0],
    }
    write_tensors(tmp_path / "w", tensors, {"schema": "1", "what": "ever"})
    assert_as_safetensors_reads(tmp_path / "w")
    found, metadata = map_file(tmp_path / "w")
    assert metadata == {"schema": "1", "what": "ever"}
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor)
        assert found[name].untyped_storage().nbytes() == (tmp_path / "w").stat().st_size  # none is a copy


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"before")
    with pytest.raises(TypeError, match="meta"):
        write_tensors(tmp_path / "w", {"a": random(2, 2), "b": torch.empty(2, 2, device="meta")}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["w"]
    assert (tmp_path / "w").read_bytes() == b"before"


def test_what_is_packed_and_what_is_said_about_it_are_read(tmp_path: Path) -> None:
    numbers = torch.arange(-8, 8, dtype=torch.int8)
    tensors = {
        "signed": numbers,
        "unsigned": torch.arange(16, dtype=torch.uint8).reshape(4, 4),
        "scales": random(3).half(),
    }
    save_file(tensors, tmp_path / "w", {"schema": "1", "what": "ever"})
    assert_as_safetensors_reads(tmp_path / "w")
    assert map_file(tmp_path / "w")[1] == {"schema": "1", "what": "ever"}


def test_a_file_without_metadata_has_none(tmp_path: Path) -> None:
    save_file({"a": random(2)}, tmp_path / "w")
    assert map_file(tmp_path / "w")[1] == {}


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("shift", [1, 2, 3])
def test_tensors_that_begin_anywhere_are_read_as_well_and_lie_aligned(dtype: str, shift: int, tmp_path: Path) -> None:
    kind = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}[dtype]
    wanted = random(6, 4).to(kind)
    size = wanted.nbytes
    header = {"pad": entry("U8", [shift], 0, shift), "a": entry(dtype, [6, 4], shift, shift + size)}
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    write(tmp_path / "w", raw, bytes(shift) + wanted.view(torch.uint8).numpy().tobytes())
    assert_as_safetensors_reads(tmp_path / "w")
    found = map_file(tmp_path / "w")[0]["a"]
    assert torch.equal(found, wanted)
    assert found.data_ptr() % kind.itemsize == 0


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_weights_are_what_is_stored_and_float16_is_widened_without_loss(dtype: torch.dtype, tmp_path: Path) -> None:
    wanted = random(4, 32).to(dtype)
    save_file({"a": wanted}, tmp_path / "w")
    found = map_weights([tmp_path / "w"])["a"]
    assert found.dtype == (torch.float32 if dtype == torch.float16 else dtype)
    assert torch.equal(found.float(), wanted.float())


def test_the_tensors_of_all_files_are_found(tmp_path: Path) -> None:
    for index, name in enumerate(("a", "b", "c")):
        save_file({name: random(3, seed=index)}, tmp_path / name)
    found = map_weights([tmp_path / name for name in ("a", "b", "c")])
    assert {name: tensor.tolist() for name, tensor in found.items()} == {
        name: random(3, seed=index).tolist() for index, name in enumerate(("a", "b", "c"))
    }


def test_what_is_written_to_a_mapped_tensor_does_not_reach_the_file(tmp_path: Path) -> None:
    save_file({"a": random(1024, 8)}, tmp_path / "w")
    before = (tmp_path / "w").read_bytes()
    found = map_file(tmp_path / "w")[0]["a"]
    found.fill_(7)
    assert (found == 7).all()
    del found
    assert (tmp_path / "w").read_bytes() == before
    assert torch.equal(map_file(tmp_path / "w")[0]["a"], random(1024, 8))


def test_a_file_that_is_replaced_leaves_the_mapped_tensors_as_they_were(tmp_path: Path) -> None:
    save_file({"a": random(64)}, tmp_path / "w")
    found = map_file(tmp_path / "w")[0]["a"]
    save_file({"a": random(64, seed=1)}, tmp_path / "new")
    (tmp_path / "new").replace(tmp_path / "w")
    assert torch.equal(found, random(64))


def test_a_file_that_lost_bytes_is_refused_wherever_it_was_cut(tmp_path: Path) -> None:
    save_file({"a": random(3, 4), "b": random(2).half()}, tmp_path / "w")
    whole = (tmp_path / "w").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises((ValueError, OSError)):
            map_file(tmp_path / "cut")


def test_a_file_that_is_not_there_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        map_file(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "wrong",
    [
        entry("F32", [4], 0, 20),
        entry("F32", [4], 8, 24),
        entry("F32", [4], -4, 12),
        entry("F32", [4], -16, 0),
        entry("F32", [4], 16, 0),
        entry("F32", [4], 0, 15),
        entry("F32", [5], 0, 16),
        entry("F32", [1 << 62, 4], 0, 16),
        entry("F32", [4], 1 << 62, (1 << 62) + 16),
        entry("F64", [2], 0, 16),
        entry("I64", [2], 0, 16),
        entry("F8_E4M3", [16], 0, 16),
        entry("f32", [4], 0, 16),
        entry("", [4], 0, 16),
        {**entry("F32", [4], 0, 16), "data_offsets": [0]},
        {**entry("F32", [4], 0, 16), "data_offsets": [0, 16, 16]},
        {**entry("F32", [4], 0, 16), "data_offsets": ["begin", "end"]},
        {**entry("F32", [4], 0, 16), "shape": ["wide"]},
    ],
    ids=str,
)
def test_a_tensor_that_lies_elsewhere_or_is_of_another_kind_is_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"."):
        map_file(write(tmp_path / "w", {"a": wrong}, bytes(16)))


@pytest.mark.parametrize("length", [0, 1, 1 << 27, (1 << 64) - 1])
def test_a_header_that_reaches_past_the_file_is_refused(length: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no safetensors file"):
        map_file(write(tmp_path / "w", {"a": entry("F32", [4], 0, 16)}, bytes(16), length))


@pytest.mark.parametrize("header", [b"{}}", b"{ ", b"\xff\xff\xff", b"nonsense", b'{"a": '])
def test_a_header_that_is_no_json_is_refused(header: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"."):
        map_file(write(tmp_path / "w", header, bytes(16)))


@pytest.mark.parametrize(
    "header",
    [
        12,
        "text",
        None,
        [1],
        {"a": 5},
        {"a": None},
        {"a": {"dtype": "F32", "shape": [4]}},
        {"a": {"shape": [4], "data_offsets": [0, 16]}},
        {"a": {**entry("F32", [4], 0, 16), "dtype": ["F32"]}},
        {"a": {**entry("F32", [4], 0, 16), "shape": 4}},
        {"a": {**entry("F32", [4], 0, 16), "shape": [None]}},
        {"a": {**entry("F32", [4], 0, 16), "data_offsets": None}},
        {"a": {**entry("F32", [4], 0, 16), "data_offsets": [0, float("inf")]}},
        {"a": entry("F32", [-2, -2], 0, 16)},
    ],
    ids=str,
)
def test_a_header_of_another_form_is_refused(header: object, tmp_path: Path) -> None:
    with pytest.raises((ValueError, OSError)):
        map_file(write(tmp_path / "w", header, bytes(16)))


def test_a_header_nested_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"."):
        map_file(write(tmp_path / "w", b"[" * 100_000))


def test_tensors_that_overlap_are_refused(tmp_path: Path) -> None:
    header = {"a": entry("F32", [4], 0, 16), "b": entry("F32", [4], 8, 24)}
    with pytest.raises(ValueError, match=r"."):
        map_file(write(tmp_path / "w", header, bytes(24)))
