"""Setup of a trainer: strategy, model, forward pass in the precision that was chosen, and where its data lies."""

from collections.abc import Callable
from functools import partial
from inspect import signature
from pathlib import Path

import torch
from torch import Tensor, nn

from frugal import libraries, registry
from frugal.data.cache import Cache
from frugal.data.device import split_class
from frugal.data.download import verify
from frugal.data.policies import Policy
from frugal.errors import FrugalError
from frugal.measure.memory import free_memory
from frugal.recipe import Augment, check_channels, check_weights
from frugal.record import GENERATED
from frugal.spec import RunSpec
from frugal.strategies.base import ModelBuilder, Strategy, make
from frugal.training.forward import Forward, check_float16, choose_gradients, choose_precision, compile_mode
from frugal.training.state import Chosen, RunState
from frugal.training.trial import Asked, built, try_out
from frugal.unfit import UNKNOWN, Ground, why_unfit


def make_strategy(spec: RunSpec, cache: Cache) -> Strategy:
    """The strategy object a spec names, which is told how the run's model is built."""
    strategy = make(spec.strategy.use, spec.strategy.parameters)
    model = registry.load("model", spec.model.use)
    defaults = {name: p.default for name, p in registry.parameters("model", spec.model.use).items()}
    parameters = defaults | spec.model.parameters
    strategy.model_builder = ModelBuilder(
        spec.model.use, builder(spec, cache), parameters, getattr(model, "WIDTHS", {})
    )
    return strategy


def builder(spec: RunSpec, cache: Cache) -> Callable[..., nn.Module]:
    """The function that builds the run's model from its parameters; shape, classes and what else the data says are given.

    A model for texts takes `vocabulary` after these two, one that does more than classify takes `task`. Raises FrugalError
    for a model of another kind than the data, or one that can't do what the data asks for.
    """
    kinds = registry.takes_kinds(spec.model.use)
    if cache.kind not in kinds:
        raise FrugalError(
            f"model {spec.model.name} takes {' or '.join(kinds)} data, {spec.dataset.name} is {cache.kind}; choose "
            "another of the two"
        )
    build = registry.load("model", spec.model.use).build
    known = {"vocabulary": cache.manifest.get("vocabulary"), "task": cache.task}
    if cache.task != "classification" and "task" not in signature(build).parameters:
        raise FrugalError(
            f"model {spec.model.name} can only classify and {spec.dataset.name} asks for {cache.task}; choose wav2vec2"
        )
    from_data = {name: known[name] for name in signature(build).parameters if name in known}
    return partial(build, tuple(cache.manifest["shape"]), cache.manifest["classes"], **from_data)


def make_model(spec: RunSpec, cache: Cache, device: torch.device) -> nn.Module:
    """The model a spec names, on the device, channels last.

    Raises FrugalError where a file it starts from has changed, or it doesn't give logits of the data's classes.
    """
    for path, sha256 in spec.model.files.items():
        verify(Path(path), sha256)
    build, named, data = builder(spec, cache), (spec.model.name, spec.model.use), cache.manifest
    asked = Asked(*named, tuple(data["shape"]), split_class(cache, "pixels").dtype, data["classes"], cache.task)
    model = built(partial(build, **spec.model.parameters), asked).to(device, memory_format=torch.channels_last)
    if spec.model.use not in libraries.BUILT:  # a sample has gone through those when they were built
        try_out(model, asked)
    return model


def notes_on_data(spec: RunSpec, cache: Cache) -> list[str]:
    """What the record should say of the data: that a program made it, that a part of the recipe doesn't apply to it."""
    notes = [GENERATED] if cache.manifest["generated"] else []
    if cache.kind != "image" and spec.recipe.augment != Augment():
        notes.append(f"recipe.augment: not applied, it changes images and {spec.dataset.name} is {cache.kind}")
    elif spec.recipe.augment.mixes and spec.devices > 1:
        notes.append("mixup, cutmix: a sample's partner is one of its own rank's share of the batch")
    return notes


def note_on_statistics(model: nn.Module, accumulate: int) -> list[str]:
    """That batch normalisation sees parts of a batch, where it does: then the net isn't quite that of whole batches."""
    normalised = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
    if accumulate == 1 or not normalised:
        return []
    return [f"accumulate {accumulate}: batch normalisation is over each of the {accumulate} parts of a batch"]


