"""Records of runs that never ran, for the tests of tables and reports. Every number is invented."""

import json
from pathlib import Path

import numpy as np

STRATEGIES = {
    "full": "every sample in full",
    "fixed-16": "every sample at 16 x 16 coefficients",
    "fixed-4": "every sample at 4 x 4 coefficients",
    "ema-4-16": "hard samples at 16, easy ones at 4, by a moving average of the loss",
    "random-4-16": "control: the shares of ema-4-16, at random",
}
LEVELS = {"full": [28], "fixed-16": [16], "fixed-4": [4], "ema-4-16": [4, 16], "random-4-16": [4, 16]}
ACCURACY = {"full": 0.991, "fixed-16": 0.990, "fixed-4": 0.80, "ema-4-16": 0.983, "random-4-16": 0.975}

SELECTION = {
    "full": "every sample in every epoch",
    "infobatch": "half of the samples below the mean loss left out",
    "random-subset": "control: as many samples, drawn at random",
    "full-short": "control: full data in as many steps",
}
KEPT = {"infobatch": 0.7, "random-subset": 0.7, "full-short": 0.7}  # share of the samples
LEVELS |= dict.fromkeys(KEPT, [28])
ACCURACY |= {"infobatch": 0.990, "random-subset": 0.975, "full-short": 0.989}


def study(**changes) -> dict:
    """A resolved study as the workflow hands it to the scripts."""
    given = {
        "name": "compression",
        "title": "Importance-aware progressive DCT compression",
        "scale": "demo",
        "question": "How few bytes per sample does training need?",
        "baseline": "full",
        "controls": ["fixed-16", "fixed-4", "random-4-16"],
        "cost": "bytes_read",
        "margin": 0.005,
        "target_accuracy": 0.97,
        "datasets": ["digits"],
        "models": ["cnn-small"],
        "seeds": [0, 1, 2],
        "strategies": list(STRATEGIES),
        "labels": STRATEGIES,
        "recipe": {"epochs": 3, "batch_size": 128, "optimizer": "adam", "rate": 0.001},
    }
    return given | changes


def selection(**changes) -> dict:
    """A resolved study about leaving out samples: it reads every sample whole, and draws its curve on the test set."""
    given = study(
        name="infobatch",
        title="InfoBatch: unbiased dynamic data pruning",
        cost="samples_backpropagated",
        controls=["random-subset", "full-short"],
        strategies=list(SELECTION),
        labels=SELECTION,
    )
    return given | {"recipe": given["recipe"] | {"test_curve": True}} | changes


