"""Data set of torchvision by its name there, such as FashionMNIST, SVHN, GTSRB, Flowers102 or EuroSAT.

https://docs.pytorch.org/vision/stable/datasets.html. It is looked for in the data folder where torchvision has it, then
downloaded by torchvision, which verifies its checksums. Those that it reads by unpickling are refused: CIFAR has a source here.
"""

import inspect
import shutil
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt

from frugal.data.arrays import Arrays
from frugal.data.labels import numbered, shown_names
from frugal.data.made_from import read_tree
from frugal.data.pixelstore import PixelStore
from frugal.data.rows import bar
from frugal.data.split import divided
from frugal.errors import FrugalError, did_you_mean, in_one_line, needs_extra

with needs_extra("vision", "data sets of torchvision"):
    from torchvision import datasets

PICKLED = {"CIFAR10": "cifar10", "CIFAR100": "cifar100"}
SPLITS = (("train", "test"), ("train", "val"), ("trainval", "test"))  # as those with an argument `split` call them
FOLDERS = {"EuroSAT": "eurosat", "GTSRB": "gtsrb", "Flowers102": "flowers-102", "DTD": "dtd", "Food101": "food-101"}


def read(
    folder: Path | None,
    downloads: Path,
    *,
    name: str,
    size: Annotated[int, Ge(1)] | None = None,
    channels: Literal[1, 3] | None = None,
    arguments: dict[str, str | int | float | bool] = {},  # noqa: B006
    test: Annotated[float, Gt(0)] = 0.2,
    test_seed: int = 0,
) -> Arrays:
    """Read a data set of images with a class each from the data folder, or have torchvision download it.

    name: of its class in torchvision.datasets; size: pixels per side that images become (default: as they are, if all have one
    size); channels: 1 or 3 (default: those of the first image); arguments: further ones of that class, such as `split: letters`
    of EMNIST; test: share of the samples that is the test set, or how many, where torchvision has none; test_seed: chooses which
    Raises FrugalError for what is no such data set, or can't be had.
    """
    if name in PICKLED:
        raise FrugalError(
            f"torchvision reads {name} by unpickling, which can run code; use `source: {PICKLED[name]}`, which reads "
            "its binary version"
        )
    if name not in datasets.__all__ or not inspect.isclass(getattr(datasets, name)):
        raise FrugalError(f"torchvision has no data set {name!r}; {did_you_mean(name, sorted(datasets.__all__))}")
    kind = getattr(datasets, name)
    accepted = inspect.signature(kind.__init__).parameters
    if odd := [key for key in arguments if key not in accepted]:
        raise FrugalError(
            f"option arguments: torchvision's {name} takes no {odd[0]!r}; {did_you_mean(odd[0], list(accepted))}"
        )
    if "root" not in accepted:
        raise FrugalError(f"torchvision's {name} is made by a program or of files of yours; choose another source")
    opened, place, said = _opened(kind, folder, downloads, accepted, arguments)
    if place == folder:
        read_tree(_own_folder(folder, name), ("",))
    store = PixelStore(downloads / "pixels", sum(map(len, opened)), size, channels, name)
    labels: list[Any] = []
    with bar(store.count, f"reading {name}", "image") as progress:
        for part in opened:
            for number in range(len(part)):
                image, label = part[number]
                if np.ndim(label) or not isinstance(label, int | str | np.integer):
                    raise FrugalError(
                        f"torchvision's {name} has {type(label).__name__} and no class for each image; choose another"
                    )
                store.add(image)
                labels.append(label)
                progress.update()
    numbers, found, notes = numbered(labels, name, "label")
    known = getattr(opened[0], "classes", None)
    if known and all(number.isdigit() and int(number) < len(known) for number in found):
        found = [str(known[int(number)]) for number in found]
    *parts, told = divided(numbers, test, test_seed, len(opened[0]) if len(opened) > 1 else None)
    return store.arrays(numbers, parts, notes, {"class names": shown_names(found), "splits": said} | told)


def _own_folder(folder: Path, name: str) -> Path:
    """Where torchvision has a data set under its root."""
    own = folder / FOLDERS.get(name, name)
    return own if own.is_dir() else folder / name.lower() if (folder / name.lower()).is_dir() else own


def _opened(
    kind: type, folder: Path | None, downloads: Path, accepted: Any, arguments: dict[str, Any]
) -> tuple[list[Any], Path, str]:
    """The training and the test set, or the one there is; the root they are in; and what was asked for."""
    if ("train" in accepted or issubclass(kind, datasets.MNIST)) and "train" not in arguments:
        asked = [{"train": True}, {"train": False}]
    elif "split" in accepted and "split" not in arguments:
        asked = _splits(kind, accepted)
    else:
        asked = [{}]
    downloading = "download" in accepted or issubclass(kind, datasets.MNIST)
    why: Exception | None = None
    for root, download in ((folder, False), (downloads, True)):
        if root is None or (download and not downloading):
            continue
        root.mkdir(parents=True, exist_ok=True) if download else None
        given = {"download": download} if downloading else {}
        try:
            parts = [kind(str(root), **one, **arguments, **given) for one in asked]
            return parts, root, " and ".join(f"{key}={value}" for one in asked for key, value in one.items()) or "one"
        except TypeError as error:
            if "missing" not in str(error):
                raise
            raise FrugalError(
                f"torchvision's {kind.__name__} needs {str(error).rpartition(': ')[2]}; give it in `arguments`"
            ) from error
        except ValueError as error:
            if "split" in str(error).lower():
                raise FrugalError(
                    f"torchvision's {kind.__name__}: {in_one_line(error, kind=False)}; correct `arguments`"
                ) from error
            why = error
        except Exception as error:  # not there, no network, a checksum that is another: libraries raise what they like
            why = error
    if downloads.is_dir() and not any(downloads.iterdir()):
        shutil.rmtree(downloads)
    raise FrugalError(
        f"torchvision's {kind.__name__} is not in {folder or 'a folder named by FRUGAL_DATA'} as torchvision has it, and can't "
        f"be downloaded ({in_one_line(why)}); put it there, or connect once"
    ) from why


def _splits(kind: type, accepted: Any) -> list[dict[str, str]]:
    """Values of the argument `split` that are a training and a test set, by what its documentation lists."""
    told = (kind.__doc__ or "") + str(accepted["split"].annotation)
    for train, test in SPLITS:
        if all(f'"{one}"' in told or f"'{one}'" in told or f"``{one}``" in told for one in (train, test)):
            return [{"split": train}, {"split": test}]
    raise FrugalError(
        f"which splits of torchvision's {kind.__name__} are training and test isn't known; choose one in "
        "`arguments: {split: ...}`"
    )
