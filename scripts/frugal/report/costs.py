"""What is measured of a run, in words: the heading of a column, the label of an axis, the verb of a sentence. Each fact once.

Costs are measured apart and never derived from each other. A study names the one it is about (`cost` in its file).
"""

from dataclasses import dataclass

import pandas as pd
from matplotlib import ticker

from frugal.costs import RUNNING


@dataclass(frozen=True)
class Metric:
    """A number of runs.csv, by its column.

    axis, unit: of a figure; shown: heading of a table, in whose unit it is the number times `scale`, with `digits`.
    Of a cost also: saved: heading of the share that was saved; saving: what a strategy does, {} is the share; equally: what
    a control of equal cost does
    """

    axis: str
    shown: str
    scale: float = 1
    digits: int = 1
    unit: str = ""
    saved: str = ""
    saving: str = ""
    equally: str = ""

    def told(self, amount: float) -> str:
        """An amount with its unit, to three digits, e.g. 3.31k."""
        return self.formatter(float(f"{amount:.3g}"))

    @property
    def noun(self) -> str:
        """Of a cost, e.g. "samples"."""
        return self.saved.removesuffix(" saved")

    @property
    def formatter(self) -> ticker.Formatter:
        """For the axis of a figure."""
        return ticker.EngFormatter(unit=self.unit, sep="\N{THIN SPACE}" if self.unit else "")


COSTS = {
    "samples_backpropagated": Metric(
        axis="samples back-propagated in training",
        shown="samples back-propagated",
        digits=0,
        saved="samples saved",
        saving="back-propagates {} fewer samples",
        equally="back-propagates as many samples",
    ),
    "samples_forwarded": Metric(
        axis="samples forwarded in training",
        shown="samples forwarded",
        digits=0,
        saved="forward passes saved",
        saving="forwards {} fewer samples",
        equally="forwards as many samples",
    ),
    "bytes_read": Metric(
        axis="bytes read in training",
        shown="read, MB",
        scale=1e-6,
        unit="B",
        saved="bytes saved",
        saving="reads {} fewer bytes",
        equally="reads as many bytes",
    ),
    "flops_executed": Metric(
        axis="FLOPs executed in training",
        shown="GFLOPs executed",
        scale=1e-9,
        unit="FLOP",
        saved="FLOPs saved",
        saving="executes {} fewer FLOPs",
        equally="executes as many FLOPs",
    ),
    "flops_forward_per_sample": Metric(
        axis="FLOPs of a sample, forward, at the end",
        shown="MFLOPs of a sample",
        scale=1e-6,
        digits=3,
        unit="FLOP",
        saved="FLOPs of a sample saved",
        saving="ends with {} fewer FLOPs per sample",
        equally="ends with as many FLOPs per sample",
    ),
    "train_seconds": Metric(
        axis="seconds of training",
        shown="training, s",
        digits=2,
        unit="s",
        saved="seconds saved",
        saving="trains in {} less time",
        equally="trains as long",
    ),
    "cpu_seconds": Metric(
        axis="CPU seconds of training",
        shown="CPU, s",
        digits=2,
        unit="s",
        saved="CPU seconds saved",
        saving="takes {} fewer CPU seconds",
        equally="takes as many CPU seconds",
    ),
    "energy_joules": Metric(
        axis="joules metered in training",
        shown="energy, J",
        unit="J",
        saved="energy saved",
        saving="takes {} less energy",
        equally="takes as much energy",
    ),
    "peak_memory_bytes": Metric(
        axis="peak memory of training",
        shown="peak memory, MB",
        scale=1e-6,
        digits=0,
        unit="B",
        saved="memory saved",
        saving="needs {} less memory",
        equally="needs as much memory",
    ),
    "model_bytes": Metric(
        axis="size of the model",
        shown="model, MB",
        scale=1e-6,
        digits=3,
        unit="B",
        saved="model bytes saved",
        saving="is stored in {} fewer bytes",
        equally="is stored in as many bytes",
    ),
    "optimizer_bytes": Metric(
        axis="size of the optimizer's state",
        shown="optimizer, MB",
        scale=1e-6,
        digits=3,
        unit="B",
        saved="optimizer bytes saved",
        saving="needs {} fewer bytes of optimizer state",
        equally="needs as many bytes of optimizer state",
    ),
    "live_parameters": Metric(
        axis="live parameters at the end",
        shown="live parameters",
        digits=0,
        saved="parameters saved",
        saving="ends with {} fewer live parameters",
        equally="ends with as many live parameters",
    ),
}
METRICS = COSTS | {
    "test_accuracy": Metric("test accuracy", "accuracy, %", 100, 2),
    "best_test_accuracy": Metric("best test accuracy", "best epoch on test, %", 100, 2),
    "test_accuracy_full_fidelity": Metric("test accuracy, uncompressed", "accuracy, uncompressed, %", 100, 2),
    "test_accuracy_flips": Metric("test accuracy, mean over views", "accuracy over views, %", 100, 2),
    "best_val_accuracy": Metric("best validation accuracy", "best validation, %", 100, 2),
    "val_accuracy": Metric("validation accuracy", "validation, %", 100, 2),
    "test_f1": Metric("macro F1", "macro F1, %", 100, 2),
    "test_balanced_accuracy": Metric("balanced accuracy", "balanced accuracy, %", 100, 2),
    "test_roc_auc": Metric("area under the ROC curve", "ROC AUC, %", 100, 2),
    "test_wer": Metric("word error rate", "WER, %", 100),
    "test_cer": Metric("character error rate", "CER, %", 100),
    "test_loss": Metric("test loss", "test loss", digits=4),
    "inference_seconds": Metric("inference on the test set", "inference on test, ms", 1000, 1, "s"),
    "compression_ratio": Metric("bytes of the raw images over bytes read", "compression", digits=2),
}

ALWAYS = ("flops_executed", "train_seconds")  # that nothing was saved of these is a result too
FOLLOWS = {
    "samples_forwarded": "samples_backpropagated",
    "bytes_read": "samples_backpropagated",
    "cpu_seconds": "train_seconds",
    "flops_forward_per_sample": "flops_executed",
}


def spent_by_epoch(history: pd.DataFrame, cost: str) -> pd.Series | None:
    """What one run had spent of a cost by the end of each epoch; None where its history can't tell."""
    running = RUNNING.get(cost)
    if running is None or running.column not in history:
        return None
    if not running.summed:
        return history[running.column]
    charged = history[running.charged].fillna(0) if running.charged in history else 0
    return history[running.column].cumsum() + charged


def worth_a_column(summary: pd.DataFrame, main: str) -> list[str]:
    """The costs that a table of savings shows: the study's own, FLOPs, seconds, and what else was measured and differs.

    summary: a row per strategy; main: the cost that the study is about. A cost that only follows another one
    is left out unless it is the study's own.
    """
    shown = []
    for cost in dict.fromkeys([main, *COSTS]):
        saved = summary[f"{cost}_saved_mean"].dropna()
        if cost == main or (cost in ALWAYS and len(saved)):
            shown.append(cost)
        elif (saved.abs() >= 0.005).any():  # what rounds to nothing for every strategy needs no column
            leader = FOLLOWS.get(cost)
            if leader is None or (saved - summary[f"{leader}_saved_mean"]).abs().max() >= 0.005:
                shown.append(cost)
    return shown
