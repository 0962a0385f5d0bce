"""A small folder of image files, one damaged and one grey, as a prepared data set and as a run on it."""

from pathlib import Path

import numpy as np
from PIL import Image

import tiny
from frugal.data.cache import Cache, open_cache
from frugal.data.prepare import prepare
from frugal.spec import RunSpec

CLASSES = ("ant", "bee", "cat")


def write(home: Path) -> None:
    """Ten training and four test images of each of three classes, of several shapes; one is grey and one is damaged."""
    for label, name in enumerate(CLASSES):
        for part, count in (("train", 10), ("val", 4)):
            (home / part / name).mkdir(parents=True)
            for n in range(count):
                coarse = np.random.default_rng([label, n, part == "val"]).integers(0, 256, (4, 5, 3), dtype=np.uint8)
                picture = Image.fromarray(coarse).resize((40 + n, 30 + 4 * label), Image.Resampling.BICUBIC)
                picture = picture.convert("L") if (label, n) == (1, 2) else picture
                picture.save(home / part / name / f"{n}é{'x' * n}.{'png' if n % 4 == 3 else 'JPEG'}")
    (home / "train" / "bee" / "0é.JPEG").write_bytes(b"no image")


def prepared(folder: Path, folders: tuple[str, ...] = ("photos",), **changes: object) -> Cache:
    """The images in the first of `folders` under `folder`/data as an opened cache."""
    described = {
        "name": "photos",
        "source": "imagefolder",
        "shape": [3, 16, 16],
        "classes": 3,
        "validation": 6,
        "split_seed": 0,
        "options": {"folders": list(folders), "size": 16, "train_resize": 20, "damaged": 0.1},
        "dct": {"bits": 8},
        "images": True,
    }
    return open_cache(prepare(described | changes, folder / "cache", folder / "downloads", folder / "data", 1))


def spec(use: str = "full", batch_size: int = 6, epochs: int = 3, **parameters: object) -> RunSpec:
    """Three epochs of four batches, augmented."""
    augment = {"crop_padding": 1, "flip": True}
    run = tiny.spec(use, recipe={"epochs": epochs, "batch_size": batch_size, "augment": augment}, **parameters)
    dataset = {"name": "photos", "source": "imagefolder", "shape": (3, 16, 16), "classes": 3, "validation": 6}
    return RunSpec.model_validate(run.model_dump() | {"dataset": dataset})
