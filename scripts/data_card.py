"""Data card of a prepared data set: README.md beside its manifest.json."""

import argparse
import json
from pathlib import Path

from frugal.atomic import write_text
from frugal.data.card import card
from frugal.errors import exit_with_one_line


def main() -> None:
    """Read --manifest and write --out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--dataset", required=True, type=json.loads, help="its entry of config/datasets.yaml, with its name, as JSON"
    )
    parser.add_argument("--manifest", required=True, type=Path, help="manifest.json of the cache")
    parser.add_argument("--out", required=True, type=Path, help="the README.md to write")
    given = parser.parse_args()
    write_text(given.out, card(given.manifest, given.dataset))


if __name__ == "__main__":
    exit_with_one_line(main)
