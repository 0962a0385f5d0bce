"""Preparation of one data set: read it, check it, split off validation, encode or transform, and write the cache.

python scripts/prepare.py --out results/demo/data/digits/manifest.json --downloads downloads --dataset '
    {"name": "digits", "source": "digits", "shape": [1, 8, 8], "classes": 10, "validation": 180, "split_seed": 0,
     "options": {}, "dct": {"bits": 8}, "images": true}'
"""

import argparse
import json
import os
from contextlib import suppress
from pathlib import Path

from frugal import failed
from frugal.data.prepare import prepare
from frugal.errors import FrugalError, exit_with_one_line


def main() -> None:
    """Read the command line and prepare. What fails leaves failed.json in the folder of the cache."""
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
        prepare(
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


if __name__ == "__main__":
    exit_with_one_line(main)
