"""Copy the pages and tables of a scale to a folder that can be put on a web server, committed or sent.

    python scripts/share.py results/mnist /var/www/mnist
    python scripts/share.py results/strong results/shown/strong --largest 1 --leave-out '*.pdf'

Copied are index.html, reports/ (pages, notebooks, figures), tables/, and of each run what pages link: metrics.json, history.csv,
manifest.json and train.log. Checkpoints, caches and logs of other jobs are not. Files above --largest MB, but for pages and
records, and those that a pattern of --leave-out names stay behind: pages show their names without a link, and datapackage.json
does not list them. In the folder, what an earlier call left in these places is replaced, but for records; all else stays.
"""

import argparse
import json
import os
import re
import shutil
import tempfile
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import unquote

from frugal.errors import FrugalError, exit_with_one_line
from frugal.report.links import RECORD

PAGE, FOLDERS, RUNS = "index.html", ("reports", "tables"), "runs"
OF_JOBS = ("*/logs/*", "*.log", "*benchmark.tsv")  # that stand among them
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
    copied, left = share(given.results, given.out, given.largest * 1e6, given.leave_out)
    size = sum((given.out / name).stat().st_size for name in copied) / 1e6
    print(
        f"{given.out / PAGE}: {len(copied)} files, {size:.1f} MB" + (f"; left out: {', '.join(left)}" if left else "")
    )


def share(results: Path, out: Path, largest: float, leave_out: list[str]) -> tuple[list[str], list[str]]:
    """Names of the files that were copied and of those left out, relative to both folders.

    largest: bytes of a file; leave_out: patterns of names. Raises FrugalError where there are no pages, and where copying would
    cost what isn't a copy.
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
    behind = (path for path in (results / RUNS).rglob("seed-*/*") if path.name in RECORD.values())
    records = sorted(path.relative_to(results).as_posix() for path in behind)
    out.mkdir(parents=True, exist_ok=True)
    copy(results, out, records)
    with tempfile.TemporaryDirectory(dir=out, prefix=".share-") as made:
        copy(results, Path(made), kept)
        for name in kept:
            adapt(Path(made), name)
        for name in (*FOLDERS, PAGE):
            replace(Path(made, name), out / name)
    return kept + records, left


def check_place(results: Path, out: Path) -> None:
    """Raises FrugalError where copying to `out` would cost what isn't a copy."""
    if out.resolve().is_relative_to(results.resolve()) or results.resolve().is_relative_to(out.resolve()):
        raise FrugalError(f"{out} and {results} lie in one another; name a folder apart")
    if (out / "reports" / "logs").exists():  # these are never copied
        raise FrugalError(
            f"{out} holds results that the workflow makes, and they would be replaced; name a folder apart"
        )
    others = [f"{name}/" for name in FOLDERS if (out / name).exists() and not (out / PAGE).exists()]
    if others:
        raise FrugalError(
            f"{out} has {' and '.join(others)} without an {PAGE}, and would lose them; name another folder"
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


def replace(made: Path, place: Path) -> None:
    """Put a file or folder in its place. Of a folder what was there goes first, also where nothing comes."""
    if place.is_dir():
        shutil.rmtree(place)
    if made.exists():
        os.replace(made, place)


if __name__ == "__main__":
    exit_with_one_line(main)
