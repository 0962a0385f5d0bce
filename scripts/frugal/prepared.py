"""Prepared data sets as the planner sees them: how many training samples a run will have, as far as that is known."""

import json
from pathlib import Path

from frugal.errors import FrugalError
from frugal.spec import DatasetSpec


def prepared_samples(folder: Path, dataset: DatasetSpec) -> int | None:
    """Training samples of the cache in a folder; None where there is none, or it was made from another description."""
    try:
        made = json.loads((folder / "manifest.json").read_bytes())
        described = {"source": dataset.source, "shape": list(dataset.shape), "classes": dataset.classes}
        same = all(made[key] == value for key, value in described.items())
        splits = made["splits"]
        return int(splits["train"]) if same and splits["validation"] == dataset.validation else None
    except (OSError, ValueError, KeyError, TypeError):  # whoever opens it says what is wrong with it
        return None


def check_batch(size: int, samples: int | None, folder: Path, where: str) -> None:
    """Raise FrugalError for a batch larger than the training set. folder: of the cache; where: in the config."""
    if samples is not None and size > samples:
        raise FrugalError(
            f"{where} has recipe.batch_size {size}, and the training set of {folder.name} holds {samples} samples; "
            f"lower it to that or less, or delete {folder} if the data has grown"
        )
