"""A small real data set, prepared, and runs on it: what most tests train."""

import io
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits

from frugal.data import dct
from frugal.data.cache import Cache, open_cache, write_cache
from frugal.faults.checkout import comparable as outcome  # noqa: F401  tests call it by this name
from frugal.measure.ledger import Charge
from frugal.spec import RunSpec
from frugal.training.scoring import Scoring, as_file
from frugal.training.trainer import Trainer
from frugal.training.writer import metrics

SAMPLES = {"train": 300, "validation": 60, "test": 100}
CNN = {"name": "cnn", "use": "cnn", "parameters": {"channels": [8, 16]}}
VIT = {  # 16 patches
    "name": "vit",
    "use": "vit",
    "parameters": {"patch": 2, "layers": 4, "heads": 2, "hidden": 8, "feed_forward": 16, "dropout": 0.1},
}


def write_digits(folder: Path, times: int = 1) -> Path:
    """The first of scikit-learn's digits as a cache, each pixel `times` as wide and high; returns its manifest."""
    bunch = load_digits()
    images = np.rint(bunch.images * 255 / 16).astype(np.uint8)[:, None]
    images = images.repeat(times, 2).repeat(times, 3)
    arrays, start = {}, 0
    for split, count in SAMPLES.items():
        arrays[f"{split}_images"] = images[start : start + count]
        arrays[f"{split}_labels"] = bunch.target[start : start + count].astype(np.int64)
        start += count
    quantiser = dct.fit(arrays["train_images"])
    for split in SAMPLES:
        arrays[f"{split}_coefficients"] = dct.encode(arrays[f"{split}_images"], quantiser)
    arrays.update(quantiser.arrays())
    pixels = arrays["train_images"]
    about = {
        "dataset": "digits",
        "source": "digits",
        "shape": list(images.shape[1:]),
        "classes": 10,
        "generated": False,
        "mean": [float(pixels.mean())],
        "std": [float(pixels.std())],
        "splits": SAMPLES,
        "dct": dct.about(pixels, quantiser),
        "notes": [],
    }
    return write_cache(folder, arrays, about)


def spec(
    use: str = "full", seed: int = 0, recipe: dict | None = None, model: dict = CNN, **parameters: object
) -> RunSpec:
    """A run on the small digits: three epochs of a small net."""
    return RunSpec.model_validate(
        {
            "study": "test",
            "scale": "demo",
            "dataset": {"name": "digits", "source": "digits", "shape": (1, 8, 8), "classes": 10, "validation": 60},
            "model": model,
            "recipe": {"epochs": 3, "batch_size": 32, "learning_rate": 0.05, **(recipe or {})},
            "strategy": {"name": use, "use": use, "parameters": parameters},
            "seed": seed,
        }
    )


def trainer(cache: Cache, run: RunSpec | None = None, **options: object) -> Trainer:
    """A trainer on the CPU."""
    return Trainer(run or spec(), cache, torch.device("cpu"), **options)


def following(leader: Trainer) -> dict:
    """What the trainer of a run that follows this one is given, as the job reads it from the record."""
    scores, charge = leader.strategy.sample_scores(), Charge.of(metrics(leader, ""))
    if scores is None:
        return {"followed": leader.history.rows}
    made = torch.from_numpy(np.load(io.BytesIO(as_file(scores))))
    return {"followed": leader.history.rows, "scoring": Scoring(made, charge, "")}


def digits_cache(tmp_path_factory: object) -> Cache:
    """The prepared digits, opened."""
    return open_cache(write_digits(tmp_path_factory.mktemp("digits")))
