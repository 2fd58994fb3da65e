"""docs/glossary.md: its identifiers exist, names that were given up stay away, and to draw is to paint."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

GIVEN_UP = (
    # photo prior -> monocular depth prior; row prior -> row-wise depth prior (keys in files of weights stay)
    "photo prior", "row prior", "photo_log_depth", "see_photo_prior", "fetch_photo_prior", "with_photo_prior",
    # helped prior -> corrected prior
    "photo_help", "see_helped_prior", "helped prior", "HELPED_SHARE", "LEVEL_HELP", "SHAPE_HELP",
    # ruler start -> closed-form placement
    "ruler_start", "RulerStart", "RulerSolution",
    # methods of networks
    "read_dense", "_look_up", "_centre_fine",
    # rendering
    "StillDrawable", "MovingDrawable", "_draw_mesh", "_draw_people_shadows",
    # body, command line, assets
    "template_marks", "NativeChatter", "say_error", "AskedToEnd", "ending_in_order", "_USERS_MACHINE",
    "_fetch_from_afar",
    # statistics of shapes
    "settle_shapes",
    # pictures are degraded; a variable says whose
    "_SPOILED", "mine =",
)  # fmt: skip
"""Private words of before; each has a term of the field in its place."""


@pytest.fixture(scope="module")
def sources(repository: Path) -> dict[Path, str]:
    return {path: path.read_text() for path in sorted((repository / "src").rglob("*.py"))}


@pytest.fixture(scope="module")
def identifiers(repository: Path) -> list[str]:
    """What stands in code in the first column of a table."""
    rows = [
        line.split("|")[1] for line in (repository / "docs/glossary.md").read_text().splitlines() if line[:2] == "| "
    ]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


def test_identifiers_of_the_glossary_exist(identifiers: list[str], sources: dict[Path, str], repository: Path) -> None:
    assert len(identifiers) > 20
    for name in identifiers:
        module = repository / "src/unish" / f"{name.replace('.', '/')}.py"
        pattern = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
        assert module.is_file() or any(pattern.search(text) for text in sources.values()), f"{name} is not in src"


@pytest.mark.parametrize("word", GIVEN_UP)
def test_private_words_stay_away(word: str, sources: dict[Path, str]) -> None:
    pattern = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")
    found = [path.name for path, text in sources.items() if pattern.search(text)]
    assert not found, f"{word!r} is back in {found}"


def test_drawing_takes_no_random_numbers(sources: dict[Path, str]) -> None:
    """``sample_`` is the verb for that; ``draw_`` paints."""
    for path, text in sources.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and re.match(r"_?draw(_|$)", node.name):
                taken = {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
                assert not taken & {"rng", "generator"}, f"{path.name}: {node.name} samples; call it sample_"
