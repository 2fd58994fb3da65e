"""``unish evaluate``: field-standard metrics of a method on a benchmark, and tables and reports of the results."""

from __future__ import annotations

import argparse
from pathlib import Path

from unish.cli.arguments import add_quiet, at_least, output_folder
from unish.cli.progress import make_progress
from unish.errors import InputError

NAME = "evaluate"
SUMMARY = "measure a method on a benchmark; make tables and reports"
EXAMPLE = """unish evaluate --benchmark synthetic --data out/synth --method small --out out/scores.json
  unish evaluate table out/scores.json --to markdown
  unish evaluate report out/scores.json --out out/report.html"""

_NEEDED = ("benchmark", "data", "method", "out")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--benchmark", metavar="NAME", help="an unknown name lists them")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the benchmark's data")
    parser.add_argument(
        "--method",
        metavar="METHOD",
        help="small, release, a model folder (also after fast:), files:DIR with finished reconstructions, "
        "adapter:KIND:DIR with outputs of another program, or baseline:NAME",
    )
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="where the numbers go")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these sequences instead of all")
    parser.add_argument(
        "--max-frames", type=at_least(1), metavar="N", help="the first N used frames of each sequence (default: all)"
    )
    parser.add_argument("--workers", type=at_least(1), default=1, metavar="N", help="processes, one thread each")
    parser.add_argument("--body", default="free", metavar="free|PATH", help="licensed SMPL file to pose bodies with")
    add_quiet(parser)
    actions = parser.add_subparsers(title="with finished results", metavar="table|report", dest="action")
    _add_table(actions)
    _add_report(actions)


def _add_table(actions: argparse._SubParsersAction) -> None:
    table = actions.add_parser(
        "table",
        help="methods by benchmark, with published rows",
        description="Methods by benchmark as a table, with published rows beside the measured ones.",
        example="unish evaluate table out/small.json out/mine.json --to latex --out table.tex",
    )
    table.add_argument("files", type=Path, nargs="+", metavar="FILE.json", help="what `unish evaluate` wrote")
    table.add_argument("--to", choices=["markdown", "html", "latex"], default="markdown", help="(default: markdown)")
    table.add_argument("--columns", nargs="+", metavar="NAME", help="these instead of all")
    table.add_argument("--no-published", action="store_true", help="without rows from papers")
    table.add_argument("--out", type=Path, metavar="FILE", help="in place of standard output")
    table.set_defaults(run=_run_table)


def _add_report(actions: argparse._SubParsersAction) -> None:
    report = actions.add_parser(
        "report",
        help="one page with tables and charts",
        description="One HTML page: tables, bars by sequence, paths from above, errors over time, depth maps.",
        example="unish evaluate report out/small.json out/mine.json --out out/report.html",
    )
    report.add_argument("files", type=Path, nargs="+", metavar="FILE.json", help="what `unish evaluate` wrote")
    report.add_argument("--out", type=Path, required=True, metavar="FILE.html", help="the page")
    report.add_argument(
        "--columns", nargs="+", metavar="NAME", help="of the bars (default: the first eight that matter)"
    )
    report.add_argument(
        "--sequences", type=at_least(0), default=8, metavar="N", help="drawn frame by frame (default: 8)"
    )
    report.add_argument("--no-published", action="store_true", help="without rows from papers")
    report.set_defaults(run=_run_report)


def run(args: argparse.Namespace) -> None:
    missing = [f"--{name}" for name in _NEEDED if getattr(args, name) is None]
    if missing:
        raise InputError(f"the following arguments are required: {', '.join(missing)}; see `unish evaluate --help`")
    with output_folder(args.out.parent):
        from unish.lab.evaluation import evaluate

        progress = make_progress(quiet=args.quiet)
        try:
            results = evaluate(
                args.benchmark,
                data=args.data,
                method=args.method,
                out=args.out,
                progress=progress,
                only=args.only,
                max_frames=args.max_frames,
                workers=args.workers,
                body=args.body,
                quiet=args.quiet,
            )
        finally:
            progress.close()
    errors = [row["error"] for row in results.sequences.values() if "error" in row]
    if len(errors) == len(results.sequences):
        raise InputError(f"no sequence gave a result; the first says: {errors[0]}")


def _run_table(args: argparse.Namespace) -> None:
    from unish.lab.evaluation.results import Results
    from unish.lab.evaluation.tables import format_tables, make_tables

    results = [Results.load(path) for path in args.files]
    tables = make_tables(results, columns=args.columns, published=not args.no_published)
    _write(format_tables(tables, args.to), args.out)


def _run_report(args: argparse.Namespace) -> None:
    from unish.lab.evaluation.report import write_page

    with output_folder(args.out.parent):
        write_page(
            args.files,
            args.out,
            columns=args.columns,
            shown_sequences=args.sequences,
            published=not args.no_published,
        )


def _write(text: str, out: Path | None) -> None:
    """To a file, whole or not at all, or to standard output."""
    if out is None:
        print(text, end="")
        return
    from unish.io import written_beside

    with output_folder(out.parent), written_beside(out) as path:
        path.write_text(text, encoding="utf-8")
