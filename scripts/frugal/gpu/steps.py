"""The steps that wait for a GPU: what each answers, its command, what it needs and an estimate of how long it takes."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from frugal.gpu.trained import figures_of

# FLOP/s reached in training, bfloat16: a twentieth of what such a card does in large products, since its kernels are short.
RATE = 40e12
START = 60.0  # seconds of a run beside its passes: imports, data onto the card, compiling, records
GFLOP = {  # of one image: forward, backward; as `frugal.measure.flops.pass_flops` counts them, which a test repeats
    "airbench, 32x32": (0.236, 0.471),
    "resnet-18, 32x32": (1.111, 2.218),
    "resnet-50, 32x32": (2.596, 5.188),
    "resnet-50, 224x224": (8.175, 16.113),
}


@dataclass(frozen=True)
class Estimate:
    """hours: on one card; reckoned: from what, in words."""

    hours: float
    reckoned: str


def assumed(minutes: float, for_what: str) -> Estimate:
    """Where a step is bound by other things than FLOPs."""
    return Estimate(minutes / 60, f"assumed {minutes:g} minutes, for {for_what}")


def training(net: str, images: float, evaluated: float, runs: int, share: float = 1.0, more: float = 0.0) -> Estimate:
    """Of `runs` trainings on `images` images each, of which `share` is really trained on in the mean over the runs.

    net: of GFLOP; evaluated: images of a run that go forward only; more: seconds beside, such as for preparing the data
    """
    forward, backward = GFLOP[net]
    flops = 1e9 * runs * (images * share * (forward + backward) + evaluated * forward)
    seconds = flops / RATE + runs * START + more
    told = f"{flops:.2g} FLOPs counted, at {RATE / 1e12:g} TFLOP/s assumed, and {START:g} s assumed for each of {runs} runs"
    return Estimate(seconds / 3600, told + (f", and {more:g} s for the data" if more else ""))


@dataclass(frozen=True)
class Places:
    """work: folder of runs, logs and what is known of steps under way; out: of figures; data: named by FRUGAL_DATA, or None."""

    work: Path
    out: Path
    data: Path | None = None


@dataclass(frozen=True)
class Step:
    """answers: the question; command: its words, in which {figure}, {runs}, {caches} and {python} are replaced.

    before: likewise, a command that comes first and prepares the data, after which the records that are there get a new date;
    resumes: whether, stopped by SIGTERM, it goes on where it was; data: what has to lie in FRUGAL_DATA, each as alternatives;
    modules: Python packages it needs; collect: makes the figures from the folder of its runs, where the command writes none
    """

    name: str
    answers: str
    command: tuple[str, ...]
    estimate: Estimate
    resumes: bool = False
    data: tuple[tuple[str, ...], ...] = ()
    modules: tuple[str, ...] = ()
    collect: Callable[[Path], dict[str, Any]] | None = None
    before: tuple[str, ...] = ()

    def commands(self, places: Places) -> list[list[str]]:
        """What is run, one after the other."""
        known = {
            "{figure}": str(places.work / "figures" / f"{self.name}.json"),
            "{runs}": str(places.work / "runs" / self.name),
            "{caches}": str(places.work / "caches"),
            "{python}": sys.executable,
        }
        filled = [list(words) for words in (self.before, self.command) if words]
        for mark, value in known.items():
            filled = [[word.replace(mark, value) for word in words] for words in filled]
        return filled

    def why_skipped(self, places: Places) -> str | None:
        """What is missing here, in a sentence; None where the step can be run."""
        if lacking := [name for name in self.modules if find_spec(name) is None]:
            return f"this Python has no {' and no '.join(lacking)}"
        for alternatives in self.data:
            named = " or ".join(alternatives)
            if places.data is None:
                return f"FRUGAL_DATA names no folder; it needs {named} there"
            if not any((places.data / name).exists() for name in alternatives):
                return f"{places.data} has no {named}"
        return None


CIFAR_10 = ("cifar-10-batches-bin", "cifar-10-binary.tar.gz")
CIFAR_100 = ("cifar-100-binary", "cifar-100-binary.tar.gz")
WEIGHTS = ("weights/resnet50-11ad3fa6.pth",)  # torchvision's, of ImageNet-1k
SCORINGS = ("full", "ast-masked", "ast-fresh", "ast-half", "ast-quantile-remembered", "random-subset")
# Mean over these of the passes that are left, in units of a whole one: after a warm-up of a fifth, 0.4 of the samples are trained
# on, and scoring is a third of a pass, or a twelfth at half the size.
SCORED_SHARE = (1 + 1 + (0.2 + 0.8 * (0.4 + 1 / 3)) + (0.2 + 0.8 * (0.4 + 1 / 12)) + 2 * (0.2 + 0.8 * 0.4)) / 6


def bench(group: str, answers: str, minutes: float, for_what: str) -> Step:
    """A group of `make bench`."""
    command = ("{python}", "scripts/bench.py", group, "--out", "{figure}")
    return Step(f"bench-{group}", answers, command, assumed(minutes, for_what))


def study(
    name: str,
    answers: str,
    ground: tuple[str, str, str, str],
    strategies: tuple[str, ...],
    seeds: int,
    estimate: Estimate,
    data: tuple[tuple[str, ...], ...],
    recipe: dict[str, Any] | None = None,
    device: str = "cuda",
) -> Step:
    """Runs of a study through Snakemake, each with its record. ground: study, scale, data set and model."""
    of, scale, dataset, model = ground
    place = f"{{runs}}/{scale}/runs/{of}/{dataset}/{model}"
    files = [f"{place}/{strategy}/seed-{seed}/metrics.json" for seed in range(seeds) for strategy in strategies]
    override = {
        "datasets": [dataset],
        "models": [model],
        "strategies": list(strategies),
        "seeds": seeds,
        "grouped": False,
    }
    override |= {"recipe": recipe} if recipe else {}
    config = {"scale": scale, "studies": [of], "device": device, "results": "{runs}", "caches": "{caches}"}
    words = [f"{key}={json.dumps(value)}" for key, value in (config | {"override": override}).items()]
    # No lock: this command's own ends with its process, however that ends. Data first, see `Step.before`.
    snakemake = ("{python}", "-m", "snakemake", "--nolock")
    cache = f"{{caches}}/{scale}/{dataset}/manifest.json"
    before, command = ((*snakemake, *wanted, "--config", *words) for wanted in ([cache], files))
    return Step(name, answers, command, estimate, True, data, ("snakemake",), figures_of(of, dataset, model), before)


def infobatch(dataset: str, model: str, data: tuple[str, ...]) -> Step:
    """A row of the table of the reimplementation of InfoBatch: 200 epochs with and without it, one seed as there."""
    samples, evaluated = 200 * 45_000, 200 * 15_000
    return study(
        f"infobatch-{dataset}-{model}",
        f"InfoBatch, {model} on {dataset}, 200 epochs: accuracy and time saved, beside what its reimplementation reports",
        ("infobatch", "published", dataset, model),
        ("full", "infobatch"),
        1,
        training(f"{model}, 32x32", samples, evaluated, runs=2, share=0.85),
        (data,),
    )


STEPS = (
    bench("engine", "Is our training loop as fast as a plain one, and where does its time go?", 5, "plain loops and compiling"),
    bench("resnet", "Share of the card's bfloat16 peak of ResNet-18, with CUDA graphs and without", 6, "compiling three times"),
    bench("tensorcores", "2:4 sparsity and float8 against dense bfloat16: products and layers", 1, "starting, and timed rounds"),
    bench("parallel", "One rank on NCCL through our launcher: the same losses, at what price?", 3, "starting twice, 8 epochs"),
    Step(
        "speedrun",
        "CIFAR-10 with airbench's net and recipe: seconds and accuracy, ours and a plain torch loop in turns, five seeds",
        ("{python}", "scripts/speedrun.py", "--device", "cuda", "--plain", "--seeds", "5", "--results", "{runs}",
         "--out", "{figure}"),
        training("airbench, 32x32", 10 * 49_000, 2 * 1_000 + 6 * 10_000, runs=10),
        resumes=True,
        data=(CIFAR_10,),
    ),
    bench("hooks", "What each strategy's own code takes of an epoch", 8, "every strategy, an epoch of three"),
    bench("loops", "What a strategy costs in a plain PyTorch loop", 5, "timed rounds of a small net"),
    bench("meter", "What `frugal.meter` adds to a plain loop", 4, "seven rounds in turns"),
    bench("pruning", "Seconds of an epoch of a net cut to half its FLOPs", 5, "timed epochs of several nets"),
    bench("selection", "InfoBatch and its kin: share of an epoch, seconds saved", 8, "up to 100 million samples"),
    infobatch("cifar-10", "resnet-18", CIFAR_10),
    infobatch("cifar-100", "resnet-18", CIFAR_100),
    infobatch("cifar-10", "resnet-50", CIFAR_10),
    infobatch("cifar-100", "resnet-50", CIFAR_100),
    study(
        "ast-imagenette",
        "ResNet-50 at 224x224 with each way of scoring: time, FLOPs and memory; too few images for accuracies",
        ("ast", "standard", "imagenette-224", "resnet-50-imagenet"),
        SCORINGS,
        3,
        training("resnet-50, 224x224", 10 * 900, 10 * 100 + 300, runs=18, share=SCORED_SHARE),
        (("imagenette-224", "imagenette2-320", "imagenette2"),),
    ),
    study(
        "ast-imagenet-100",
        "ResNet-50 at 224x224 with each way of scoring, from published weights: accuracy, time, FLOPs",
        ("ast", "standard", "imagenet-100", "resnet-50-imagenet-pretrained"),
        SCORINGS,
        3,
        training("resnet-50, 224x224", 10 * 121_689, 10 * 5_000 + 5_000, runs=18, share=SCORED_SHARE, more=300),
        (("imagenet-100", "imagenet100", "ImageNet-100"), WEIGHTS),
    ),
)  # fmt: skip
