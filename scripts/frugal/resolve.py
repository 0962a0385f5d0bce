"""Resolution of a run: the spec that config files make of a study, data set, model, strategy and seed. Never imports torch."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from frugal import registry
from frugal.budgets import share_in
from frugal.config import Config
from frugal.entries import Entries
from frugal.errors import FrugalError, did_you_mean
from frugal.parameters import split
from frugal.recipe import Recipe
from frugal.spec import DatasetSpec, ModelSpec, RunSpec, StrategySpec, parse
from frugal.study import epochs_of, merged
from frugal.study_config import Scale, StrategyConfig, StudyConfig
from frugal.unfit import Unfit


class StudyAtScale(NamedTuple):
    """What a study's file says: all of it, with its sweeps and budgets, and the section of the scale in use."""

    study: StudyConfig
    scale: Scale


class Resolver:
    """What each run of a config is made of.

    config: of config.yaml; files: of the studies, by name, for messages; datasets, models: their entries; studies: by name,
    filled in by whoever reads their files
    """

    def __init__(self, config: Config, files: dict[str, Path], datasets: Entries, models: Entries) -> None:
        self.config, self.files, self.entries = config, files, (datasets, models)
        self.datasets: dict[str, DatasetSpec] = datasets.specs
        self.models: dict[str, ModelSpec] = models.specs
        self.studies: dict[str, StudyAtScale] = {}

    def file(self, study: str) -> Path:
        """The config file of a study."""
        return self.files[study]

    def place(self, model: str) -> str:
        """The entry of a model, for a message."""
        return self.entries[1].place(model)

    def strategies(self, study: str) -> dict[str, StrategyConfig]:
        """All strategies of a study, those of sweeps and budgets among them."""
        return self.studies[study].study.strategies

    def kind(self, dataset: str) -> str:
        """Of the samples: image, text, table or sound."""
        return registry.data_kind("source", self.datasets[dataset].source, self.datasets[dataset].options)

    def shape(self, dataset: str) -> tuple[int, ...] | None:
        """Of a sample, as far as the config says it: nothing here may depend on whether the data set is prepared yet."""
        known = self.datasets[dataset]
        return known.shape or registry.sample_shape(known.source, known.options)

    def parameters(self, study: str, strategy: str) -> dict[str, Any]:
        """A strategy's parameters as the study gives them, checked, with defaults."""
        own = self.strategies(study)[strategy]
        return registry.check("strategy", own.use, own.parameters, f"{self.file(study)}: strategies.{strategy}")

    @cache  # noqa: B019  one plan lives as long as the process
    def run(self, study: str, dataset: str, model: str, strategy: str, seed: int) -> RunSpec:
        """The spec of one cell and seed."""
        return RunSpec(
            study=study,
            scale=self.config.scale,
            dataset=self.datasets[dataset],
            model=self.model(model),
            recipe=self.recipe(study, dataset, model, strategy),
            strategy=self.strategy(study, dataset, strategy),
            seed=seed,
            devices=self.config.devices,
        )

    @cache  # noqa: B019
    def strategy(self, study: str, dataset: str, name: str) -> StrategySpec:
        """A strategy's parameters for one data set, levels scaled to its images. Raises FrugalError where it follows nobody."""
        strategies = self.strategies(study)
        own, where = strategies[name], f"{self.file(study)}: strategies.{name}"
        if own.follows is not None and own.follows not in strategies:
            raise FrugalError(
                f"{where}: follows unknown strategy {own.follows!r}; {did_you_mean(own.follows, list(strategies))}"
            )
        levels_for = self.studies[study].scale.levels_for
        parameters = self._with_levels(own.use, self.parameters(study, name), dataset, levels_for, where)
        return StrategySpec(name=name, use=own.use, follows=own.follows, parameters=parameters)

    def _with_levels(
        self, use: str, parameters: dict[str, Any], dataset: str, levels_for: int | None, where: str
    ) -> dict[str, Any]:
        """The parameters with levels scaled to the data set's images, those of parts too; raises FrugalError beyond them."""
        parameters = dict(parameters)
        kind, shape = self.kind(dataset), self.shape(dataset)
        size = shape[-1] if shape else None
        stored, what = size, "pixels"
        if registry.reads(use) == "coefficients":
            stored = (self.datasets[dataset].dct and self.datasets[dataset].dct.keep) or size
            what = "coefficients"
        for key, parameter in registry.parameters("strategy", use).items():
            if parameter.is_parts:
                parts = [split(part) for part in parameters[key]]
                parameters[key] = [
                    {"use": use, **self._with_levels(use, own, dataset, levels_for, where)} for use, own in parts
                ]
            if (parameter.is_level or parameter.is_stages) and kind != "image":
                raise Unfit(
                    f"{where}: {key} counts {what} per axis, which only images have, and {dataset} is {kind}; "
                    "leave out the strategy or the data set"
                )
            if parameter.levels(parameters[key]):
                if size is None:
                    raise Unfit(
                        f"{where}: {key} counts {what} per axis, and how large the images of {dataset} are is known only "
                        "once they are read; give their `shape`, such as [3, 32, 32] for channels, height and width, in "
                        f"{self.entries[0].place(dataset)}"
                    )
                if levels_for:
                    parameters[key] = parameter.scaled(parameters[key], size, levels_for)
                if (top := max(parameter.levels(parameters[key]))) > stored:
                    has = f"images of {dataset} have {size}" if stored == size else f"{dataset} keeps {stored}"
                    verb = "asks for" if parameter.is_stages else "is"
                    raise Unfit(f"{where}: {key} {verb} {top} {what} per axis, but {has}; choose 1 to {stored}")
        return parameters

    @cache  # noqa: B019
    def recipe(self, study: str, dataset: str, model: str, strategy: str) -> Recipe:
        """The scale's recipe, with what the pair of data set and model replaces of it, and then the strategy."""
        scale = self.studies[study].scale
        recipe = scale.recipe
        strategy, share = share_in(strategy)
        pairs = (pair.recipe for pair in scale.pairs if (pair.dataset, pair.model) == (dataset, model))
        for place, own in (
            (f"scales.{self.config.scale}.tasks.{dataset}/{model}", next(pairs, {})),
            (f"strategies.{strategy}", self.strategies(study)[strategy].recipe),
        ):
            if own:
                where = f"{self.file(study)}: {place}.recipe"
                recipe = parse(Recipe, merged(recipe.model_dump(mode="json"), own), where)
        if share:
            recipe = recipe.model_copy(update={"epochs": epochs_of(recipe.epochs, share)})
        return recipe

    @cache  # noqa: B019
    def model(self, name: str) -> ModelSpec:
        """A model with the checksums of the files it names, read only where a run uses it.

        Raises FrugalError for a file that can't be read, and for one whose content nothing would look at.
        """
        model: ModelSpec = self.models[name]
        files, known = {}, registry.parameters("model", model.use)
        for key, value in model.parameters.items():
            where = f"{self.place(name)}: {key}"
            if file := known[key].unwatched(value):
                raise FrugalError(
                    f"{where} names the file {file}, and other content of it would go unnoticed; annotate {key} as File, from "
                    f"frugal.parameters, in scripts/frugal/models/{model.use}.py, or give the file with a parameter that is"
                )
            if known[key].names_folder(value):
                inside = sorted(path for path in Path(value).iterdir() if path.is_file())
                files |= {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in inside}
            if known[key].names_file(value):
                try:
                    files[value] = hashlib.sha256(Path(value).read_bytes()).hexdigest()
                except OSError as error:
                    words = f" nor one of {known[key].words}" if known[key].words else ""
                    raise FrugalError(
                        f"{where} is {value!r}, {'neither' if words else 'not'} a file that can be read ({error.strerror})"
                        f"{words}; a relative path is taken from the folder in which snakemake is started"
                    ) from error
        return model.model_copy(update={"files": files})

    @cache  # noqa: B019
    def modules(self, study: str, model: str, strategy: str) -> tuple[str, ...]:
        """The modules a run looks up by name: those of its strategy and its model's."""
        own, use = self.strategies(study)[strategy], self.models[model].use
        return *registry.modules_of(own.use, own.parameters), registry.module_name("model", use)
