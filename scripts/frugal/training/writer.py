"""Record of a finished run, as it is written: figures, three tables as CSV, scores, and manifest.json, which seals them."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import torch

from frugal.atomic import write_bytes
from frugal.imports import digest_of
from frugal.measure.clock import OTHER, SCHEDULED
from frugal.measure.memory import peak_memory
from frugal.measure.scores import roc_auc
from frugal.measure.weights import nonzero_weights, optimizer_bytes, weights_of
from frugal.record import (
    HISTORY,
    ITERATIONS,
    MANIFEST,
    METRICS,
    SCHEMA,
    SCORES,
    TRACE,
    seal,
)
from frugal.training.device import describe_hardware
from frugal.training.scoring import as_file
from frugal.training.trainer import Trainer
from frugal.versions import git_state, versions


def metrics(trainer: Trainer, fingerprint: str) -> dict[str, Any]:
    """The figures of a finished run; touches the test data, once per fidelity, and once more for `test_time`."""
    spec, ledger = trainer.spec, trainer.ledger
    test_data = trainer.open("test")
    with trainer.clock.stage("inference"):
        test = trainer.evaluate(test_data, keep_logits=trainer.cache.task == "classification")
    sharp = test if trainer.strategy.test_level() is None else trainer.evaluate(trainer.open("test", "pixels"), True)
    flips = None
    if spec.recipe.test_time is not None:
        with trainer.clock.stage("evaluate"):
            flips = trainer.evaluate(test_data, views=spec.recipe.test_time, plain=test.logits).accuracy
    clock, weights, charge = trainer.clock, weights_of(trainer.model), trainer.charge

    def timed(name: str, own: float | None) -> float | None:
        """Seconds or joules with those that are charged, None where one of them isn't known."""
        charged = 0.0 if charge is None else getattr(charge, name)
        return None if None in (own, charged) else own + charged

    seconds = clock.seconds
    memory, memory_source = peak_memory(trainer.device)
    auc, why = None, None
    if test.logits is not None:  # after time and memory were looked at, which are those of training and inference
        auc, why = roc_auc(test_data.labels, test.logits)
    trainer.unmeasured = [f"test_roc_auc: null, {why}"] if why else []
    removed, masked = trainer.strategy.left_out()
    values = [row["val_accuracy"] for row in trainer.history.rows if row["val_accuracy"] is not None]
    pixels = trainer.strategy.test_level() if trainer.strategy.spectral else trainer.train_data.shape[-1]
    return {
        "schema": SCHEMA,
        "study": spec.study,
        "scale": spec.scale,
        "dataset": spec.dataset.name,
        "model": spec.model.name,
        "strategy": spec.strategy.name,
        "seed": spec.seed,
        "epochs": trainer.epoch,
        "epochs_trained": trainer.passed,
        "steps": ledger.steps,
        "uncounted_steps": ledger.uncounted_steps,
        "skipped_steps": ledger.skipped_steps,
        "test_accuracy": test.accuracy,
        "test_accuracy_full_fidelity": sharp.accuracy,
        "test_accuracy_flips": flips,
        "test_f1": test.scores.f1,
        "test_balanced_accuracy": test.scores.balanced_accuracy,
        "test_roc_auc": auc,
        "test_wer": test.scores.wer,
        "test_cer": test.scores.cer,
        "test_loss": test.loss if math.isfinite(test.loss) else None,  # JSON has no other number
        "val_accuracy": values[-1],
        "best_val_accuracy": max(values),
        "train_seconds": timed("train_seconds", seconds["train"]),
        "evaluation_seconds": seconds["evaluate"],
        "checkpoint_seconds": seconds.get("checkpoint", 0.0),
        "compile_seconds": seconds.get("compile", 0.0),
        "inference_seconds": seconds["inference"],
        "counting_seconds": seconds.get("count", 0.0),
        "other_seconds": seconds.get(OTHER, 0.0),
        "cpu_seconds": timed("cpu_seconds", clock.cpu["train"]),
        "train_queued_seconds": timed("train_queued_seconds", clock.queued["train"]),
        "train_idle_seconds": timed("train_idle_seconds", clock.idle["train"]),
        "machine_load": sum(trainer.loads) / len(trainer.loads),
        "peak_memory_bytes": memory,
        "peak_memory_source": memory_source + (f", of the first of {spec.devices} ranks" if spec.devices > 1 else ""),
        "model_bytes": weights.bytes,
        "optimizer_bytes": optimizer_bytes(trainer.optimizer) + (trainer.average.bytes if trainer.average else 0),
        "parameters": weights.parameters + removed,
        "live_parameters": weights.live - masked,
        "nonzero_parameters": nonzero_weights(trainer.model),
        "flops_forward_per_sample": trainer.flops_at(pixels).forward,
        "flops_useful_per_sample": trainer.flops_at(pixels, useful=True).forward,
        "flops_executed": ledger.flops_executed,
        "flops_forward": ledger.flops_forward,
        "flops_backward": ledger.flops_backward,
        "flops_scoring": ledger.flops_scoring,
        "flops_decoding": ledger.flops_decoding,
        "flops_optimizer": ledger.flops_optimizer,
        "flops_source": "; ".join(trainer.flops_sources),
        **{
            name: ledger.whole(name)
            for name in ("samples_forwarded", "samples_backpropagated", "bytes_read", "bytes_raw")
        },
        "charged_flops": ledger.charged_flops,
        "charged_samples_forwarded": ledger.charged_samples_forwarded,
        "charged_samples_backpropagated": ledger.charged_samples_backpropagated,
        "charged_bytes_read": ledger.charged_bytes_read,
        "charged_train_seconds": 0.0 if charge is None else charge.train_seconds,
        "charged_cpu_seconds": 0.0 if charge is None else charge.cpu_seconds,
        "compression_ratio": ledger.whole("bytes_raw") / ledger.whole("bytes_read") if ledger.bytes_read else None,
        "energy_joules": timed("energy_joules", trainer.joules),
        "energy_source": trainer.energy.source,
        "device": trainer.device.type,
        "fingerprint": fingerprint,
    }