def check_fit(spec: RunSpec, cache: Cache, devices: int, device: torch.device, residency: str) -> None:
    """Raise FrugalError where the strategy can't do anything with the data or the model, as the planner does for what it sees."""
    name, strategy = spec.model.use, spec.strategy
    parameters = {
        key: known.default for key, known in registry.parameters("model", name).items()
    } | spec.model.parameters
    ground = Ground(
        cache.kind,
        cache.task,
        (name, parameters),
        devices,
        device.type,
        residency if cache.kind == "image" else "auto",
        average=spec.recipe.average is not None,
        accumulate=spec.recipe.accumulate,
        mixes=spec.recipe.augment.mixes,
        scales=spec.recipe.precision == "float16",
        size=cache.manifest["shape"][-1],
        followed=UNKNOWN,
    )
    defaults = {key: known.default for key, known in registry.parameters("strategy", strategy.use).items()}
    if why := why_unfit(strategy.use, defaults | strategy.parameters, ground):
        raise FrugalError(f"strategy {strategy.name} on {spec.dataset.name}/{spec.model.name}: {why}")


def check_recipe(spec: RunSpec, cache: Cache) -> None:
    """Raise FrugalError for views of what isn't images, weights of classes that aren't there, or an average of nothing."""
    recipe = spec.recipe
    if recipe.class_weights and cache.task != "classification":
        raise FrugalError(f"recipe.class_weights has no meaning for {cache.task}; leave it out for {spec.dataset.name}")
    if isinstance(recipe.class_weights, list):
        check_weights(recipe.class_weights, cache.manifest["classes"], spec.dataset.name, spec.study)
    if recipe.augment.policy and cache.kind == "image":
        check_channels(cache.manifest["shape"][0], spec.dataset.name, spec.study)
    if recipe.test_time is not None and cache.kind != "image":
        raise FrugalError(f"recipe.test_time mirrors images, and {spec.dataset.name} is {cache.kind}; leave it out")
    steps = round(recipe.epochs * max(1, round(cache.manifest["splits"]["train"] / recipe.batch_size)))
    if recipe.average is not None and steps < recipe.average.every:
        raise FrugalError(
            f"recipe.average.every is {recipe.average.every}, and the training takes {steps} steps: nothing would be averaged; "
            "lower it, or train for more epochs"
        )


def make_policy(spec: RunSpec, cache: Cache, device: torch.device) -> Policy | None:
    """The policy of augmentation that a recipe names, for images; None for none. Raises FrugalError without torchvision."""
    wanted = spec.recipe.augment
    if wanted.policy is None or cache.kind != "image":
        return None
    return Policy(wanted, cache.manifest["mean"], cache.manifest["std"], device)


def weights_of_classes(
    wanted: str | list[float] | None, labels: Tensor, classes: int
) -> tuple[Tensor | None, list[str]]:
    """(classes,) float32, whose mean over the training samples is 1, and a note for the record; None where none are wanted.

    wanted: "balanced", n / (k n_c) with n_c of n samples in a class, of the k that occur, or a list; labels: (n,) of training
    """
    if wanted is None:
        return None, []
    counts = torch.bincount(labels, minlength=classes).double()
    given = 1 / counts.clamp_min(1) if wanted == "balanced" else torch.tensor(wanted, dtype=torch.float64).to(counts)
    weights = given * counts.sum() / (given * counts).sum()
    shown = ", ".join(f"{weight:.4g}" for weight in weights[:20].tolist()) + ", ..." * (classes > 20)
    called = wanted if wanted == "balanced" else "as listed"
    return weights.float(), [f"class_weights {called}: {shown}; in the steps' losses alone"]


def check_batch(spec: RunSpec, samples: int, visited: int) -> None:
    """Raise FrugalError before anything is trained where an epoch can't fill one batch.

    samples: of the training set; visited: as many as the strategy's smallest epoch can visit at most
    """
    size, name = spec.recipe.batch_size, spec.strategy.name
    if size > samples:
        raise FrugalError(
            f"recipe.batch_size is {size}, and the training set of {spec.dataset.name} holds {samples} samples; "
            "lower it to that or less"
        )
    if size > visited:
        raise FrugalError(
            f"strategy {name} leaves at most {visited} of {samples} training samples in an epoch, less than one batch of "
            f"{size}; lower its prune ratio, raise its keep rate or lower recipe.batch_size"
        )


