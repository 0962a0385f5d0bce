"""Generated images for benchmarks: timings don't depend on what a picture shows. Never used for a result."""

from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from frugal.data import dct
from frugal.data.cache import Cache, open_cache, write_cache
from frugal.spec import RunSpec


def images(count: int, shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Smooth random pictures, (count, C, H, W) uint8."""
    noise = np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)
    smooth = gaussian_filter(noise, (0, 0, 1.5, 1.5))
    return np.clip(128 + 300 * smooth, 0, 255).astype(np.uint8)


def cache(folder: Path, samples: int, shape: tuple[int, int, int] = (1, 28, 28), classes: int = 10) -> Cache:
    """A prepared data set of that many training images, a twentieth of it for validation and test each."""
    counts = {"train": samples, "validation": max(classes, samples // 20), "test": max(classes, samples // 20)}
    arrays, pixels = {}, {}
    for seed, (split, count) in enumerate(counts.items()):
        pixels[split] = images(count, shape, seed)
        arrays[f"{split}_images"] = pixels[split]
        arrays[f"{split}_labels"] = np.arange(count, dtype=np.int64) % classes
    quantiser = dct.fit(pixels["train"])
    for split in counts:
        arrays[f"{split}_coefficients"] = dct.encode(pixels[split], quantiser)
    arrays.update(quantiser.arrays())
    about = {
        "dataset": "generated",
        "source": "generated",
        "shape": list(shape),
        "classes": classes,
        "generated": True,
        "mean": pixels["train"].mean((0, 2, 3)).tolist(),
        "std": pixels["train"].std((0, 2, 3)).tolist(),
        "splits": counts,
        "dct": dct.about(pixels["train"][:1000], quantiser),
        "notes": ["generated for a benchmark"],
    }
    return open_cache(write_cache(folder, arrays, about))


def spec(
    use: str,
    shape: tuple[int, int, int] = (1, 28, 28),
    model: str = "cnn",
    parameters: dict | None = None,
    recipe: dict | None = None,
    **strategy: object,
) -> RunSpec:
    """A run on generated images: by default the net and batch size of the MNIST study."""
    return RunSpec.model_validate(
        {
            "study": "bench",
            "scale": "demo",
            "dataset": {"name": "generated", "source": "generated", "shape": shape, "classes": 10, "validation": 1},
            "model": {"name": model, "use": model, "parameters": parameters or {}},
            "recipe": {"epochs": 10_000, "batch_size": 128, "learning_rate": 0.01, **(recipe or {})},
            "strategy": {"name": use, "use": use, "parameters": strategy},
            "seed": 0,
        }
    )
