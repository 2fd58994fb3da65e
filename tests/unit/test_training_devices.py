"""Losses, scores and networks leave nothing on the CPU, shown on a pretended device, for networks without float64."""

import subprocess
import sys
from pathlib import Path

import pytest
from torch.utils import backend_registration


@pytest.mark.long
@pytest.mark.skipif(
    not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"), reason="PyTorch is too old to pretend"
)
@pytest.mark.parametrize("name", ["scene", "lifter", "align", "matching", "small network", "release network"])
def test_a_loss_and_its_scores_stay_on_their_device(name: str) -> None:
    script = Path(__file__).with_name("pretend_gpu.py")
    done = subprocess.run([sys.executable, script, name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert set(done.stdout.split()) == {"pretended:0"}
