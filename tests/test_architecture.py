"""The rules of the house: imports point down, heavy libraries stay behind their doors, importing does nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "lora_chat"

LAYERS = [
    "cli",
    "tui",
    "serve",
    "sitting",
    "services",
    "session",
    "plugins",
    "engine",
    "training",
    "decoder",
    "models",
    "chat",
    "adapters",
]
"""From the top; a module may import from its own layer and from below."""

GROUND = ["config", "defects", "files", "hub", "language", "memory", "paths", "text", "errors"]
"""Below all of them; any of the layers may import these."""

HEAVY = {"numba", "torch", "transformers", "peft", "datasets", "accelerate"}

TORCH_MODULES = {
    "models/convert.py",
    "models/convertible.py",
    "models/base_model.py",
    "models/attach.py",
    "models/tensors.py",
    "models/watch.py",
    "decoder/attention.py",
    "decoder/compiled.py",
    "decoder/fast.py",
    "decoder/intrinsics.py",
    "decoder/kernels.py",
    "decoder/keys_values.py",
    "decoder/lora.py",
    "decoder/matrices.py",
    "decoder/packing.py",
    "decoder/parts.py",
    "decoder/protocol.py",
    "decoder/quality.py",
    "decoder/quantise.py",
    "decoder/rotary.py",
    "decoder/step.py",
    "decoder/unpacking.py",
    "decoder/vectors.py",
    "decoder/weights.py",
    "training/adamw.py",
    "training/checkpoint.py",
    "training/dataset.py",
    "training/fast/attention.py",
    "training/fast/base.py",
    "training/fast/block.py",
    "training/fast/beginning.py",
    "training/fast/pair.py",
    "training/fast/reading.py",
    "training/fast/stored.py",
    "training/fast/tape.py",
    "training/fast/trainee.py",
    "training/headless.py",
    "training/layout.py",
    "training/losses.py",
    "training/lower.py",
    "training/lower_file.py",
    "training/measure.py",
    "training/opening.py",
    "training/peft/forward.py",
    "training/peft/lower_layers.py",
    "training/peft/trainable.py",
    "training/peft/trainee.py",
    "training/prefix_tree.py",
    "training/ranks.py",
    "training/rehearsal.py",
    "training/remembered.py",
    "training/room.py",
    "training/samples.py",
    "training/save.py",
    "training/step.py",
    "training/trainee.py",
    "training/trainer.py",
    "engine/decode.py",
    "engine/floor.py",
    "engine/general.py",
    "engine/loaded.py",
    "engine/local.py",
}
"""Modules that may import the heavy libraries, and be imported only by each other or inside the doors' functions."""

DOORS = {"engine/factory.py", "models/sources/__init__.py", "training/__main__.py", "cli/doctor.py"}
"""Torch-free modules that reach a torch module (doctor: torch itself), each inside a function."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def imports(path: Path, *, top_level_only: bool = False) -> Iterator[str]:
    """Full dotted names of what ``path`` imports when run; what stands under TYPE_CHECKING is not."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    if top_level_only:
        skipped |= {
            id(node)
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
            for node in ast.walk(function)
        }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(dotted: str) -> str | None:
    parts = dotted.split(".")
    return parts[1] if parts[0] == "lora_chat" and len(parts) > 1 else None


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_imports_point_down(path: Path) -> None:
    own = relative(path).split("/")[0].removesuffix(".py")
    if own == "__init__" or path.name == "__main__.py":  # a program: nobody imports it
        return
    for dotted in imports(path):
        other = layer(dotted)
        if other in (None, own, "__version__"):
            continue
        assert other in LAYERS + GROUND, f"{relative(path)} imports {dotted}, which has no place in the layers"
        if own in GROUND:
            assert other in GROUND, f"{relative(path)} lies at the bottom and imports {dotted}"
        elif other in LAYERS:
            assert LAYERS.index(other) >= LAYERS.index(own), f"{relative(path)} imports {dotted} from above"


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_heavy_libraries_stay_in_their_modules(path: Path) -> None:
    name = relative(path)
    if name in TORCH_MODULES:
        return
    torch_dotted = {"lora_chat." + each.removesuffix(".py").replace("/", ".") for each in TORCH_MODULES}
    for dotted in imports(path):
        if dotted.split(".")[0] in HEAVY or dotted in torch_dotted:
            assert name in DOORS, f"{name} reaches {dotted} and is not a door"
    for dotted in imports(path, top_level_only=True):
        late = dotted.split(".")[0] not in HEAVY and dotted not in torch_dotted
        assert late, f"{name} imports {dotted} when it is imported"


def test_the_lists_of_this_file_name_real_modules() -> None:
    names = {relative(path) for path in modules()}
    assert names >= TORCH_MODULES
    assert names >= DOORS


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_textual_is_imported_by_the_tui_alone(path: Path) -> None:
    if not relative(path).startswith("tui/"):
        assert not any(dotted.split(".")[0] == "textual" for dotted in imports(path))


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_what_the_serve_extra_brings_is_imported_by_the_server_alone(path: Path) -> None:
    brought = {"fastapi", "starlette", "uvicorn"}
    if not relative(path).startswith("serve/"):
        assert not brought & {dotted.split(".")[0] for dotted in imports(path)}
        late = [dotted for dotted in imports(path, top_level_only=True) if dotted.startswith("lora_chat.serve")]
        assert not late, f"{relative(path)} cannot be imported without the extra"


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_a_module_stays_readable(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, "which noun inside wants a file of its own?"


def test_importing_the_program_loads_nothing_heavy_and_makes_nothing(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "import lora_chat.cli, lora_chat.services, lora_chat.session\n"
        "import lora_chat.cli.line, lora_chat.cli.train, lora_chat.cli.ask, lora_chat.cli.model\n"
        "import lora_chat.sitting.commands, lora_chat.tui.app, lora_chat.tui.screens.training_report\n"
        f"heavy = sorted(set(sys.modules) & {HEAVY!r})\n"
        "assert not heavy, heavy\n"
    )
    environment = {"HOME": str(tmp_path), "PATH": "", "XDG_DATA_HOME": str(tmp_path), "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
