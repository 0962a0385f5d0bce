"""Small data of every kind but images, prepared as the workflow would, and runs on it."""

import shutil
from pathlib import Path

import yaml

from frugal import registry
from frugal.data.cache import open_cache
from frugal.data.prepare import prepare
from frugal.plan import Plan
from frugal.spec import RunSpec

# Per kind: source, shape, classes, validation, options; model and its parameters.
KINDS = {
    "text": (
        ("generated_text", (40,), 2, 60, {"train_samples": 400, "test_samples": 100}),
        ("transformer", {"layers": 1, "heads": 2, "hidden": 16, "feed_forward": 32}),
    ),
    "table": (("sklearn_table", (30,), 2, 60, {}), ("mlp", {"hidden": [16, 8], "dropout": 0.2})),
    "sound": (
        ("generated_tones", (800,), 4, 40, {"length": 800, "train_samples": 200, "test_samples": 60, "noise": 0.1}),
        ("wave_cnn", {"channels": [8, 16]}),
    ),
}


def dataset(kind: str) -> dict:
    """The data set's description."""
    source, shape, classes, validation, options = KINDS[kind][0]
    return {
        "name": f"tiny-{kind}",
        "source": source,
        "shape": list(shape),
        "classes": classes,
        "validation": validation,
        "split_seed": 0,
        "options": options,
        "dct": None,
    }


def cache(kind: str, folder):
    """The prepared data, opened."""
    return open_cache(prepare(dataset(kind), folder, folder / "downloads", None))


def spec(kind: str, use: str = "full", seed: int = 0, recipe: dict | None = None, **parameters) -> RunSpec:
    """A run of three epochs."""
    model, settings = KINDS[kind][1]
    return RunSpec.model_validate(
        {
            "study": "test",
            "scale": "demo",
            "dataset": dataset(kind),
            "model": {"name": model, "use": model, "parameters": settings},
            "recipe": {
                "epochs": 3,
                "batch_size": 16,
                "optimizer": "adam",
                "learning_rate": 0.01,
                "augment": {"crop_padding": 1, "flip": True},
                **(recipe or {}),
            },
            "strategy": {
                "name": use,
                "use": use,
                "parameters": registry.check("strategy", use, parameters, "test"),
            },
            "seed": seed,
        }
    )


def plan_of(folder, scale: dict, strategies: dict | None = None) -> Plan:
    """A plan of one study with that demo scale, on the data sets and models of the repository's config."""
    shutil.copytree(Path(__file__).parents[1] / "config", folder / "config")
    study = {
        "title": "t",
        "question": "q",
        "baseline": "full",
        "strategies": strategies or {"full": {"use": "full"}},
        "scales": {
            "demo": {
                "seeds": 1,
                "target_accuracy": 0.5,
                "recipe": {"epochs": 1, "batch_size": 8, "learning_rate": 0.1},
                **scale,
            }
        },
    }
    (folder / "config/studies/mixed.yaml").write_text(yaml.safe_dump(study))
    return Plan({"studies": ["mixed"], "results": str(folder / "results")}, folder / "config")
