"""Benchmark of image folders: how fast they become a cache, beside what decoding them takes, and the DCT store at 224 x 224.

The photographs are generated: 500 x 375 JPEGs with grain, about as large in bytes as ImageNet's. How well the DCT store keeps
a picture depends on the picture, so that is measured on imagenette-224 where FRUGAL_DATA has it, and left out elsewhere.
"""

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import simplejpeg
import torch
from PIL import Image

from frugal.bench import generated
from frugal.bench.row import Row, rate, ratio, seconds_of
from frugal.data import dct, shards
from frugal.data.cache import Cache, open_cache, write_cache
from frugal.data.device import Coefficients, Pixels
from frugal.data.prepare import prepare
from frugal.data.sources import imagefolder

COUNT, WIDTH, HEIGHT, GRAIN, QUALITY = 120, 500, 375, 14, 85
COPIES = 6
SIZE, KEEP, BATCH = 224, 112, 64
GOAL = 0.9  # of the rate at which libjpeg decodes


def measure(folder: Path) -> list[Row]:
    """All with one core. folder: for the photographs and their caches."""
    home = folder / "images" / "photos"
    files = photographs(home)
    contents = [file.read_bytes() for file in files]
    rows = [Row("images", f"libjpeg (Pillow): {WIDTH}x{HEIGHT} decoded", rate(lambda: decode(contents)), "images/s")]
    rows.append(Row("images", "the same files: mean size", np.mean([len(c) for c in contents]) / 1000, "kB"))
    turbo = rate(lambda: sum(simplejpeg.decode_jpeg(content) is not None for content in contents))
    rows.append(Row("images", "libjpeg-turbo without Pillow's copies: the same decoded", turbo, "images/s"))
    shown = {SIZE: f"read to {SIZE}x{SIZE} shards", 64: "read to 64x64 shards"}
    for size, what in shown.items():
        listed = [shards.Image(file, file.name, size) for file in files]
        time = ratio(lambda n=size, i=listed: shards._work(i, n, folder / "shard"), lambda: decode(contents))
        rows.append(Row("images", f"{what}, rate over libjpeg's", 1 / time, "x", GOAL))
    for copy in range(1, COPIES):  # more files, so that the start of processes is no matter
        for file in files:
            os.link(file, file.with_stem(f"{file.stem}-{copy}"))
    whole = [seconds_of(lambda n=n: _prepare(folder, n)) / seconds_of(lambda: decode(contents)) for n in range(2)]
    rows.append(Row("images", "all of the preparation, rate over libjpeg's", COPIES / min(whole), "x"))
    return rows + _store(folder)


def photographs(home: Path) -> list[Path]:
    """COUNT training images of two classes, and as few test images as can be; returns the training files."""
    generator, files = np.random.default_rng(0), []
    for number, pixels in enumerate(generated.images(COUNT, (3, HEIGHT // 5, WIDTH // 5))):
        image = Image.fromarray(pixels.transpose(1, 2, 0)).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        grain = generator.normal(0, GRAIN, (HEIGHT, WIDTH, 1))
        image = Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8))
        for part in ("train", "val") if number < 2 else ("train",):
            file = home / part / f"class-{number % 2}" / f"{number}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            image.save(file, quality=QUALITY)
        files.append(home / "train" / f"class-{number % 2}" / f"{number}.jpg")
    return files


def decode(contents: list[bytes]) -> int:
    """Every file to RGB in memory, and nothing else."""
    for content in contents:
        Image.open(BytesIO(content)).load()
    return len(contents)


def _prepare(folder: Path, number: int) -> None:
    """All of the preparation, with the start of its one process, its checksums and its writing to the disk."""
    described = {
        "name": f"photos-{number}",
        "source": "imagefolder",
        "shape": [3, SIZE, SIZE],
        "classes": 2,
        "validation": 2,
        "split_seed": 0,
        "options": {"folders": ["photos"], "size": SIZE},
        "dct": None,
    }
    prepare(described, folder / f"cache-{number}", folder / "downloads", folder / "images")


def _store(folder: Path) -> list[Row]:
    """Size, error and reading rate of pixels and coefficients."""
    data = Path(os.environ.get("FRUGAL_DATA", "/nowhere")).expanduser()
    real = (data / "imagenette-224").is_dir()
    if real:
        arrays = imagefolder.read(data, folder / "nette", folders=["imagenette-224"], size=SIZE)
        pixels = arrays.train_inputs[::4]
    else:
        pixels = generated.images(256, (3, SIZE, SIZE))
    rows = [Row("images", f"{SIZE}x{SIZE} as pixels: bytes an image", pixels[0].nbytes / 1000, "kB")]
    for keep in (SIZE, KEEP):
        quantiser = dct.fit(pixels, 8, keep)
        about = dct.about(pixels, quantiser)
        name = f"{SIZE}x{SIZE} as {keep}x{keep} coefficients"
        rows.append(Row("images", f"{name}: bytes an image", about["bytes_per_sample"] / 1000, "kB"))
        if real:
            rows.append(Row("images", f"{name}: PSNR on imagenette", about["psnr_db"], "dB"))
        cache = _cache(folder / f"store-{keep}", pixels, quantiser, about)
        if keep == SIZE:
            rows.append(Row("images", "reading pixels", rate(lambda c=cache: _read(Pixels, c)), "images/s"))
        rows.append(
            Row(
                "images",
                f"reading {keep}x{keep} coefficients",
                rate(lambda c=cache: _read(Coefficients, c)),
                "images/s",
            )
        )
    return rows


def _cache(folder: Path, pixels: np.ndarray, quantiser: dct.Quantiser, store: dict[str, object]) -> Cache:
    arrays = {
        "train_images": pixels,
        "train_labels": np.zeros(len(pixels), np.int64),
        "train_coefficients": dct.encoded(pixels, quantiser),
        **quantiser.arrays(),
    }
    about = {"dataset": "photos", "shape": list(pixels.shape[1:]), "mean": [120.0] * 3, "std": [60.0] * 3, "dct": store}
    return open_cache(write_cache(folder, arrays, about))


def _read(kind: type[Pixels | Coefficients], cache: Cache) -> int:
    data = kind(cache, "train", torch.device("cpu"))
    for indices in torch.randperm(len(data)).split(BATCH):
        data.read(indices)
    return len(data)
