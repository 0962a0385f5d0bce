"""Data set in Hugging Face's formats: a folder that `save_to_disk` wrote, Parquet files, or one of the hub by its name.

Of the hub its Parquet files are taken, those of its authors or those that the hub converts every data set to; scripts of a data
set are never run. They stay in the hub's local cache, and with HF_HUB_OFFLINE=1 nothing is asked of the network.
"""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from frugal.data.arrays import Arrays
from frugal.data.arrowfile import ArrowFile
from frugal.data.labelledtexts import from_arrow, labelled_arrays
from frugal.data.labels import numbered, shown_names
from frugal.data.made_from import read_file
from frugal.data.rows import bar
from frugal.data.split import divided
from frugal.data.text import Tokens
from frugal.errors import FrugalError, in_one_line, needs_extra

TESTS = ("test", "validation", "valid", "val", "dev")  # splits that can be the test set, the first that is there
SPLIT = re.compile(rf"^(train|{'|'.join(TESTS)})(?=[-_.]|$)", re.IGNORECASE)
CONVERTED = "refs/convert/parquet"  # where the hub keeps every data set as Parquet


def read(
    folder: Path | None,
    downloads: Path,
    threads: int = 1,
    *,
    path: str,
    kind: Literal["text", "image"] = "text",
    input: str | None = None,  # noqa: A002  as the config has it
    label: str | None = None,
    configuration: str | None = None,
    revision: str | None = None,
    test: Annotated[float, Gt(0)] | str | None = None,
    test_seed: int = 0,
    size: Annotated[int, Ge(1)] | None = None,
    channels: Literal[1, 3] | None = None,
    vocabulary: Annotated[int, Ge(261)] = 8000,
    length: Annotated[int, Ge(3)] = 256,
    keep: Literal["start", "end"] = "start",
    tokenizer: str | None = None,
    damaged: Annotated[float, Ge(0), Le(1)] = 0.01,
) -> Arrays:
    """Read a data set of texts or images with a class each.

    path: a folder or Parquet file in the data folder, else a name on the hub; kind: what its samples are; input: the column of
    texts or images (default: the only one); label: that of classes (default: the one that says it holds classes, or is called
    label); configuration, revision: of a data set on the hub; test: the split that is the test set (default: test, else
    validation), or a share or number of the training samples (default where there is none: 0.2); test_seed: chooses which;
    size: pixels per side that images become (default: as they are, if all have one size); channels: 1 or 3 (default: those of
    the first image); vocabulary, length, keep, tokenizer: of texts, as for source texts; damaged: share of the texts that may be
    empty
    threads: that the tokenizer may use. Raises FrugalError for what can't be had, or is not as described.
    """
    files = _splits(_home(folder, path, configuration, revision), path)
    splits = _chosen(files, test, path)
    for part in splits.values():
        for file in part:
            read_file(file)
    tables = [ArrowFile(part) for part in splits.values()]
    given = _column(tables[0], input, kind, path), _label(tables[0], label, path)
    names = tables[0].features.get(given[1], {}).get("names")
    for table, split in zip(tables, splits, strict=True):
        _check_labels(table, given[1], names, split, path)
    found = {"splits": dict(zip(("train", "test"), splits, strict=False))}
    found |= {"input": given[0]} if input is None else {}
    found |= {"label": given[1]} if label is None else {}
    share = test if isinstance(test, float | int) else 0.2
    if kind == "text":
        encoder = Tokens(vocabulary, length, keep, threads, tokenizer)
        parts = [from_arrow(table, *given) for table in tables]
        parts[0].detected |= found
        return labelled_arrays(parts, encoder, share, test_seed, damaged, path, given[1], names)
    return _images(tables, given, names, share, test_seed, downloads, (size, channels), path, found)


