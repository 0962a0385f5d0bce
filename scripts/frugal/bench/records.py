"""Invented records of runs, in any number and of any length, to measure tables with. Never used for a result."""

import json
from pathlib import Path

import numpy as np

from frugal import record
from frugal.atomic import write_text
from frugal.record import SCHEMA
from frugal.report.schema import HISTORY, ITERATIONS, Metrics
from frugal.study import Study, study_of

EPOCHS = 8
CODE = {f"frugal/module_{place}.py": "a" * 64 for place in range(60)}  # about as many as a run imports
TEXT = {"peak_memory_source", "energy_source", "flops_source"}
NOTHING = {"uncounted_steps", "skipped_steps", "train_queued_seconds", "train_idle_seconds"}


def study(strategies: int, seeds: int) -> Study:
    """A study of that many strategies and seeds on one data set and model."""
    names = [f"strategy-{place}" for place in range(strategies)]
    return study_of(
        {
            **{"name": "invented", "title": "Invented", "question": "", "scale": "demo", "baseline": names[0]},
            **{"margin": 0.005, "target_accuracy": 0.9, "datasets": ["data"], "models": ["net"]},
            **{"strategies": names, "controls": names[1:2], "seeds": list(range(seeds))},
        }
    )


def write(of: Study, results: Path, steps: int, plans: dict[str, dict[str, str]] | None = None) -> None:
    """A record of every run of the study, each of EPOCHS epochs of `steps` steps.

    plans: of each cell, as `frugal.due.plans` gives them; the records are sealed with them, so that planning finds them whole
    """
    draw = np.random.default_rng(0)
    versions, hardware = {"python": "3"}, {"cpu": "none", "cores": 1, "threads": 1, "memory_bytes": None, "gpu": None}
    for cell, seed in of.runs():
        folder, mark = results / of.folder(cell, seed), f"{cell.strategy}-{seed}"
        accuracy, samples = float(draw.uniform(0.9, 0.95)), 1000
        figures = dict.fromkeys(Metrics.model_fields, 1) | dict.fromkeys(TEXT, "none") | dict.fromkeys(NOTHING, 0)
        figures |= {"schema": SCHEMA, "study": of.name, "scale": of.scale, **cell._asdict(), "seed": seed}
        scores = ("test_f1", "test_roc_auc")
        figures |= {name: accuracy for name in Metrics.model_fields if "accuracy" in name or name in scores}
        figures |= {name: 0 for name in Metrics.model_fields if name.startswith("charged_")}
        figures |= {"device": "cpu", "fingerprint": mark, "epochs": EPOCHS, "steps": EPOCHS * steps}
        figures |= {"samples_backpropagated": EPOCHS * samples, "bytes_read": EPOCHS * samples, "flops_executed": 1.0}
        about = {"schema": SCHEMA, "spec": {}, "fingerprint": mark, "data_checksum": "none", "code": CODE}
        about |= {"git": {"commit": None, "dirty": None}, "versions": versions, "hardware": hardware}
        about |= {"started": "2026-01-01T00:00:00+00:00", "ended": "2026-01-01T00:01:00+00:00"}
        about |= {"resumes": 0, "notes": []}
        row = dict.fromkeys(HISTORY, accuracy) | {"samples": samples, "bytes_read": samples}
        row |= {"train_seconds": figures["train_seconds"], "flops_executed": figures["flops_executed"]}
        by_epoch = (row | {"epoch": epoch, "steps": epoch * steps} for epoch in range(1, EPOCHS + 1))
        history = [",".join(map(str, values.values())) for values in by_epoch]
        losses = draw.uniform(0.5, 1.5, EPOCHS * steps)
        curve = [f"{i + 1},{i // steps + 1},{loss:.6g}" for i, loss in enumerate(losses)]
        contents = {
            record.HISTORY: "\n".join([",".join(HISTORY), *history, ""]),
            record.ITERATIONS: "\n".join([",".join(ITERATIONS), *curve, ""]),
            record.TRACE: "epoch,batch\n",
            record.SCORES: "",
            record.METRICS: json.dumps(figures),
        }
        sealed = json.dumps(about).encode()
        if plans is not None:
            plan = plans[f"{cell.dataset}/{cell.model}"][cell.strategy]
            about |= {"run": folder.relative_to(results / "runs").as_posix(), "plan": plan, "followed": None}
            sealed = record.seal(about, {name: content.encode() for name, content in contents.items()})
        for name, content in {record.MANIFEST: sealed.decode(), **contents}.items():
            write_text(folder / name, content)
