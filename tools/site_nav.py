"""Hook of the documentation site: an entry of the menu that ends in ``/*`` becomes all pages of that folder.

MkDocs calls ``on_config``; see ``mkdocs.yml``. Records of research and decisions are added often, and by many.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:
    """Expand the menu of a MkDocs configuration in place."""
    config["nav"] = expand(config["nav"], Path(config["docs_dir"]))
    return config


def expand(entries: list[Any], docs: Path) -> list[Any]:
    """Entries of a menu, pages of folders in order of their names.

    Args:
        entries: as in ``mkdocs.yml``: a path, or a title with a path or with entries.
        docs: the folder that paths count from.
    """
    expanded: list[Any] = []
    for entry in entries:
        if isinstance(entry, dict):
            inside = {
                title: expand(inner, docs) if isinstance(inner, list) else inner for title, inner in entry.items()
            }
            expanded.append(inside)
        elif entry.endswith("/*"):
            expanded += sorted(page.relative_to(docs).as_posix() for page in docs.glob(f"{entry}.md"))
        else:
            expanded.append(entry)
    return expanded
