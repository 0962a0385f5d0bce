"""Benchmark of feeding batches: rows gathered and augmented on the device, against a torchvision data set behind a DataLoader."""

import struct
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader
from torchvision import datasets

from frugal.bench import generated, plain
from frugal.bench.row import Row, rate
from frugal.data.augment import augment
from frugal.data.device import Pixels

SAMPLES, BATCH, PADDING = 6400, 128, 2


def measure(folder: Path) -> list[Row]:
    """Samples per second of both, 28x28, random crop with padding 2 and flip, one thread; the loader also with two workers."""
    cache = generated.cache(folder / "feeding", SAMPLES)
    ours = rate(lambda: _feed(cache))
    loaded = _torchvision(
        folder / "torchvision", np.array(cache.array("train_images")), np.array(cache.array("train_labels"))
    )
    loaders = {workers: rate(lambda w=workers: _load(loaded, w), 0.2) for workers in (0, 2)}
    return [
        Row("feeding", "batches from the device, augmented", ours, "samples/s"),
        *(Row("feeding", f"torchvision + DataLoader, {w} workers", r, "samples/s") for w, r in loaders.items()),
        Row("feeding", "ours over the better loader", ours / max(loaders.values()), "x", 10),
    ]


def _feed(cache: object) -> int:
    data, generator = Pixels(cache, "train", torch.device("cpu")), torch.Generator()
    for indices in torch.randperm(len(data), generator=generator).split(BATCH):
        augment(data.read(indices), PADDING, True, generator)
        data.labels[indices]
    return len(data)


def _load(dataset: object, workers: int) -> int:
    for _ in DataLoader(dataset, BATCH, shuffle=True, num_workers=workers):
        pass
    return len(dataset)


def _torchvision(root: Path, images: np.ndarray, labels: np.ndarray) -> object:
    """torchvision's own MNIST class over the same images, with the transforms a user would write."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for split in ("train", "t10k"):
        for kind, array in (("images", images[:, 0]), ("labels", labels.astype(np.uint8))):
            header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            (raw / f"{split}-{kind}-idx{array.ndim}-ubyte").write_bytes(header + array.tobytes())
    return datasets.MNIST(root, train=True, transform=plain.transform(28, PADDING, flip=True))
