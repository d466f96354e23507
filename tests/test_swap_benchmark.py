"""The benchmark of a change of bases runs, and says of two tiny ones what it says of large ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lora_chat.models.installed import InstalledBase
from lora_chat.paths import Paths
from tests.conftest import place

ROOT = Path(__file__).parent.parent


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="its figures are Linux's")
def test_one_base_is_gone_before_the_other_comes(
    home: Paths, tiny_llama: InstalledBase, tiny_opt: InstalledBase, tmp_path: Path
) -> None:
    names = [place(each, home).name for each in (tiny_llama, tiny_opt)]
    out = tmp_path / "swap.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "swap.py"), "--quick", "--work", str(tmp_path / "work")]
    command += ["--first", names[0], "--second", names[1], "--out", str(out)]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}, check=False)
    assert done.returncode == 0, done.stderr[-600:]
    result = json.loads(out.read_text(encoding="utf-8"))
    assert result["bases"] == names
    swap = result["swap"]
    assert (swap["gone"], swap["engines_at_once"]) == (True, 1)
    assert swap["bare_mb"] < min(swap[key] for key in ("first_mb", "second_mb", "back_mb"))
    assert swap["peak_mb"] + 0.1 >= max(swap["second_mb"], swap["back_mb"])
    assert result["ratio"] == round(swap["peak_mb"] / max(result["alone_peak_mb"].values()), 3)
    assert "engines at once: 1; each left none behind: True" in done.stdout
    assert not home.database.exists()  # the person's own home is left as it was
