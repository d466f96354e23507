"""Which packed form a base is decoded in: the smallest that is as good, kept for these very weights and no others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lora_chat.config import Precision
from lora_chat.decoder.packing import Form, Packing
from lora_chat.decoder.parts import LayerWeights, Weights
from lora_chat.decoder.plan import Kind
from lora_chat.decoder.quantise import Packed, pack_int4, pack_int8, unpack
from lora_chat.decoder.shape import Shape
from lora_chat.decoder.verdict import VERDICT, read_verdict
from lora_chat.models.installed import InstalledBase
from tests.decoder.conftest import Open, never

PACKED: list[Precision] = ["int4", "int8"]
HASH = "sha256:these"


class Losses:
    """Measures as it was told and notes what it was asked for."""

    def __init__(self, **losses: float) -> None:
        self.losses = losses
        self.asked: list[str] = []

    def __call__(self, form: Form) -> float:
        self.asked.append(form.precision)
        return self.losses[form.precision]


Pack = Callable[..., Packing]
"""``Pack(folder, hashed)``."""


@pytest.fixture
def weights(llama: InstalledBase, opened: Open) -> Weights:
    return opened(llama).weights


@pytest.fixture
def shape(llama: InstalledBase, opened: Open) -> Shape:
    return opened(llama).shape


@pytest.fixture
def packing(weights: Weights, shape: Shape) -> Pack:
    return lambda folder, hashed=HASH: Packing(weights, shape, hashed, folder)


def assert_same(one: Form, other: Form) -> None:
    assert one.precision == other.precision
    for left, right in zip(matrices(one), matrices(other), strict=True):
        assert left.kind == right.kind
        for a, b in zip(left.parts, right.parts, strict=True):
            assert torch.equal(a, b)


def matrices(form: Form) -> list[Packed]:
    return [form.head, *(matrix for layer in form.layers for matrix in layer)]


@pytest.mark.parametrize(
    ("int4", "int8", "chosen", "asked"),
    [
        (2.0, 2.0, "int4", ["fp32", "int4"]),
        (1.5, 9.0, "int4", ["fp32", "int4"]),
        (2.0199, 2.0, "int4", ["fp32", "int4"]),
        (2.0201, 2.0, "int8", ["fp32", "int4", "int8"]),
        (2.5, 2.0199, "int8", ["fp32", "int4", "int8"]),
        (2.5, 2.0201, "fp32", ["fp32", "int4", "int8"]),
        (float("nan"), 2.0, "int8", ["fp32", "int4", "int8"]),
        (float("inf"), float("nan"), "fp32", ["fp32", "int4", "int8"]),
    ],
)
def test_auto_is_the_smallest_form_that_is_as_good(
    int4: float, int8: float, chosen: str, asked: list[str], packing: Pack, tmp_path: Path
) -> None:
    measure = Losses(fp32=2.0, int8=int8, int4=int4)
    assert packing(tmp_path).form("auto", measure).precision == chosen
    assert measure.asked == asked


@pytest.mark.parametrize(("int4", "chosen"), [(2.0, "int4"), (3.0, "int8")])
def test_what_was_measured_once_is_not_measured_again(int4: float, chosen: str, packing: Pack, tmp_path: Path) -> None:
    form = packing(tmp_path).form("auto", Losses(fp32=2.0, int8=2.0, int4=int4))
    again = packing(tmp_path).form("auto", never)
    assert again.precision == chosen
    assert_same(form, again)


def test_what_passes_nowhere_is_not_measured_again_either(packing: Pack, tmp_path: Path) -> None:
    packing(tmp_path).form("auto", Losses(fp32=2.0, int8=3.0, int4=3.0))
    assert packing(tmp_path).form("auto", never).precision == "fp32"


def test_a_verdict_says_what_was_measured_and_for_which_weights(packing: Pack, tmp_path: Path) -> None:
    packing(tmp_path).form("auto", Losses(fp32=2.0, int8=2.01, int4=3.0))
    verdict = read_verdict(tmp_path, HASH)
    assert verdict is not None
    assert verdict.losses == {"fp32": 2.0, "int4": 3.0, "int8": 2.01}
    assert [verdict.passes(each) for each in ("int4", "int8", "fp32")] == [False, True, True]
    assert read_verdict(tmp_path, "sha256:others") is None


def test_a_measurement_that_was_broken_off_is_taken_up(packing: Pack, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="int8"):
        packing(tmp_path).form("auto", Losses(fp32=2.0, int4=3.0))
    measure = Losses(int8=2.0)
    assert packing(tmp_path).form("auto", measure).precision == "int8"
    assert measure.asked == ["int8"]


def test_other_weights_are_measured_and_packed_anew(weights: Weights, shape: Shape, tmp_path: Path) -> None:
    Packing(weights, shape, HASH, tmp_path).form("auto", Losses(fp32=2.0, int8=2.0, int4=2.0))
    changed = Weights(weights.embedding, weights.head * 2, weights.norm, weights.layers)
    measure = Losses(fp32=2.0, int8=2.0, int4=2.0)
    form = Packing(changed, shape, "sha256:others", tmp_path).form("auto", measure)
    assert measure.asked == ["fp32", "int4"]
    assert torch.equal(unpack(form.head), unpack(pack_int8(changed.head)))


def test_weights_that_are_packed_without_loss_are_not_measured(weights: Weights, shape: Shape, tmp_path: Path) -> None:
    layers = tuple(
        LayerWeights(
            tuple(unpack(pack_int4(each)) for each in layer.matrices),
            layer.biases,
            layer.norm_1,
            layer.norm_2,
            layer.norm_q,
            layer.norm_k,
        )
        for layer in weights.layers
    )
    exact = Weights(weights.embedding, unpack(pack_int8(weights.head)), weights.norm, layers)
    measure = Losses(int4=2.0)
    assert Packing(exact, shape, HASH, tmp_path / "exact").form("auto", measure).precision == "int4"
    assert measure.asked == ["int4"]
    verdict = read_verdict(tmp_path / "exact", HASH)
    assert verdict is not None
    assert verdict.losses == {"fp32": 2.0, "int4": 2.0}
    nearly = Weights(weights.embedding, weights.head, weights.norm, layers)
    measure = Losses(fp32=2.0, int4=2.0)
    Packing(nearly, shape, HASH, tmp_path / "nearly").form("auto", measure)
    assert measure.asked == ["fp32", "int4"]


# Asked for by name: nothing is measured.


@pytest.mark.parametrize(("precision", "kind"), [("int4", Kind.INT4), ("int8", Kind.INT8)])
def test_a_precision_that_is_asked_for_is_made_without_measuring(
    precision: Precision, kind: Kind, weights: Weights, packing: Pack, tmp_path: Path
) -> None:
    form = packing(tmp_path).form(precision, never)
    assert form.precision == precision
    assert {matrix.kind for layer in form.layers for matrix in layer} == {kind}
    assert form.head.kind == Kind.INT8
    pack = pack_int4 if kind is Kind.INT4 else pack_int8
    for packed, layer in zip(form.layers, weights.layers, strict=True):
        for matrix, weight in zip(packed, layer.matrices, strict=True):
            assert torch.equal(unpack(matrix), unpack(pack(weight)))
    assert not (tmp_path / VERDICT).exists()


def test_float32_is_the_bases_own_memory_and_leaves_no_file(weights: Weights, packing: Pack, tmp_path: Path) -> None:
    form = packing(tmp_path / "kept").form("fp32", never)
    assert form.head.values.data_ptr() == weights.head.data_ptr()
    for packed, layer in zip(form.layers, weights.layers, strict=True):
        for matrix, weight in zip(packed, layer.matrices, strict=True):
            assert matrix.values.data_ptr() == weight.data_ptr()
    assert not (tmp_path / "kept").exists()


def test_a_smaller_precision_reads_less(packing: Pack, tmp_path: Path) -> None:
    sizes = [packing(tmp_path).form(precision, never).bytes for precision in ("int4", "int8", "fp32")]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2] / 4


# The files are a cache: whatever became of them, the form is the right one. (What is expected lies in another folder: a
# mapped file that is cut short is a bus error for whoever reads on.)


@pytest.mark.parametrize("precision", PACKED)
def test_a_packed_form_is_read_rather_than_made_again(
    precision: Precision, packing: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = packing(tmp_path).form(precision, never)

    def fail(*_: object) -> None:
        raise AssertionError("it was packed again")

    monkeypatch.setattr("lora_chat.decoder.packing.pack_int4", fail)
    monkeypatch.setattr("lora_chat.decoder.packing.pack_int8", fail)
    assert_same(packing(tmp_path).form(precision, never), form)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(b"\xff" * 5000)


def metadata_of(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return dict(file.metadata())


def changed(path: Path, metadata: dict[str, str] | None = None, **tensors: torch.Tensor | None) -> None:
    """The same file with other metadata or tensors; None takes one out."""
    found = {name.replace("__", "."): each for name, each in tensors.items()}
    kept = {name: tensor.clone() for name, tensor in load_file(path).items() if name not in found}
    said = metadata_of(path) | (metadata or {})
    save_file(kept | {name: each for name, each in found.items() if each is not None}, path, said)


def of_other_weights(path: Path) -> None:
    changed(path, {"weights": "sha256:others"})


def of_another_precision(path: Path) -> None:
    changed(path, {"precision": "int2"})


def of_another_schema(path: Path) -> None:
    changed(path, {"schema": "0"})


def without_a_tensor(path: Path) -> None:
    changed(path, head__scales=None)


def with_a_tensor_too_short(path: Path) -> None:
    values = load_file(path)["head.values"]
    changed(path, head__values=values[:-1].clone())


def with_a_tensor_of_another_kind(path: Path) -> None:
    scales = load_file(path)["head.scales"]
    changed(path, head__scales=scales.float())


DAMAGES = [cut, empty, garbage, of_other_weights, of_another_precision, of_another_schema, without_a_tensor,
           with_a_tensor_too_short, with_a_tensor_of_another_kind]  # fmt: skip


@pytest.mark.parametrize("precision", PACKED)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_or_foreign_pack_is_made_again_and_replaced(
    damage: Callable[[Path], None], precision: Precision, packing: Pack, tmp_path: Path
) -> None:
    form = packing(tmp_path / "expected").form(precision, never)
    path = tmp_path / f"packed-{precision}.safetensors"
    packing(tmp_path).form(precision, never)
    damage(path)
    damaged = path.read_bytes()
    assert_same(packing(tmp_path).form(precision, never), form)
    assert path.read_bytes() != damaged
    whole = load_file(tmp_path / "expected" / path.name)
    assert load_file(path).keys() == whole.keys()
    assert all(torch.equal(tensor, whole[name]) for name, tensor in load_file(path).items())
    assert metadata_of(path) == {"schema": "1", "weights": HASH, "precision": precision}


def test_a_pack_whose_header_is_a_number_is_made_again(packing: Pack, tmp_path: Path) -> None:
    form = packing(tmp_path / "expected").form("int4", never)
    path = tmp_path / "packed-int4.safetensors"
    path.write_bytes((2).to_bytes(8, "little") + b"12" + bytes(64))
    assert_same(packing(tmp_path).form("int4", never), form)


def test_a_pack_of_the_other_precision_under_this_ones_name_is_made_again(packing: Pack, tmp_path: Path) -> None:
    form = packing(tmp_path).form("int4", never)
    packing(tmp_path).form("int8", never)
    (tmp_path / "packed-int8.safetensors").replace(tmp_path / "packed-int4.safetensors")
    assert_same(packing(tmp_path).form("int4", never), form)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        b"[]",
        b"3",
        b"null",
        b"{}",
        b'{"weights": "sha256:these"}',
        b'{"weights": "sha256:these", "losses": [], "schema": "1"}',
        b'{"weights": "sha256:these", "losses": {"int4": "low"}, "schema": "1"}',
        b'{"weights": "sha256:these", "losses": {"fp32": 2.0, "int4": 2.0}, "schema": "0"}',
        b'{"weights": "sha256:others", "losses": {"fp32": 2.0, "int4": 2.0}, "schema": "1"}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_or_foreign_verdict_is_measured_anew(content: bytes, packing: Pack, tmp_path: Path) -> None:
    (tmp_path / VERDICT).write_bytes(content)
    measure = Losses(fp32=2.0, int8=2.0, int4=3.0)
    assert packing(tmp_path).form("auto", measure).precision == "int8"
    assert measure.asked == ["fp32", "int4", "int8"]
    assert json.loads((tmp_path / VERDICT).read_text())["losses"] == measure.losses


def test_a_verdict_beyond_all_numbers_is_measured_anew(packing: Pack, tmp_path: Path) -> None:
    losses = {"fp32": 10**400}
    (tmp_path / VERDICT).write_text(json.dumps({"weights": HASH, "losses": losses, "schema": "1"}))
    assert packing(tmp_path).form("auto", Losses(fp32=2.0, int4=2.0)).precision == "int4"


def test_a_verdict_that_lost_its_packs_packs_again_without_measuring(packing: Pack, tmp_path: Path) -> None:
    form = packing(tmp_path).form("auto", Losses(fp32=2.0, int4=2.0))
    (tmp_path / "packed-int4.safetensors").unlink()
    assert_same(packing(tmp_path).form("auto", never), form)
    assert (tmp_path / "packed-int4.safetensors").exists()


@pytest.mark.parametrize("wanted", ["auto", "int4", "int8"])
def test_where_nothing_can_be_kept_the_form_is_the_same(wanted: Precision, packing: Pack, tmp_path: Path) -> None:
    measure = Losses(fp32=2.0, int8=2.0, int4=2.0)
    form = packing(tmp_path / "kept").form(wanted, measure)
    (tmp_path / "file").touch()  # no folder can be made of it
    assert_same(packing(tmp_path / "file").form(wanted, measure), form)
    assert (tmp_path / "file").read_bytes() == b""


@pytest.mark.parametrize("wanted", ["auto", "int4"])
def test_a_full_disk_costs_the_cache_alone(
    wanted: Precision, packing: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lora_chat.decoder.packing.write_tensors", full)
    monkeypatch.setattr("lora_chat.decoder.verdict.write_durably", full)
    assert packing(tmp_path).form(wanted, Losses(fp32=2.0, int8=2.0, int4=2.0)).precision == "int4"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("precision", PACKED)
def test_a_folder_in_the_packs_place_costs_the_cache_alone(precision: Precision, packing: Pack, tmp_path: Path) -> None:
    form = packing(tmp_path).form(precision, never)
    path = tmp_path / f"packed-{precision}.safetensors"
    path.unlink()
    path.mkdir()
    assert_same(packing(tmp_path).form(precision, never), form)
