"""Folder of text files of your own, one folder per class.

    train/<class>/*.txt   test/<class>/*.txt        classes are numbered by the sorted names of their folders

Files are UTF-8; those that are not, or are empty, are left out and listed, files of other kinds counted in a note (see
`frugal.data.folders`).
"""

from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Le

from frugal.data.arrays import Arrays
from frugal.data.folders import home_of, limited, shown
from frugal.data.split import keep_apart
from frugal.data.text import Tokens
from frugal.data.textfiles import TextFiles, from_folder, text_folders
from frugal.errors import FrugalError

KIND = "text"


def read(
    folder: Path | None,
    downloads: Path,
    threads: int = 1,
    *,
    folders: list[str] | None = None,
    classes: list[str] | None = None,
    vocabulary: Annotated[int, Ge(261)] = 8000,
    length: Annotated[int, Ge(3)] = 256,
    keep: Literal["start", "end"] = "start",
    tokenizer: str | None = None,
    damaged: Annotated[float, Ge(0), Le(1)] = 0.01,
) -> Arrays:
    """Read the texts of the data folder; nothing is downloaded.

    folders: where in the data folder to look, the first that is there counts (default: the folder itself); classes: names
    of the class folders (default: all there are); vocabulary: tokens at most; length: tokens of a row; keep: which end of
    a longer text stays; tokenizer: folder or hub name of a pretrained net whose tokens are wanted, in place of `vocabulary`
    tokens learnt here; damaged: share of the files that may be left out
    threads: that the tokenizer may use. Raises FrugalError for folders or classes that are not as described.
    """
    home = home_of(folder, folders or ["."], "train", "these texts are")
    folders = text_folders(home)
    found = {split: folders.classes([home / split]) for split in ("train", "test") if (home / split).is_dir()}
    if "test" not in found:
        raise FrugalError(f"{home} has no folder test; put the test texts there, test/<class>/*.txt")
    keep_apart([(split, home / split) for split in found], "move the test texts to a folder of their own")
    names = sorted(classes or found["train"])
    for split, there in found.items():
        odd = set(names) - set(there) if classes else set(names) ^ set(there)
        if odd:
            raise FrugalError(
                f"{home / split} {'has no' if min(odd) not in there else 'alone has a'} class {shown(min(odd))}; "
                "both sets need every class"
            )
    train, test = (from_folder(folders, {name: found[split][name] for name in names}) for split in ("train", "test"))
    encoder = Tokens(vocabulary, length, keep, threads, tokenizer)
    return text_arrays(train, test, encoder, damaged, folders.notes())


def text_arrays(train: TextFiles, test: TextFiles, encoder: Tokens, damaged: float = 0.01, notes: tuple = ()) -> Arrays:
    """What was read, as a source hands it over. Raises FrugalError where more than a share `damaged` was left out."""
    skipped = (*train.skipped, *test.skipped)
    note = limited(skipped, len(train.texts) + len(test.texts) + len(skipped), damaged)
    return Arrays(
        *train.arrays(),
        *test.arrays(),
        notes=(f"classes: {', '.join(map(shown, train.classes))}", *notes, *note),
        skipped=skipped,
        kind=KIND,
        encoder=encoder,
    )
