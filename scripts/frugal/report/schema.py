"""What a run's record must hold. A missing key or column is an error, one more than these is welcome."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(min_length=1)]

HISTORY = [
    *("epoch", "steps", "samples", "train_loss", "train_accuracy", "val_loss", "val_accuracy"),
    *("learning_rate", "train_seconds", "flops_executed", "bytes_read"),
]
ITERATIONS = ["step", "epoch", "loss"]
TRACE = ["epoch", "batch"]


class Metrics(BaseModel):
    """metrics.json: accuracies are fractions, times seconds, memory and data bytes, energy joules; null = not measurable."""

    model_config = ConfigDict(extra="allow", strict=True)

    study: Name
    scale: Name
    dataset: Name
    model: Name
    strategy: Name
    seed: int
    epochs: Count
    epochs_trained: Amount | None = None  # records of before the last epoch could end early lack it
    steps: Count
    uncounted_steps: Count | None = None  # records of before it was counted lack it
    skipped_steps: Count | None = None  # likewise
    test_accuracy: Fraction
    test_accuracy_full_fidelity: Fraction
    test_accuracy_flips: Fraction | None = None  # null where the recipe has no test_time
    test_f1: Fraction | None
    test_balanced_accuracy: Fraction | None = None  # records of before they were scored lack this and the next
    test_roc_auc: Fraction | None = None
    test_wer: Amount | None = None
    test_cer: Amount | None = None
    test_loss: Amount | None
    val_accuracy: Fraction
    best_val_accuracy: Fraction
    train_seconds: Amount
    evaluation_seconds: Amount
    checkpoint_seconds: Amount
    inference_seconds: Amount | None
    counting_seconds: Amount | None = None  # records of before they were written lack this and the next four
    other_seconds: Amount | None = None
    cpu_seconds: Amount | None = None
    machine_load: Amount | None = None  # likewise
    train_queued_seconds: Amount | None = None
    train_idle_seconds: float | None = None
    peak_memory_bytes: Count | None
    peak_memory_source: Name
    model_bytes: Count
    optimizer_bytes: Count | None = None  # records of before it was counted lack it
    parameters: Count
    live_parameters: Count
    nonzero_parameters: Count | None = None
    flops_forward_per_sample: Amount | None
    flops_executed: Amount | None
    flops_forward: Amount | None
    flops_backward: Amount | None
    flops_scoring: Amount | None
    flops_decoding: Amount | None
    flops_optimizer: Amount = 0  # records of before there was an optimizer with matrix products lack it
    flops_source: Name | None = None  # likewise
    samples_forwarded: Count
    samples_backpropagated: Count
    bytes_read: Count
    bytes_raw: Count
    charged_flops: Amount | None = 0  # records of before there were scoring runs lack this and the next five
    charged_samples_forwarded: Count = 0
    charged_samples_backpropagated: Count = 0
    charged_bytes_read: Count = 0
    charged_train_seconds: Amount = 0
    charged_cpu_seconds: Amount | None = 0
    compression_ratio: Amount | None
    energy_joules: Amount | None
    energy_source: Name
    device: Name
    fingerprint: Name

    @model_validator(mode="after")
    def _best_is_best(self) -> "Metrics":
        if self.best_val_accuracy < self.val_accuracy:
            raise ValueError("best_val_accuracy lies below val_accuracy")
        return self


class Git(BaseModel):
    """The commit the run was made at; null outside a git checkout."""

    commit: str | None
    dirty: bool | None


class Hardware(BaseModel):
    """The machine the run was made on."""

    model_config = ConfigDict(extra="allow")

    cpu: Name
    cores: Count
    threads: Count
    memory_bytes: Count | None
    gpu: str | None


class Manifest(BaseModel):
    """manifest.json: what was run, with which code and data, on what machine, and when."""

    model_config = ConfigDict(extra="allow")

    spec: dict[str, Any]
    fingerprint: Name
    data_checksum: Name
    code: dict[str, str]
    git: Git
    versions: dict[str, str | None]
    hardware: Hardware
    started: datetime
    ended: datetime
    resumes: Count
    opened: dict[str, int] | None = None  # how often each split was, before the test set was due
    samples: dict[str, int] | None = None  # of each split
    notes: list[str]
    run: Name | None = None  # records of before they were sealed lack this and the next three
    plan: Name | None = None
    followed: Name | None = None
    seal: Name | None = None
