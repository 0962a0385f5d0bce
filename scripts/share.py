"""Copy the pages and tables of a scale to a folder that can be put on a web server, committed or sent.

    python scripts/share.py results/mnist /var/www/mnist
    python scripts/share.py results/strong results/shown/strong --largest 1 --leave-out '*.pdf'

Copied are index.html, reports/ (pages, notebooks, figures), tables/, and of each run in the tables what pages link: metrics.json,
history.csv, manifest.json and train.log. Checkpoints, caches, logs of other jobs and records that no table has are not. Files
above --largest MB, but for pages and records, and those that a pattern of --leave-out names stay behind: pages show their names
without a link, and datapackage.json does not list them.

The folder is a new one, an empty one, or an earlier copy, as its .shared.json tells. There index.html, reports/ and tables/ are
replaced as a whole, and a record by one of the same run; all else stays. Nothing changes before all is copied.
"""

import argparse
import csv
import json
import os
import re
import shutil
import tempfile
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import unquote

from frugal.errors import FrugalError, exit_with_one_line
from frugal.record import METRICS
from frugal.report.links import RECORD

PAGE, FOLDERS, RUNS = "index.html", ("reports", "tables"), "runs"
MARK = ".shared.json"  # tells a copy from a folder where something else would be lost
NAMED = 3  # runs, at most, in an error
OF_JOBS = ("*/logs/*", "*.log", "*benchmark.tsv", "*/.*")  # that stand among them; Snakemake leaves hidden files
LINK = re.compile(r'<a\b[^>]*\bhref="(?P<target>[^"#?]+)[^"]*"[^>]*>(?P<text>.*?)</a>', re.DOTALL)
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//")  # https:, mailto:, data:


def main() -> None:
    """Copy, and say how much."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("results", type=Path, help="results folder of a scale, e.g. results/mnist")
    arguments.add_argument("out", type=Path, help="folder to copy to; made if it isn't there")
    arguments.add_argument(
        "--largest", type=float, default=5, metavar="MB", help="of a file that is copied (default: 5)"
    )
    arguments.add_argument(
        "--leave-out", nargs="+", default=[], metavar="PATTERN", help="of files: '*.pdf' 'tables/*/trace.csv'"
    )
    given = arguments.parse_args()
    try:
        copied, left = share(given.results, given.out, given.largest * 1e6, given.leave_out)
    except OSError as error:
        why = ": ".join(filter(None, (error.strerror or str(error), error.filename)))
        raise FrugalError(
            f"cannot copy {given.results} to {given.out}: {why}; mend that and call again, or name another folder"
        ) from error
    size = sum((given.out / name).stat().st_size for name in copied) / 1e6
    print(
        f"{given.out / PAGE}: {len(copied)} files, {size:.1f} MB" + (f"; left out: {', '.join(left)}" if left else "")
    )


def share(results: Path, out: Path, largest: float, leave_out: list[str]) -> tuple[list[str], list[str]]:
    """Names of the files that were copied, relative to both folders, and of what was left out.

    largest: bytes of a file; leave_out: patterns of names. Raises FrugalError where there are no pages, where copying would cost
    what isn't a copy, and where the records aren't those that the tables were made from; OSError where a file can't be copied.
    """
    if not (results / PAGE).is_file():
        raise FrugalError(
            f"{results} has no {PAGE}; name the folder of a scale whose pages are made, e.g. results/demo"
        )
    check_place(results, out)
    found = sorted(path for name in FOLDERS for path in (results / name).rglob("*") if path.is_file())
    names = {path.relative_to(results).as_posix(): path.stat().st_size for path in [*found, results / PAGE]}
    names = {name: size for name, size in names.items() if not any(fnmatch(name, one) for one in OF_JOBS)}
    left = [name for name, size in names.items() if unwanted(name, size, largest, leave_out)]
    kept = [name for name in names if name not in left]
    runs = tabulated(results)
    behind = (path for path in (results / RUNS).rglob("seed-*/*") if path.name in RECORD.values())
    of_runs = sorted(path.relative_to(results) for path in behind)
    records = [path.as_posix() for path in of_runs if path.parent in runs]
    if untold := {path.parent for path in of_runs} - set(runs):
        left.append(f"records that no table has ({len(untold)})")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".share-") as folder:
        made = Path(folder)
        copy(results, made, kept + records)
        check_records(results, made, runs)
        for name in kept:
            adapt(made, name)
        (made / MARK).write_text(json.dumps({"from": results.resolve().name}) + "\n")
        for name in (MARK, *records, *FOLDERS, PAGE):  # the mark first: what it stands beside may be replaced again
            replace(made, out, name)
    return kept + records, left


def check_place(results: Path, out: Path) -> None:
    """Raises FrugalError where copying to `out` would cost what isn't a copy."""
    if out.resolve().is_relative_to(results.resolve()) or results.resolve().is_relative_to(out.resolve()):
        raise FrugalError(f"{out} and {results} lie in one another; name a folder apart")
    filled = out.is_dir() and any(not path.name.startswith(".") for path in out.iterdir())
    if (filled and not (out / MARK).is_file()) or (out / "reports" / "logs").exists():  # logs are never copied
        raise FrugalError(
            f"{out} holds what share.py did not copy there, and it might be replaced; name a new or an empty folder"
        )