def make_forward(trainer: RunState) -> tuple[Forward, Chosen, list[str]]:
    """The forward pass of a trainer, what was chosen for it, and notes for the record.

    That is chosen here unless the trainer has it from a checkpoint, and the model compiled where that pays; both in clock
    stages of their own.
    """
    recipe, device, team, clock = trainer.recipe, trainer.device, trainer.team, trainer.clock
    data, chosen = trainer.train_data, trainer.chosen
    batch = -(-(recipe.batch_size - team.rank) // team.size)
    batch = -(-batch // recipe.accumulate)  # what is forwarded at once
    sizes = trainer.strategy.levels() if trainer.strategy.spectral else [data.shape[-1]]
    shapes = [(batch, *data.shape_at(size)) for size in sizes]
    steps = round(trainer.epochs * max(1, round(len(data) / recipe.batch_size)))
    mode = None if trainer.strategy.eager else compile_mode(recipe.compile, device, steps)
    if chosen is None:
        with clock.stage("precision"):
            chosen = _choose(trainer, shapes, mode)
    forward = Forward(trainer.model, device, chosen["precision"], mode, chosen["side_by_side"])
    if mode:
        with clock.stage("compile"):
            forward.warm_up(shapes, data.dtype)
    how = f"on, {clock.seconds['compile']:.1f} s in all" if mode else "off"
    if trainer.strategy.eager:
        how = "off, since each step may execute another part of the net"
    return forward, chosen, [*chosen["why"], f"compile {str(recipe.compile).lower()}: {how}"]


def _choose(trainer: RunState, shapes: list[tuple[int, ...]], mode: str | None) -> Chosen:
    """Precision, and layers with gradients from images side by side, all ranks as the first one; and why.

    shapes: of training batches, (b, ...); mode: of torch.compile
    """
    recipe, device, data, model = trainer.recipe, trainer.device, trainer.train_data, trainer.model
    wanted, from_main = recipe.precision, trainer.team.from_main
    use, why = wanted, f"precision {wanted}: as asked"
    if wanted == "auto":
        use, why = from_main(choose_precision(model, shapes[-1], trainer.classes, device, data.dtype))
    elif wanted == "float16":
        check_float16(model, (2, *shapes[-1][1:]), trainer.classes, device, data.dtype)
        why = "precision float16: as asked, with a scaled loss"
    layers, notes = [], []
    # Never where the same bits are asked for: a choice by the clock isn't the same each time.
    if use == "bfloat16" and mode is None and not recipe.deterministic:
        layers, notes = from_main(choose_gradients(model, shapes, device))
    return {"precision": use, "side_by_side": layers, "why": [why, *notes]}


SHARE = 0.5  # of the free memory that data may take: the rest is for the model and its activations


def choose_residency(wanted: str, cache: Cache, reads: str, device: torch.device, workers: int = 8) -> tuple[bool, str]:
    """Whether to stream what is read from the cache, and a sentence for the record.

    wanted: "auto", "device", "streamed" or "files"; reads: of the strategy; workers: processes that decode files.
    Raises FrugalError for "files" where the strategy doesn't read pixels or the cache doesn't hold them.
    """
    if wanted in ("device", "streamed"):
        return wanted == "streamed", f"residency {wanted}: as asked"
    kind = split_class(cache, reads).kind
    if wanted == "files":
        if cache.kind == "image" and kind != "images":
            what = "the strategy reads them" if reads != "pixels" else "the cache holds nothing else (`images: false`)"
            raise FrugalError(
                f"residency: files decodes image files to pixels, not to DCT coefficients, and {what}; set residency: auto, "
                "or choose strategies that read pixels"
            )
        size = sum(cache.array(f"{split}_{kind}").nbytes for split in ("validation", "test"))
        streamed, where = _fits(size, device, "validation and test data")
        return streamed, f"residency files: training images decoded from files by {workers} workers, the others {where}"
    streamed, where = _fits(cache.array(f"train_{kind}").nbytes, device, "training data")
    return streamed, f"residency auto: {where}"


def _fits(size: int, device: torch.device, what: str) -> tuple[bool, str]:
    """Whether so many bytes are too many to lie on the device, and where they lie and why."""
    free = free_memory(device)
    streamed = size >= SHARE * free
    where = "streamed from its file" if streamed else "on the device"
    return streamed, f"{where}, {size:,} bytes of {what} for {free:,} bytes of free memory"