def manifest(
    trainer: Trainer,
    fingerprint: str,
    code: dict[str, str],
    times: dict[str, str],
    notes: list[str],
    followed: str | None = None,
) -> dict[str, Any]:
    """Where the figures come from, and what they are of.

    code: sha256 by file; times: started and ended, ISO in UTC; followed: see `frugal.record`
    """
    return {
        "schema": SCHEMA,
        "spec": trainer.spec.model_dump(mode="json"),
        "code": code,
        "git": git_state(),
        "versions": versions(),
        "hardware": describe_hardware(trainer.device),
        **times,
        "resumes": trainer.ledger.resumes,
        "opened": trainer.opened,
        "samples": trainer.cache.manifest["splits"],
        "notes": [
            *notes,
            *trainer.notes,
            *trainer.strategy.notes,
            *trainer.unmeasured,
            *_skipped(trainer),
            *_unscheduled(trainer),
            *_charged(trainer),
        ],
        "run": trainer.spec.path,
        "plan": trainer.spec.plan(digest_of(code)),
        "data_checksum": trainer.cache.checksum,
        "followed": followed,
        "fingerprint": fingerprint,
    }


def _skipped(trainer: Trainer) -> list[str]:
    if trainer.scaler is None:
        return []
    skipped, steps, scale = trainer.ledger.skipped_steps, trainer.ledger.steps, trainer.scaler.get_scale()
    told = f"{skipped:,} of {steps:,} steps were skipped, since a gradient overflowed"
    return [f"precision float16: {told}; the loss was scaled by {scale:g} in the end"]


def _unscheduled(trainer: Trainer) -> list[str]:
    told = trainer.clock.idle.get("train") is not None
    return [] if told else [f"train_queued_seconds, train_idle_seconds: null, {SCHEDULED} can't be read"]


def _charged(trainer: Trainer) -> list[str]:
    """What was charged for the scores of another run, in a sentence."""
    spent, name = trainer.charge, trainer.spec.strategy.follows
    if spent is None:
        return []
    flops = "FLOPs that were not counted" if spent.flops_executed is None else f"{spent.flops_executed:,} FLOPs"
    told = f"charged in full with {name}, whose scores it uses: {flops}, {spent.samples_backpropagated:,} samples "
    return [told + f"back-propagated, {spent.bytes_read:,} bytes read, {spent.train_seconds:.3f} seconds"]


def _with_charge(trainer: Trainer) -> list[dict[str, Any]]:
    """The rows of the history, seconds with those that are charged; FLOPs and bytes are charged where they are counted."""
    charge = trainer.charge
    if charge is None:
        return trainer.history.rows
    spent = {"train_seconds": charge.train_seconds, "cpu_seconds": charge.cpu_seconds or 0.0}
    return [row | {name: row[name] + spent[name] for name in spent} for row in trainer.history.rows]


def write_record(folder: Path, figures: dict[str, Any], about: dict[str, Any], trainer: Trainer) -> None:
    """Write the six files, each whole; metrics.json comes last, so where it is the record is complete."""
    curve = torch.cat(trainer.history.curve).tolist()
    epochs = [epoch for epoch, part in enumerate(trainer.history.curve, 1) for _ in range(len(part))]
    iterations = [
        {"step": i, "epoch": e, "loss": f"{loss:.6g}"} for i, (e, loss) in enumerate(zip(epochs, curve, strict=True), 1)
    ]
    contents = {
        HISTORY: _csv(_with_charge(trainer)).encode(),
        ITERATIONS: _csv(iterations).encode(),
        TRACE: _trace(trainer.history.traces).encode(),
        SCORES: as_file(trainer.strategy.sample_scores()),
        METRICS: (json.dumps(figures, indent=2, allow_nan=False) + "\n").encode(),
    }
    for name, content in {MANIFEST: seal(about, contents), **contents}.items():
        write_bytes(folder / name, content)


def _trace(epochs: list[dict[str, torch.Tensor]]) -> str:
    """What a strategy logged batch by batch, as CSV with a header in any case: batch (in its epoch), epoch, its columns."""
    rows = [
        {"epoch": epoch, "batch": batch, **{name: f"{value:.6g}" for name, value in zip(logged, values, strict=True)}}
        for epoch, logged in enumerate(epochs, 1)
        for batch, values in enumerate(zip(*(column.tolist() for column in logged.values()), strict=True), 1)
    ]
    return _csv(rows) if rows else "epoch,batch\n"


def _csv(rows: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    names = dict.fromkeys(name for row in rows for name in row)  # of some columns only a later row tells
    writer = csv.DictWriter(out, fieldnames=list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def describe(figures: dict[str, Any]) -> str:
    """One line about a finished run, for the log."""
    shown = {
        k: figures[k]
        for k in ("test_accuracy", "test_accuracy_full_fidelity", "train_seconds", "bytes_read", "flops_executed")
    }
    return json.dumps(shown)