def tabulated(results: Path) -> dict[Path, str]:
    """The fingerprint of each run in the tables, by the folder of its record, relative to `results`. Raises FrugalError."""
    found = {}
    for table in sorted(results.glob("tables/*/runs.csv")):
        with table.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                try:
                    parts = [row[name] for name in ("study", "dataset", "model", "strategy")]
                    found[Path(RUNS, *parts, f"seed-{row['seed']}")] = row["fingerprint"]
                except (KeyError, TypeError) as error:
                    raise FrugalError(f"{table} is no whole table of runs ({error}); run the workflow again") from error
    return found


def check_records(results: Path, made: Path, runs: dict[Path, str]) -> None:
    """Raises FrugalError where a record in `made`, copied from `results`, isn't the one that the tables were made from.

    runs: as `tabulated` gives it
    """
    wrong = []
    for run, fingerprint in runs.items():
        record = made / run / METRICS
        if not record.is_file():
            wrong.append(f"{run} is missing")
        elif f'"{fingerprint}"' not in record.read_text(encoding="utf-8", errors="replace"):
            wrong.append(f"{run} is another")
    if wrong:
        more = f" and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
        raise FrugalError(
            f"the tables of {results} were made from other records: {', '.join(wrong[:NAMED])}{more}; "
            "run the workflow again, which makes tables and pages anew"
        )


def copy(source: Path, to: Path, names: list[str]) -> None:
    """Copy files, named relative to both folders."""
    for name in names:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, to / name)


def unwanted(name: str, size: int, largest: float, leave_out: list[str]) -> bool:
    """Whether a file stays behind; a page never does."""
    return not name.endswith(".html") and (size > largest or any(fnmatch(name, one) for one in leave_out))


def adapt(folder: Path, name: str) -> None:
    """Take from a page the links, and from a datapackage.json the tables, of files that `folder` doesn't have."""
    file = folder / name
    if name.endswith(".html"):
        file.write_text(LINK.sub(lambda link: linked(link, file.parent), file.read_text()))
    elif file.name == "datapackage.json":
        package = json.loads(file.read_text())
        package["resources"] = [one for one in package["resources"] if (file.parent / one["path"]).exists()]
        file.write_text(json.dumps(package, indent=2) + "\n")


def linked(link: re.Match[str], beside: Path) -> str:
    """The link as it was, or its text alone where the file isn't there. beside: folder of its page."""
    target = unquote(link["target"])
    if ELSEWHERE.match(target) or (beside / target).exists():
        return link[0]
    return f'<span title="not kept here">{link["text"]}</span>'


def replace(made: Path, out: Path, name: str) -> None:
    """Put a file or folder of `made` in its place. A folder that is there goes, also where nothing comes; `made` keeps it."""
    place = out / name
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir():
        os.replace(place, made / f"{name} of before")
    if (made / name).exists():
        os.replace(made / name, place)


if __name__ == "__main__":
    exit_with_one_line(main)
