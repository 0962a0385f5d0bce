"""Checks that what the config combines fits: a model its data, a recipe data and devices, a strategy all of these.

They are made for every run when it is planned, from what `resolve` knows of it. What a strategy needs is in `unfit`.
"""

from dataclasses import replace
from graphlib import TopologicalSorter

from frugal import libraries, registry
from frugal.costs import held_equal
from frugal.errors import FrugalError
from frugal.recipe import check_channels, check_weights
from frugal.resolve import Resolver
from frugal.study import Skipped, Study
from frugal.unfit import Ground, Unfit, repeats_epochs, uses_scores, why_unfit


def check_model(runs: Resolver, dataset: str, model: str, where: str) -> None:
    """Raise FrugalError for a model of another kind of data: images into a net for text."""
    kind, shape = runs.kind(dataset), runs.shape(dataset)
    use, parameters = runs.models[model].use, runs.models[model].parameters
    if kind not in (takes := registry.takes_kinds(use)):
        fitting = [name for name, one in runs.models.items() if kind in registry.takes_kinds(one.use)]
        raise FrugalError(
            f"{where}: model {model} takes {' or '.join(takes)} data, {dataset} is {kind}; choose one that takes it "
            f"({_some(fitting)}), or list each data set with its model under `tasks`"
        )
    if use in libraries.BUILT:
        libraries.check_name(use, kind, parameters["name"], runs.place(model))
    least = registry.least_size(use, parameters)
    if kind == "image" and shape and min(shape[1:]) < least:
        high, wide = shape[1:]
        raise FrugalError(
            f"{where}: model {model} takes images of {least} pixels per side or more, those of {dataset} have {high}x{wide}; "
            "choose another model"
        )
    if kind == "image" and shape and (side := registry.patches(use)):
        patch, (high, wide) = parameters[side], shape[1:]
        if high % patch or wide % patch:
            raise FrugalError(
                f"{where}: model {model} cuts images into patches of {patch}x{patch} pixels, which don't tile those of "
                f"{dataset}, {high}x{wide}; choose a patch that divides both sides, or another model"
            )
    task = registry.data_task(runs.datasets[dataset].source)
    if task != "classification" and not registry.takes_task(use):
        raise FrugalError(
            f"{where}: {dataset} asks for {task}, and model {model} can only classify; choose one that uses wav2vec2"
        )


def _some(names: list[str], most: int = 6) -> str:
    """The first of these names, for a message."""
    return ", ".join([*names[:most], *(["..."] if len(names) > most else [])]) or "there is none"


def check_recipe(runs: Resolver, study: str, dataset: str, model: str, strategy: str) -> None:
    """Raise FrugalError for a recipe that this data set, or the devices of the config, can't be trained with."""
    recipe, config, data = runs.recipe(study, dataset, model, strategy), runs.config, runs.datasets[dataset]
    where = f"{runs.file(study)}: {dataset}/{model}, strategy {strategy}"
    if recipe.label_smoothing and registry.data_task(data.source) == "transcription":
        raise FrugalError(f"{where}: recipe.label_smoothing has no meaning for CTC; set it to 0 for this data set")
    if recipe.class_weights and registry.data_task(data.source) == "transcription":
        raise FrugalError(f"{where}: recipe.class_weights has no meaning for CTC; leave it out for this data set")
    if isinstance(recipe.class_weights, list) and data.classes:
        check_weights(recipe.class_weights, data.classes, dataset, where)
    if runs.kind(dataset) == "image" and (shape := runs.shape(dataset)):
        if recipe.augment.policy:
            check_channels(shape[0], dataset, where)
        if recipe.augment.padding == "reflect" and (padding := recipe.augment.crop_padding) >= min(shape[1:]):
            raise FrugalError(
                f"{where}: recipe.augment.crop_padding is {padding}, and images of {shape[1]}x{shape[2]} can't be reflected by "
                "as much; lower it, or set padding to constant"
            )
    if recipe.test_time and runs.kind(dataset) != "image":
        raise FrugalError(f"{where}: recipe.test_time mirrors images, and {dataset} holds none; leave it out")
    if recipe.compile == "graphs" and config.device == "cpu":
        raise FrugalError(f"{where}: recipe.compile is graphs, which needs a CUDA GPU; use true, false or auto")
    if recipe.batch_size < config.devices:
        raise FrugalError(
            f"{where}: a batch of {recipe.batch_size} can't be shared by {config.devices} devices; lower devices"
        )


