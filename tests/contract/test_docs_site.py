"""The documentation: every page is in the menu, every link leads somewhere, and what is to be typed is right.

``make docs`` builds the site, strictly; that is tested here where its packages are installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import shlex
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import unish
from golden_scene import make_scene
from unish.body import load_body
from unish.cli import build_parser

REPOSITORY = Path(__file__).resolve().parent.parent.parent
DOCS = REPOSITORY / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md"]
GUIDES = [page for page in PAGES if not {"research", "decisions"} & set(page.relative_to(REPOSITORY).parts)]

"""Pages that the menu has a place for and that need not be there yet."""

PICTURES_MAX_BYTES, PICTURE_MAX_BYTES = 1_000_000, 100_000

NOT_RUN = {
    "README.md: import unish": "reconstructs a video; test_reconstructor.py does that in miniature",
    "docs/index.md: import unish": "the same",
    "docs/api.md: import unish": "the same",
    "docs/conventions.md": "test_conventions_page.py runs it",
    "docs/export.md": "test_export_page.py runs it",
    "docs/refine.md: import unish": "needs what a run keeps beside its result; test_refine_command.py has that",
    "docs/how-to/licensed-smpl.md: from unish.body import load_body": "needs a licensed file",
    "docs/live.md: from unish.into_folder import reconstruct_into": "needs a process that films; test_live.py has one",
    "docs/training.md: fit(model, compute_loss": "names are the reader's own; test_training_trainer.py runs fit",
    "docs/weights.md: from unish.network import UniSH": "needs weights of other networks",
    "docs/evaluation.md: from unish.lab.evaluation.metrics": "needs joints of the reader's own; see test_metrics.py",
    "docs/data.md: from unish.lab.synthetic import": "renders a clip; test_synthetic_clip.py renders smaller ones",
    "docs/data.md: from unish.lab.synthetic.shards import": "renders a hundred shards",
    "docs/data.md: from unish.lab.datasets.resize import": "test_datasets_kinds.py runs it",
    "docs/data.md: write_shards": "renders a hundred thousand shards",
}
"""Python of guides that is not run here, by page and beginning of the block, and why."""


def relative(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


# The menu -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def menu() -> list[str]:
    """Paths of the menu in order, folders expanded."""
    yaml = pytest.importorskip("yaml", reason="PyYAML reads mkdocs.yml")
    spec = importlib.util.spec_from_file_location("site_nav", REPOSITORY / "tools" / "site_nav.py")
    assert spec is not None and spec.loader is not None
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    entries = yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text())["nav"]
    return list(flatten(hook.expand(entries, DOCS)))


def flatten(entries: Any) -> Iterator[str]:
    if isinstance(entries, str):
        yield entries
    else:
        for entry in entries.values() if isinstance(entries, dict) else entries:
            yield from flatten(entry)


def test_every_page_is_in_the_menu_once(menu: list[str]) -> None:
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert sorted(pages - set(menu)) == [], "add these pages to `nav` in mkdocs.yml"
    assert set(menu) - pages == set(), "the menu names pages that do not exist"
    assert len(menu) == len(set(menu))


def test_each_guide_says_first_what_it_is_for(menu: list[str]) -> None:
    guides = set(menu[: menu.index("data.md") + 1])
    first = {page: re.split(r"\n\n", (DOCS / page).read_text())[1] for page in guides if (DOCS / page).exists()}
    assert [page for page, text in first.items() if not re.match(r"(After|With) this page,? you ", text)] == []


def test_the_public_names_are_in_the_reference() -> None:
    text = (DOCS / "api.md").read_text()
    public = [name for name in unish.__all__ if not name.startswith("__")]
    assert [name for name in public if f"::: unish.{name}\n" not in text] == []


# Links ----------------------------------------------------------------------------------------------------------------


def outside_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def anchors(page: Path) -> set[str]:
    """Of the headings of a page, as MkDocs and GitHub make them."""
    titles = re.findall(r"^#+ +(.+?) *#*$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.M), re.M)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "").lower() for title in titles)
    return {re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", title).strip()) for title in plain}


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_lead_somewhere(page: Path) -> None:
    """Relative ones, with their anchors: GitHub keeps two dashes where a sign was left out, so none is used here."""
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", outside_code(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        if not found.exists() or (anchor and found.suffix == ".md" and anchor not in anchors(found)):
            wrong.append(target)
        elif page.is_relative_to(DOCS) and not found.is_relative_to(DOCS):
            wrong.append(f"{target} (outside of docs/, so not on the site)")
    assert wrong == []


# What is to be typed --------------------------------------------------------------------------------------------------


def blocks(page: Path, *languages: str) -> list[tuple[int, str]]:
    """(line, text) of the code blocks in one of these languages."""
    text = page.read_text()
    found = re.finditer(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [(text[: block.start()].count("\n") + 1, block[2]) for block in found if block[1] in languages]


def commands(page: Path) -> Iterator[tuple[int, list[str]]]:
    """Lines that call unish, without comments, and what they are piped into."""
    for line, block in blocks(page, "sh", "bash"):
        for offset, text in enumerate(block.replace("\\\n", " ").splitlines(), start=1):
            for part in re.split(r"\||&&", text.split(" # ")[0].split("  #")[0]):
                words = shlex.split(part.split(" > ")[0])
                while words and re.fullmatch(r"\w+=.*", words[0]):
                    words.pop(0)
                if words[:1] == ["unish"] and not {"COMMAND", "…"} & set(words):
                    yield line + offset, words[1:]


@pytest.fixture(scope="module")
def parser() -> argparse.ArgumentParser:
    """The command line, which takes files for granted that a page only speaks of."""
    parser = build_parser()

    def accept_files(one: argparse.ArgumentParser) -> None:
        for action in one._actions:
            if isinstance(action, argparse._SubParsersAction):
                for inner in action.choices.values():
                    accept_files(inner)
            elif getattr(action.type, "__name__", "") in ("existing_file", "existing_path"):
                action.type = Path

    accept_files(parser)
    return parser


@pytest.mark.parametrize("page", GUIDES, ids=relative)
def test_commands_are_commands(page: Path, parser: argparse.ArgumentParser) -> None:
    """Each line that calls unish parses: its options exist and their values are of the right kind."""
    for line, words in commands(page):
        try:
            parser.parse_args(words)
        except Exception as error:
            pytest.fail(f"{relative(page)}:{line}: unish {' '.join(words)}: {error}")


def why_not_run(page: Path, block: str) -> str | None:
    for key, why in NOT_RUN.items():
        name, _, beginning = key.partition(": ")
        if name == relative(page) and block.startswith(beginning):
            return why
    return None


@pytest.mark.parametrize("page", [page for page in GUIDES if blocks(page, "python", "py")], ids=relative)
def test_python_runs_or_says_why_not(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a page share one namespace, beside results of the golden scene."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    for line, block in blocks(page, "python", "py"):
        code = compile("\n" * line + block, relative(page), "exec")
        if why_not_run(page, block):
            continue
        for name in ("street", "lecture", "walk"):
            folder = tmp_path / "out" / name
            if f"out/{name}" in block and not folder.exists():
                folder.mkdir(parents=True)
                make_scene(load_body("free")).save(folder / "reconstruction.npz")
        if "unish.viewer" in block:
            pytest.importorskip("viser4d", reason="needs the extra `view`")
        exec(code, namespace)


def test_reasons_belong_to_blocks() -> None:
    """A reason goes with its block."""
    texts = {relative(page): [block for _, block in blocks(page, "python", "py")] for page in GUIDES}
    stale = []
    for key in NOT_RUN:
        page, _, beginning = key.partition(": ")
        if not any(block.startswith(beginning) for block in texts.get(page, [])):
            stale.append(key)
    assert stale == []


# Pictures and the site ------------------------------------------------------------------------------------------------


def test_pictures_of_the_gallery_are_small_and_credited() -> None:
    pictures = sorted((DOCS / "pictures" / "gallery").glob("*"))
    assert pictures and max(path.stat().st_size for path in pictures) <= PICTURE_MAX_BYTES
    assert sum(path.stat().st_size for path in pictures) <= PICTURES_MAX_BYTES
    page = (DOCS / "gallery.md").read_text()
    assert all(f"pictures/gallery/{path.name})" in page for path in pictures)
    assert page.count("Clip: ") == len(pictures)


def test_the_gallery_is_what_its_script_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("gallery", REPOSITORY / "tools" / "gallery.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gallery", module)
    spec.loader.exec_module(module)
    assert isinstance(module, types.ModuleType) and module.describe() == (DOCS / "gallery.md").read_text()


@pytest.mark.slow
def test_the_site_builds_and_asks_nobody_for_anything(tmp_path: Path) -> None:
    for package in ("mkdocs", "material", "mkdocstrings_handlers.python"):
        try:
            found = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            found = None
        if found is None:
            pytest.skip("needs the extra `docs`")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    loads = re.compile(
        r"<(?:script|img|iframe)[^>]+src=\"(?:https?:)?//|<link[^>]+href=\"(?:https?:)?//[^>]+stylesheet"
    )
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 40
    assert [page.name for page in pages if loads.search(page.read_text())] == []