def _images(
    tables: list[ArrowFile],
    given: tuple[str, str],
    names: list[str] | None,
    share: float,
    seed: int,
    downloads: Path,
    shape: tuple[int | None, int | None],
    path: str,
    found: dict[str, Any],
) -> Arrays:
    """Images of one or two splits, decoded to disk. given: columns of images and labels; shape: size and channels."""
    from frugal.data.pixelstore import PixelStore  # needs the extra for images, which texts do without

    counts = [sum(len(batch) for batch in table.batches([given[1]])) for table in tables]
    store, labels = PixelStore(downloads / "pixels", sum(counts), *shape, path), []
    with bar(store.count, f"reading {path}", "image") as progress:
        for table in tables:
            for batch in table.batches(list(given)):
                labels += batch.column(given[1]).to_pylist()
                for cell in batch.column(given[0]).to_pylist():
                    store.add(_content(cell, path, store.filled + 1))
                progress.update(len(batch))
    numbers, values, notes = numbered(labels, path, given[1])
    names = [names[int(value)] for value in values] if names else values
    *parts, told = divided(numbers, share, seed, counts[0] if len(tables) > 1 else None)
    return store.arrays(numbers, parts, notes, found | told | {"class names": shown_names(names)})


def _content(cell: Any, path: str, number: int) -> bytes:
    """The bytes of an image's file, as `datasets` keeps them."""
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(content, bytes):
        raise FrugalError(
            f"{path}, image {number} is not in the file, only its path {cell.get('path') if isinstance(cell, dict) else cell!r}; "
            "save the data set with its images, or use source imagefolder"
        )
    return content


def _home(folder: Path | None, path: str, configuration: str | None, revision: str | None) -> Path:
    """Where the files are: in the data folder, or in the hub's cache, to which they are downloaded where they aren't there."""
    if folder is not None and (folder / path).exists():
        return folder / path
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", path) or path.lower().endswith((".parquet", ".arrow")):
        raise FrugalError(
            f"the data folder {folder or '(FRUGAL_DATA is not set)'} has no {path}, and it is no name on the hub; correct `path`"
        )
    with needs_extra("data", "data sets of the hub"):
        import huggingface_hub as hub

    inside = f"{configuration}/" if configuration else ""
    why: Exception | None = None
    for at in [revision] if revision else [None, CONVERTED]:
        try:
            home = Path(hub.snapshot_download(path, repo_type="dataset", revision=at, allow_patterns=["*.parquet"]))
        except Exception as error:  # no network, no such name, nothing in the cache
            why = error
            continue
        within = [place for place in (home / inside, home / "data" / inside) if any(place.rglob("*.parquet"))]
        if within:
            return _one_configuration(within[0], path, configuration)
    reason = in_one_line(why) if why else "it has no Parquet files"
    raise FrugalError(
        f"the data set {path!r} can't be had: {folder or 'FRUGAL_DATA'} has no such folder, and the hub neither has it in the "
        f"local cache nor can be asked for it ({reason}); correct `path`, put it there, or connect once"
    )


def _one_configuration(home: Path, path: str, configuration: str | None) -> Path:
    """The folder itself, or the one under it that has Parquet files. Raises FrugalError where several have."""
    if any(home.glob("*.parquet")) or any(SPLIT.match(place.name) for place in home.iterdir() if place.is_dir()):
        return home
    inner = sorted(place for place in home.iterdir() if any(place.rglob("*.parquet")))
    if len(inner) != 1:
        told = ", ".join(place.name for place in inner[:12])
        raise FrugalError(
            f"the data set {path!r} has several configurations ({told}); choose one in option `configuration`"
        )
    return _one_configuration(inner[0], path, configuration)


def _splits(home: Path, path: str) -> dict[str, list[Path]]:
    """The files of each split: of `save_to_disk`, or Parquet files that are called by their split, or lie in a folder that is.

    One file, or several of no such name, are the split train.
    """
    if home.is_file():
        return {"train": [home]}
    if (home / "dataset_dict.json").is_file():
        named = _json(home / "dataset_dict.json").get("splits", [])
        return {split: _saved(home / split) for split in named}
    if (home / "state.json").is_file():
        return {"train": _saved(home)}
    files = sorted(
        file
        for file in home.rglob("*.parquet")
        if not any(part.startswith(".") for part in file.parts[len(home.parts) :])
    )
    if not files:
        raise FrugalError(
            f"{home} has neither state.json nor dataset_dict.json, which `save_to_disk` writes, nor Parquet files; correct `path`"
        )
    splits: dict[str, list[Path]] = {}
    for file in files:
        relative = file.relative_to(home)
        named = [match[1].lower() for part in (file.name, *relative.parts[:-1]) if (match := SPLIT.match(part))]
        splits.setdefault(named[0] if named else "", []).append(file)
    if "" in splits and len(splits) > 1:
        raise FrugalError(
            f"{home}: {splits[''][0].name} belongs to no split; call it train-..., or test-..., or take it away"
        )
    return {"train": splits[""]} if "" in splits else splits