def write_run(results: Path, of: dict, dataset: str, model: str, strategy: str, seed: int, steps_per_epoch=20) -> Path:
    """One record under `results`; returns its folder. `of` is the study."""
    random = np.random.default_rng([seed, len(dataset), *map(ord, strategy)])
    kept, whole = KEPT.get(strategy, 1.0), of["name"] == "infobatch"
    epochs, samples = of["recipe"]["epochs"], int(54_000 * kept)
    steps = epochs * steps_per_epoch
    levels = LEVELS[strategy]
    low = np.linspace(0.1, 0.9, epochs) if len(levels) > 1 else np.zeros(epochs)
    shares = [low, 1 - low] if len(levels) > 1 else [1 - low]
    read = (samples * sum(share * level**2 for share, level in zip(shares, levels, strict=True))).astype(int)
    accuracy = float(np.clip(ACCURACY[strategy] + random.normal(0, 0.0005), 0, 1))
    curve = ACCURACY[strategy] - 0.05 * np.exp(-np.arange(1, epochs + 1))
    seconds = 10.0 * kept * epochs * (0.5 + 0.5 * read.sum() / (samples * 784 * epochs)) + random.normal(0, 0.1)
    floor = 0.03 + 1.2 * (1 - ACCURACY[strategy])
    loss = (2.3 * np.exp(-np.arange(steps) / steps * 6) + floor) * random.lognormal(0, 0.25, steps)
    flops = 1e12 * kept * epochs * (float(read.sum()) / (samples * 784 * epochs) if "spectral" in strategy else 1.0)
    fingerprint = f"{strategy}-{seed}-of-{dataset}"
    folder = results / "runs" / of["name"] / dataset / model / strategy / f"seed-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    metrics = {
        "schema": 1,
        **{
            "study": of["name"],
            "scale": of["scale"],
            "dataset": dataset,
            "model": model,
            "strategy": strategy,
            "seed": seed,
        },
        **{
            "epochs": epochs,
            "steps": steps,
            "test_accuracy": accuracy,
            "test_accuracy_full_fidelity": accuracy * (1 if whole else 0.9),
        },
        **{
            "test_f1": accuracy,
            "test_loss": 0.05,
            "val_accuracy": float(curve[-1]),
            "best_val_accuracy": float(curve.max()),
        },
        **{"train_seconds": seconds, "evaluation_seconds": 1.0, "checkpoint_seconds": 0.1, "inference_seconds": 0.5},
        **{"peak_memory_bytes": 300_000_000, "peak_memory_source": "maximum resident set", "model_bytes": 400_000},
        **{"parameters": 100_000, "live_parameters": 100_000, "flops_forward_per_sample": 1e6, "flops_executed": flops},
        **{"flops_forward": flops / 3, "flops_backward": flops * 2 / 3, "flops_scoring": 0.0, "flops_decoding": 0.0},
        **{
            "samples_forwarded": samples * epochs,
            "samples_backpropagated": samples * epochs,
            "bytes_read": int(read.sum()),
        },
        **{"bytes_raw": samples * 784 * epochs, "compression_ratio": samples * 784 * epochs / float(read.sum())},
        **{
            "energy_joules": None,
            "energy_source": "no meter on this machine",
            "device": "cpu",
            "fingerprint": fingerprint,
        },
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    evidence = ",".join(f"share_k{level}" for level in levels) + ",flip_rate,threshold"
    evidence = "pruned_share,test_loss,test_accuracy" if whole else evidence
    lines = [
        "epoch,steps,samples,train_loss,train_accuracy,val_loss,val_accuracy,learning_rate,train_seconds,flops_executed,"
        f"bytes_read,{evidence}"
    ]
    for epoch in range(epochs):
        done = (epoch + 1) / epochs
        share = ",".join(f"{share[epoch]:.3f}" for share in shares)
        flip = "" if epoch == 0 or len(levels) == 1 else f"{0.2 / epoch:.3f}"
        told = f"{1 - kept},0.1,{accuracy + 0.003 * (epoch == 1)}" if whole else f"{share},{flip},"
        lines.append(
            f"{epoch + 1},{(epoch + 1) * steps_per_epoch},{samples},{loss[(epoch + 1) * steps_per_epoch - 1]:.5f},0.9,0.1,"
            f"{curve[epoch]:.4f},0.001,{seconds * done:.4f},{flops * done},{read[epoch]},{told}"
        )
    (folder / "history.csv").write_text("\n".join(lines) + "\n")
    rows = (f"{step + 1},{step // steps_per_epoch + 1},{value!r}\n" for step, value in enumerate(loss.tolist()))
    (folder / "iterations.csv").write_text("step,epoch,loss\n" + "".join(rows))
    (folder / "trace.csv").write_text("epoch,batch\n")
    manifest = {
        "schema": 1,
        "spec": {"strategy": {"name": strategy}, "seed": seed},
        **{"fingerprint": fingerprint, "data_checksum": f"data-of-{dataset}", "notes": []},
        "code": {
            "scripts/frugal/training/loop.py": "a" * 64,
            f"scripts/frugal/strategies/{strategy.split('-')[0]}.py": "b" * 64,
        },
        "git": {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": False},
        "versions": {"python": "3.11.2", "torch": "2.15.0"},
        "hardware": {"cpu": "An Invented CPU", "cores": 2, "threads": 1, "memory_bytes": 8 * 2**30, "gpu": None},
        **{"started": "2026-11-21T01:00:00+00:00", "ended": "2026-11-21T01:01:00+00:00", "resumes": 0},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def write_runs(results: Path, of: dict, **options) -> None:
    """Records of every run of the study."""
    for dataset in of["datasets"]:
        for model in of["models"]:
            for strategy in of["strategies"]:
                for seed in of["seeds"]:
                    write_run(results, of, dataset, model, strategy, seed, **options)
