"""Preparation of one data set: read it, check it, split off validation, encode or transform, and write the cache.

python scripts/prepare.py --out results/demo/data/digits/manifest.json --downloads downloads --dataset '
    {"name": "digits", "source": "digits", "shape": [1, 8, 8], "classes": 10, "validation": 180, "split_seed": 0,
     "options": {}, "dct": {"bits": 8}, "images": true}'
"""

import argparse
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from frugal import failed
from frugal.data.prepare import prepare
from frugal.errors import FrugalError, exit_with_one_line

MOST_LINES, WIDEST = 12, 160  # on the console; all of it, whole, is in the log


def main() -> None:
    """Read the command line and prepare; say what was found out on the console too, where the log is somewhere else.

    What fails leaves failed.json in the folder of the cache.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--dataset", required=True, type=json.loads, help="one data set of config/datasets.yaml, as JSON"
    )
    parser.add_argument("--out", required=True, type=Path, help="the manifest.json to write; the arrays lie beside it")
    parser.add_argument("--downloads", required=True, type=Path, help="folder for what has to be downloaded")
    parser.add_argument("--data", help="folder that holds your data (default: FRUGAL_DATA)")
    parser.add_argument("--threads", type=int, default=1, help="CPU cores that may be used")
    arguments = parser.parse_args()
    folder = arguments.data or os.environ.get("FRUGAL_DATA")
    if arguments.out.name != "manifest.json":
        raise FrugalError(f"--out is {arguments.out}; a cache is written as <folder>/manifest.json")
    out = arguments.out.parent
    with suppress(OSError):  # `prepare` says what is in the way
        failed.forget(out)
    try:
        manifest = prepare(
            arguments.dataset,
            out,
            arguments.downloads,
            Path(folder).expanduser() if folder else None,
            max(1, arguments.threads),
        )
    except Exception as error:
        with suppress(FrugalError, OSError):  # on a full disk, say, whose line is the one that matters
            failed.leave(out, arguments.dataset, error, failed.DATA_LOG)
        raise
    failed.forget(out)  # of another process that prepared it meanwhile
    if not sys.stderr.isatty():
        print(*lines(json.loads(manifest.read_bytes()), out), sep="\n", flush=True)


def lines(manifest: dict[str, Any], folder: Path) -> list[str]:
    """What a person should know of a data set that was prepared, in a few lines: what was found out, notes, counts."""
    name = manifest["dataset"]
    found = [f"{what}: {json.dumps(value, ensure_ascii=False)}" for what, value in manifest.get("inferred", {}).items()]
    told = [f"found out: {one}" for one in found] + manifest["notes"]
    told = [one if len(one) <= WIDEST else f"{one[:WIDEST]} ..." for one in told]
    more = len(told) - MOST_LINES
    if more > 0:
        told = [*told[:MOST_LINES], f"{more} more such lines are in {folder / 'prepare.log'}"]
    counts = ", ".join(f"{count:,} {part}" for part, count in manifest["splits"].items())
    return [f"data set {name}: {line}" for line in [*told, f"{counts} samples"]]


if __name__ == "__main__":
    exit_with_one_line(main)