def _saved(home: Path) -> list[Path]:
    """The Arrow files of one split, in order."""
    listed = [home / entry["filename"] for entry in _json(home / "state.json").get("_data_files", [])]
    if not listed or not all(file.is_file() for file in listed):
        gone = next((file.name for file in listed if not file.is_file()), "files in its state.json")
        raise FrugalError(f"{home} has no {gone}; copy the whole folder that `save_to_disk` wrote")
    if (home / "state.json").is_file() and _json(home / "state.json").get("_indices_files"):
        raise FrugalError(f"{home} holds a selection of rows; call flatten_indices() before save_to_disk")
    return listed


def _json(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise FrugalError(f"{file} can't be read ({error}); copy the whole folder that `save_to_disk` wrote") from error


def _chosen(files: dict[str, list[Path]], test: float | str | None, path: str) -> dict[str, list[Path]]:
    """Files of the training split and, where one is named or there, of the test split."""
    if "train" not in files:
        raise FrugalError(f"{path} has no split train, it has {', '.join(files)}; name its files train-*.parquet")
    if isinstance(test, str):
        if test not in files or test == "train":
            raise FrugalError(
                f"{path} has no split {test!r} to test on, it has {', '.join(files)}; correct option `test`"
            )
        return {"train": files["train"], test: files[test]}
    there = [] if test is not None else [split for split in TESTS if split in files]
    return {"train": files["train"], **{split: files[split] for split in there[:1]}}


def _column(table: ArrowFile, given: str | None, kind: str, path: str) -> str:
    """The column of texts or images."""
    if given is not None:
        _check_there(table, given, "input", path)
        return given
    if kind == "text":
        named = [name for name in table.names if table.kinds[name] == "text" and name != "label"]
    else:
        named = [name for name in table.names if table.kinds[name] == "other" and _holds_files(table, name)]
    if len(named) != 1:
        raise FrugalError(
            f"{path}: {', '.join(named) if named else 'no column'} could be the {kind}s; name the one in option `input`, there "
            f"are {', '.join(table.names[:20])}"
        )
    return named[0]


def _holds_files(table: ArrowFile, name: str) -> bool:
    of = str(table.schema.field(name).type)
    return of == "binary" or (of.startswith("struct<") and "bytes: binary" in of)


def _label(table: ArrowFile, given: str | None, path: str) -> str:
    """The column of classes."""
    if given is not None:
        _check_there(table, given, "label", path)
        return given
    named = [name for name in table.names if table.features.get(name, {}).get("_type") == "ClassLabel"]
    named = named or [name for name in table.names if name.lower() in ("label", "labels", "class", "target")]
    if len(named) != 1:
        told = ", ".join(named) if named else "no column"
        raise FrugalError(
            f"{path}: {told} could be the label; name the one in option `label`, there are {', '.join(table.names[:20])}"
        )
    return named[0]


def _check_there(table: ArrowFile, name: str, option: str, path: str) -> None:
    if name not in table.names:
        raise FrugalError(
            f"{path} has no column {name}, it has {', '.join(table.names[:20])}; correct option `{option}`"
        )


def _check_labels(table: ArrowFile, label: str, names: list[str] | None, split: str, path: str) -> None:
    """Raise FrugalError where labels are withheld, as -1 says in a test set whose labels are not published."""
    _check_there(table, label, "label", path)
    if table.kinds[label] != "number":
        return
    row = 0
    for _, (cells,) in table.pieces([label]):
        bad = np.flatnonzero(~(cells >= 0) | (cells >= len(names))) if names else np.flatnonzero(cells == -1)
        if bad.size:
            raise FrugalError(
                f"{path}, split {split}, row {row + int(bad[0]) + 1}: the label is missing ({cells[bad[0]]:g}); choose another "
                "split to test on in option `test`, or a share"
            )
        row += len(cells)
