"""Small nets of libraries, by name, with a run of a strategy on each, and what planning says of it."""

from frugal import registry
from frugal.data.cache import Cache
from frugal.spec import RunSpec
from frugal.unfit import UNKNOWN, Ground, why_unfit

SIDE = 32  # pixels of the digits, each four times as wide and high
SMALL = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
NETS = {  # kind of data, use, parameters
    "MobileNetV3": ("image", "torchvision", {"name": "mobilenet_v3_small", "options": {"width_mult": 0.1}}),
    "ConvNeXt": (
        "image",
        "transformers",
        {"name": "convnext", "options": {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 8, 16, 16]}},
    ),
    "ViT": ("image", "transformers", {"name": "vit", "options": SMALL | {"patch_size": 8}}),
    "DistilBERT": (
        "text",
        "transformers",
        {"name": "distilbert", "options": {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 32}},
    ),
    "BERT": ("text", "transformers", {"name": "bert", "options": SMALL}),
}
# Where defaults are meant for longer trainings, or a parameter has none.
FITTING = {
    "combined": {"parts": [{"use": "infobatch"}, {"use": "sparse", "kernel": "scatter"}]},
    "compression": {"k_lo": 8, "k_hi": 16, "decode": "spectral"},
    "dynamic_pruning": {"target_flops": 0.95, "every": 1, "round_to": 1, "step": 0.2, "events": 2, "until": 0.8},
    "frequency_curriculum": {"stages": [[16, 0.5], [32, 1]]},
    "interpolated_curriculum": {"stages": [[16, 0.5], [32, 1]]},
    "gradual_magnitude": {"every": 1},
    "prune_train": {"ratio": 0.3, "every": 0.5, "threshold": 0.2},
    "rho": {"pool": 2},
    "rigl": {"sparsity": 0.5, "every": 1, "kernel": "scatter"},
    "set": {"sparsity": 0.5, "kernel": "scatter"},
    "sparse": {"kernel": "scatter"},
    "token_drop": {"initial": 0.25, "increment": 4},
}


def spec(cache: Cache, net: str, use: str, epochs: float = 1) -> RunSpec:
    """A run of a few steps."""
    _, library, parameters = NETS[net]
    return RunSpec.model_validate(
        {
            "study": "test",
            "scale": "demo",
            "dataset": {
                "name": "data",
                "source": "digits",
                "shape": cache.manifest["shape"],
                "classes": cache.manifest["classes"],
                "validation": 60,
            },
            "model": {"name": net, "use": library, "parameters": registry.check("model", library, parameters, net)},
            "recipe": {"epochs": epochs, "batch_size": 20, "optimizer": "adam", "learning_rate": 0.001},
            "strategy": {
                "name": use,
                "use": use,
                "parameters": registry.check("strategy", use, FITTING.get(use, {}), use),
            },
            "seed": 0,
        }
    )


def planned(net: str, use: str) -> str | None:
    """Why planning refuses a strategy on a net, None where it doesn't."""
    kind, library, parameters = NETS[net]
    size = SIDE if kind == "image" else 40
    known = registry.check("model", library, parameters, net)
    return why_unfit(
        use,
        registry.check("strategy", use, FITTING.get(use, {}), use),
        Ground(kind, "classification", (library, known), size=size, followed=UNKNOWN),
    )
