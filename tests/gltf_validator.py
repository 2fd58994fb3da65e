"""Khronos' glTF validator, from npm: ``UNISH_NODE_MODULES`` names the ``node_modules`` that has ``gltf-validator``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

NODE_MODULES = "UNISH_NODE_MODULES"
_SCRIPT = """
const validator = require("gltf-validator"), data = require("fs").readFileSync(process.argv[1]);
validator.validateBytes(new Uint8Array(data), {maxIssues: 0})
  .then((report) => console.log(JSON.stringify(report.issues)));
"""


def validate_glb(path: Path) -> dict:
    """Its ``issues``: ``numErrors``, ``numWarnings`` and ``messages``; skips where node or the validator is missing."""
    node, modules = shutil.which("node"), os.environ.get(NODE_MODULES)
    if node is None or not modules or not (Path(modules) / "gltf-validator").is_dir():
        pytest.skip(f"node is missing, or {NODE_MODULES} names no folder with gltf-validator")
    environment = {**os.environ, "NODE_PATH": modules}
    command = [node, "-e", _SCRIPT, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return json.loads(done.stdout)
