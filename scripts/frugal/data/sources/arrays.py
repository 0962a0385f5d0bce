"""Arrays of your own, in one .npz file or in .npy files: images, features of a table, or waves, with a label each.

    np.savez("mine.npz", x_train=images, y_train=labels, x_test=..., y_test=...)
    np.savez("mine.npz", x=images, y=labels)          a share of each class is the test set

Pickled objects are never loaded.
"""

import zipfile
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Gt

from frugal.data.arrays import KINDS, Arrays
from frugal.data.folders import home_of
from frugal.data.labels import numbered, shown_names
from frugal.data.made_from import read_file
from frugal.data.split import divided
from frugal.data.table import Columns
from frugal.errors import FrugalError, in_one_line

INPUTS = (
    "x",
    "images",
    "image",
    "data",
    "features",
    "inputs",
    "waves",
    "arr_0",
)  # names that people give arrays
LABELS = ("y", "labels", "label", "targets", "target", "classes", "arr_1")
MOST_COLOURS = (1, 3)  # channels of an image


def read(
    folder: Path | None,
    downloads: Path,
    *,
    path: str,
    labels: str | None = None,
    test_path: str | None = None,
    test_labels: str | None = None,
    kind: Literal["image", "table", "sound"] = "image",
    layout: Literal["channels_first", "channels_last"] | None = None,
    test: Annotated[float, Gt(0)] = 0.2,
    test_seed: int = 0,
) -> Arrays:
    """Read arrays of the data folder; nothing is downloaded.

    path: of an .npz file with inputs and labels, found by their names (x or x_train, y or y_train, images, labels, ...), or of
    an .npy file of inputs, whose labels are the .npy file `labels`; test_path, test_labels: files of the test set, if there are
    any; kind: what the inputs are; layout: of images with channels (default: found out); test: else the share of the samples that
    is the test set, or how many; test_seed: chooses which
    Images are (n, H, W), (n, C, H, W) or (n, H, W, C), whole numbers 0 to 255 or floating-point 0 to 1; rows of a table (n,
    features) numbers; waves (n, samples) int16, or floating-point -1 to 1. Raises FrugalError for anything else.
    """
    found: dict[str, Any] = {}
    if labels is None and test_path is None:
        parts, found = _of_archive(folder, path)
    elif labels is None:
        raise FrugalError(
            "option test_path is of .npy files with `labels`; an .npz file holds its own test set, x_test and y_test"
        )
    else:
        parts = [_pair(folder, path, labels)]
        if test_path is not None and test_labels is not None:
            parts.append(_pair(folder, test_path, test_labels))
        elif test_path is not None or test_labels is not None:
            raise FrugalError("options test_path and test_labels belong together; give both")
    where = [part[2] for part in parts]
    for inputs, given, place in parts:
        if inputs.ndim == 0 or given.ndim == 0 or len(inputs) != len(given) or not len(inputs):
            raise FrugalError(
                f"{place}: inputs of shape {list(inputs.shape)} and labels of shape {list(given.shape)} don't belong together"
            )
    numbers, names, notes = numbered(
        np.concatenate([_flat(given, place) for _, given, place in parts]), where[0], "label"
    )
    for inputs, _, place in parts:
        if inputs.shape[1:] != parts[0][0].shape[1:]:
            raise FrugalError(
                f"{place}: samples of shape {list(inputs.shape[1:])}, those of training {list(parts[0][0].shape[1:])}"
            )
    convert = {"image": _images, "table": _features, "sound": _waves}[kind]
    converted = []
    for inputs, _, place in parts:
        rows, told = convert(inputs, place, layout)
        converted.append(rows)
        found |= told
    whole = len(converted) == 1
    train_at, test_at, told = divided(numbers, test, test_seed, None if whole else len(converted[0]))
    found |= told
    inputs = (converted[0][train_at], converted[0][test_at]) if whole else converted
    encoder = Columns([f"x{n}" for n in range(inputs[0].shape[1])], {}) if kind == "table" else None
    return Arrays(
        inputs[0],
        numbers[train_at],
        inputs[1],
        numbers[test_at],
        notes=tuple(notes),
        kind=kind,
        encoder=encoder,
        inferred=found | {"class names": shown_names(names)},
    )


Pair = tuple[np.ndarray, np.ndarray, str]  # inputs, labels, and where they are from


def _pair(folder: Path | None, path: str, labels: str) -> Pair:
    """Two .npy files."""
    file = _place(folder, path)
    return _load(file), _load(_place(folder, labels)), str(file)


def _of_archive(folder: Path | None, path: str) -> tuple[list[Pair], dict[str, Any]]:
    """The training set of an archive, and its test set if it has one; which arrays were taken."""
    file = _place(folder, path)
    if file.suffix.lower() == ".npy":
        raise FrugalError(f"{file} holds no labels; name the .npy file of its labels in option `labels`")
    arrays, pairs, taken = _archive(file), [], []
    for split in ("train", "test"):
        inputs, given = (
            _named(arrays, known, split, file, what) for known, what in ((INPUTS, "inputs"), (LABELS, "labels"))
        )
        if split == "train" and not inputs:
            split = ""
            inputs, given = (
                _named(arrays, known, "", file, what) for known, what in ((INPUTS, "inputs"), (LABELS, "labels"))
            )
        if split == "test" and not inputs and not given:
            break
        inputs, given = _one(inputs, arrays, file, "inputs", split), _one(given, arrays, file, "labels", split)
        pairs.append((arrays[inputs], arrays[given], f"{file}, {inputs} and {given}"))
        taken += [inputs, given]
    left = [name for name in arrays if name not in taken]
    return pairs, {"arrays": taken} | ({"arrays not used": left} if left else {})


