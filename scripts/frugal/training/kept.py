"""What a run leaves beside its record on request: the trained net, and what it says of every test sample.

Neither is part of the record: no figure depends on them, and they may be deleted. Both name the run by its fingerprint.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn import functional

from frugal.atomic import writing
from frugal.errors import needs_extra
from frugal.record import KEPT
from frugal.training.tasks import logits_of
from frugal.training.trainer import Trainer

MODEL, PREDICTIONS = KEPT["model"], KEPT["predictions"]


def keep(wanted: Sequence[str], folder: Path, trainer: Trainer, fingerprint: str) -> list[str]:
    """Write what is wanted of KEPT, and remove what an earlier run left of the others; returns notes for the log.

    Raises FrugalError where safetensors or pyarrow is not installed.
    """
    for name, file in KEPT.items():
        if name not in wanted:
            (folder / file).unlink(missing_ok=True)
    if "model" in wanted:
        keep_model(folder / MODEL, trainer, fingerprint)
    if "predictions" not in wanted:
        return []
    if trainer.cache.task != "classification":
        return [f"{PREDICTIONS}: not written, transcripts have no class to predict"]
    keep_predictions(folder / PREDICTIONS, trainer, fingerprint)
    return []


def keep_model(file: Path, trainer: Trainer, fingerprint: str) -> None:
    """Weights and statistics of the net as it is tested, by the names of its state_dict; removed neurons are not in it."""
    with needs_extra("vision", "nets that are kept"):
        from safetensors.torch import save_model  # weights that two layers share are kept once

    about = {"run": trainer.spec.path, "fingerprint": fingerprint}
    with writing(file) as temporary:
        save_model(trainer.model, str(temporary), metadata=about)


def keep_predictions(file: Path, trainer: Trainer, fingerprint: str) -> None:
    """A row per test sample, in the order of the cache: index, label, predicted, loss, and probability_<class> of each class."""
    with needs_extra("data", "predictions of a run"):
        import pyarrow as pa
        from pyarrow import parquet
    data = trainer.open("test")
    level = trainer.strategy.test_level()
    spectral = trainer.strategy.spectral and level is not None
    autocast = trainer.forward.autocast
    logits = torch.cat([part.float() for _, part in logits_of(trainer.model, data, level, spectral, autocast)])
    labels, probabilities = data.labels, functional.softmax(logits, 1)
    columns = {
        "index": torch.arange(len(labels)),
        "label": labels,
        "predicted": logits.argmax(1),
        "loss": functional.cross_entropy(logits, labels, reduction="none"),
        **{f"probability_{place}": probabilities[:, place] for place in range(logits.shape[1])},
    }
    table = pa.table({name: pa.array(values.cpu().numpy()) for name, values in columns.items()})
    table = table.replace_schema_metadata({"run": trainer.spec.path, "fingerprint": fingerprint})
    with writing(file) as temporary:
        parquet.write_table(table, temporary)