def left_out(runs: Resolver, study: Study, dataset: str, model: str) -> list[Skipped]:
    """Strategies to leave out on a data set and model. Raises Unfit for one that the config doesn't allow to leave out."""
    out: dict[str, str] = {}
    asked = study.asked(dataset, model)
    for strategy in _leaders_first(study):
        own = runs.strategies(study.name)[strategy]
        if strategy not in asked:
            continue
        if own.follows in out:
            out[strategy] = f"it follows {own.follows}, which is left out"
            continue
        where = f"{runs.file(study.name)}: strategies.{strategy}"
        try:
            check_strategy(runs, study, dataset, model, strategy, where)
        except Unfit as error:
            if strategy == study.baseline:
                raise Unfit(f"{error}; it is the baseline, without which nothing can be compared") from None
            if own.skip is not True and runs.config.unfit == "error":
                raise Unfit(f"{error}; or leave it out there with skip: true, or --config unfit=skip") from None
            out[strategy] = str(error).removeprefix(f"{where}: ")
    kept = (strategy for strategy in study.trained if strategy in out)
    return [Skipped(dataset=dataset, model=model, strategy=strategy, why=out[strategy]) for strategy in kept]


def _leaders_first(study: Study) -> list[str]:
    """What is trained, each after the one that it follows."""
    needs = {
        name: {study.follows[name]} & set(study.trained) if name in study.follows else set() for name in study.trained
    }
    return list(TopologicalSorter(needs).static_order())


def check_strategy(runs: Resolver, study: Study, dataset: str, model: str, strategy: str, where: str) -> None:
    """Raise Unfit, naming the strategy in one line, where it can't do anything with a data set and model."""
    strategies, net = runs.strategies(study.name), runs.models[model]
    own = strategies[strategy]
    followed = strategies.get(own.follows) if own.follows else None
    if own.follows and followed is None:
        runs.strategy(study.name, dataset, strategy)  # names it
    recipe = runs.recipe(study.name, dataset, model, strategy)
    ground = Ground(
        kind=runs.kind(dataset),
        task=registry.data_task(runs.datasets[dataset].source),
        model=(net.use, net.parameters),
        devices=runs.config.devices,
        device=runs.config.device,
        residency=runs.config.residency,
        average=recipe.average is not None,
        accumulate=recipe.accumulate,
        mixes=recipe.augment.mixes,
        scales=recipe.precision == "float16",
        followed=followed and (followed.use, runs.parameters(study.name, own.follows)),
        epochs=recipe.epochs,
    )
    given = runs.parameters(study.name, strategy)
    # Asked twice: before levels are scaled, which fails without images in words that say less, and after, with their sizes.
    if why := why_unfit(own.use, given, ground):
        raise Unfit(f"{where}: can't be trained on {dataset}/{model}: {why}")
    scaled = runs.strategy(study.name, dataset, strategy).parameters
    if why := why_unfit(own.use, scaled, replace(ground, size=(runs.shape(dataset) or (None,))[-1])):
        raise Unfit(f"{where}: can't be trained on {dataset}/{model}: {why}")
    if followed is not None:
        _check_follower(runs, study, dataset, model, strategy, where)


def _check_follower(runs: Resolver, study: Study, dataset: str, model: str, strategy: str, where: str) -> None:
    """Raise Unfit for one that follows a strategy which isn't trained, or has fewer epochs than it needs."""
    own = runs.strategies(study.name)[strategy]
    given = runs.parameters(study.name, strategy)
    charged = uses_scores(own.use, given)
    if runs.studies[study.name].scale.grouped and own.follows not in study.trained:
        raise Unfit(
            f"{where}: it follows {own.follows}, which `strategies` leaves out; a grouped scale trains only those it "
            "lists: add it"
        )
    leaders = runs.recipe(study.name, dataset, model, own.follows)
    ours, theirs = runs.recipe(study.name, dataset, model, strategy).epochs, leaders.epochs
    if leaders.early_stopping is not None and repeats_epochs(own.use, given):
        raise Unfit(
            f"{where}: it repeats what {own.follows} did in each epoch, which recipe.early_stopping may end before the last; "
            f"leave early_stopping out for {own.follows}"
        )
    if ours != int(ours) and not held_equal(own.use, given) and not charged:
        raise Unfit(
            f"{where}: it repeats what {own.follows} did in each epoch, and its {ours:g} epochs end within one; choose "
            "budgets of whole epochs"
        )
    if ours > theirs and not charged:
        raise Unfit(f"{where}: it has {ours} epochs and {own.follows}, which it follows, {theirs}; give both as many")
