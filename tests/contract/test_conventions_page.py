"""The page that states the conventions is code: every Python block on it runs, in order, in one namespace."""

from __future__ import annotations

import re
from pathlib import Path


def test_the_page_runs(repository: Path) -> None:
    text = (repository / "docs" / "conventions.md").read_text()
    namespace: dict[str, object] = {}
    blocks = list(re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    assert len(blocks) >= 8
    for block in blocks:
        line = text[: block.start()].count("\n") + 1
        # Blank lines in front make tracebacks point at the line of the page.
        exec(compile("\n" * line + block[1], "docs/conventions.md", "exec"), namespace)