def _named(arrays: dict[str, np.ndarray], known: tuple[str, ...], split: str, file: Path, what: str) -> str | None:
    """The array of that split whose name is one of the known ones: x_train, train_images, X ... None where there is none."""
    names = {f"{one}_{split}" for one in known} | {f"{split}_{one}" for one in known} if split else set(known)
    found = [name for name in arrays if name.lower() in names]
    if len(found) > 1:
        raise FrugalError(f"{file} has several arrays that could be the {what}: {', '.join(found)}; save the one alone")
    return found[0] if found else None


def _one(name: str | None, arrays: dict[str, np.ndarray], file: Path, what: str, split: str = "") -> str:
    if name is None:
        wanted = f"x_{split} and y_{split}" if split else "x and y, or x_train, y_train, x_test and y_test"
        raise FrugalError(
            f"{file} has no array of {split} {what} by a name that is known; it has {', '.join(arrays)}: call them {wanted}"
        )
    return name


def _place(folder: Path | None, path: str) -> Path:
    home = home_of(folder, [str(Path(path).parent)], Path(path).name, "these arrays are")
    read_file(home / Path(path).name)
    return home / Path(path).name


def _load(file: Path) -> np.ndarray:
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise _unreadable(file, error) from error
    if not isinstance(array, np.ndarray):
        raise FrugalError(f"{file} is an .npz archive; give it that ending, and name no labels")
    return array


def _archive(file: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> FrugalError:
    if "allow_pickle" in str(error):
        return FrugalError(
            f"{file} holds Python objects, which are never loaded since they can run code; save arrays of plain numbers or texts"
        )
    return FrugalError(f"{file} is damaged or no NumPy file ({in_one_line(error, kind=False)}); replace it")


def _flat(labels: np.ndarray, where: str) -> np.ndarray:
    """(n,) or (n, 1) -> (n,); raises FrugalError for what isn't one label for each sample."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        return labels[:, 0]
    if labels.ndim != 1:
        more = "; one-hot labels become numbers by labels.argmax(1)" if labels.ndim == 2 else ""
        raise FrugalError(f"{where}: labels have shape {list(labels.shape)}, one for each sample is (n,){more}")
    return labels


def _images(inputs: np.ndarray, where: str, layout: str | None) -> tuple[np.ndarray, dict[str, str]]:
    """(n, C, H, W) uint8, and what was found out."""
    found: dict[str, str] = {}
    if inputs.ndim == 3:
        inputs, found["layout"] = inputs[:, None], "(n, H, W), one channel"
    elif inputs.ndim == 4:
        first, last = inputs.shape[1] in MOST_COLOURS, inputs.shape[3] in MOST_COLOURS
        if layout is None:
            if first == last:
                why = "both the second and the last axis could be channels" if first else "no axis has 1 or 3 channels"
                raise FrugalError(f"{where}: images of shape {list(inputs.shape)}: {why}; set `layout` in its options")
            layout = "channels_first" if first else "channels_last"
            found["layout"] = layout
        inputs = inputs if layout == "channels_first" else inputs.transpose(0, 3, 1, 2)
    else:
        raise FrugalError(
            f"{where}: inputs of shape {list(inputs.shape)} are no images; set `kind: table` or `kind: sound` for rows of numbers"
        )
    if inputs.dtype == np.uint8:
        return inputs, found
    low, high = inputs.min(), inputs.max()
    if inputs.dtype.kind in "iu" and low >= 0 and high <= 255:
        return inputs.astype(np.uint8), found | {"pixels": f"{inputs.dtype}, {low} to {high}, taken as they are"}
    if inputs.dtype.kind == "b":
        return inputs.astype(np.uint8) * 255, found | {"pixels": "bool, true is 255"}
    if inputs.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.rint(inputs * 255).astype(np.uint8), found | {
            "pixels": f"{inputs.dtype}, {low:g} to {high:g}, times 255"
        }
    raise FrugalError(
        f"{where}: pixels are {inputs.dtype} from {low} to {high}; save whole numbers from 0 to 255, or floating-point ones from "
        "0 to 1, such as (x - low) / (high - low) with one low and one high for all images; 8 bits of each are kept"
    )


def _features(inputs: np.ndarray, where: str, layout: str | None) -> tuple[np.ndarray, dict[str, str]]:
    """(n, features) float64, NaN for none."""
    if inputs.ndim != 2 or inputs.dtype.kind not in "iufb":
        raise FrugalError(
            f"{where}: inputs are {inputs.dtype} of shape {list(inputs.shape)}, rows of a table are numbers (n, features)"
        )
    return inputs.astype(np.float64), {}


def _waves(inputs: np.ndarray, where: str, layout: str | None) -> tuple[np.ndarray, dict[str, str]]:
    """(n, samples) int16"""
    if inputs.ndim == 3 and 2 in inputs.shape[1:]:
        raise FrugalError(
            f"{where}: waves of shape {list(inputs.shape)} look like stereo; mix the two channels into one, (n, samples)"
        )
    if inputs.ndim != 2:
        raise FrugalError(
            f"{where}: inputs have shape {list(inputs.shape)}, waves are (n, samples), one channel at one rate"
        )
    if KINDS["sound"].allows(inputs.dtype):
        return inputs, {}
    low, high = inputs.min(), inputs.max()
    if inputs.dtype.kind == "f" and low >= -1 and high <= 1:
        stored = np.clip(np.rint(inputs * 32768), -32768, 32767).astype(np.int16)
        return stored, {"samples": f"{inputs.dtype}, {low:g} to {high:g}, times 32768"}
    raise FrugalError(
        f"{where}: samples of waves are {inputs.dtype} from {low} to {high}; save int16, or floating-point -1 to 1"
    )
