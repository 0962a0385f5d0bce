"""Texts of your own with a label each, in one file: CSV, JSON lines, Parquet or Feather.

    text,label                       {"text": "Good.", "label": "yes"}
    "Good, and short.",yes           {"text": "Bad.", "label": "no"}

Texts that are empty are left out and listed. The test set is another file, or split off by a fixed seed.
"""

from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from frugal.data.arrays import Arrays
from frugal.data.folders import home_of
from frugal.data.labelledtexts import LabelledTexts, labelled_arrays, read_texts
from frugal.data.made_from import read_file
from frugal.data.split import keep_apart
from frugal.data.text import Tokens

KIND = "text"


def read(
    folder: Path | None,
    downloads: Path,
    threads: int = 1,
    *,
    path: str,
    text: str = "text",
    label: str = "label",
    test_path: str | None = None,
    test: Annotated[float, Gt(0)] = 0.2,
    test_seed: int = 0,
    vocabulary: Annotated[int, Ge(261)] = 8000,
    length: Annotated[int, Ge(3)] = 256,
    keep: Literal["start", "end"] = "start",
    tokenizer: str | None = None,
    damaged: Annotated[float, Ge(0), Le(1)] = 0.01,
    separator: str | None = None,
    encoding: str | None = None,
) -> Arrays:
    """Read the texts of a file in the data folder; nothing is downloaded.

    path: of the file; text, label: its columns, or keys of each line of JSON; test_path: the file of the test set, if there is
    one; test: else the share of the texts that is the test set, or how many, in equal shares of every class; test_seed: chooses
    which; vocabulary: tokens at most; length: tokens of a row; keep: which end of a longer text stays; tokenizer: folder or hub
    name of a pretrained net whose tokens are wanted, in place of `vocabulary` tokens learnt here; damaged: share of the texts
    that may be empty; separator, encoding: of a CSV file (default: found out)
    threads: that the tokenizer may use. Raises FrugalError for a file, a column or a label that is not as described.
    """
    parts: list[LabelledTexts] = []
    files = [path] if test_path is None else [path, test_path]
    homes = [home_of(folder, [str(Path(name).parent)], Path(name).name, "these texts are") for name in files]
    places = [home / Path(name).name for home, name in zip(homes, files, strict=True)]
    keep_apart([("option path", places[0]), *(("option test_path", place) for place in places[1:])], "name two files")
    for place in places:
        read_file(place)
        parts.append(read_texts(place, text, label, separator, encoding))
    encoder = Tokens(vocabulary, length, keep, threads, tokenizer)
    return labelled_arrays(parts, encoder, test, test_seed, damaged, str(places[0]), label)
