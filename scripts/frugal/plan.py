"""Plan of a scale: the runs that config files ask for, checked before any job starts. Never imports torch: Snakemake reads it."""

import hashlib
import json
from dataclasses import replace
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from frugal import libraries, registry
from frugal.budgets import share_in, with_budgets
from frugal.config import Config
from frugal.config_checks import (
    check_batch,
    check_channels,
    check_followed,
    check_groups,
    check_listed,
    check_own_strategies,
    check_weights,
    check_writable,
    prepared_samples,
    seeds_in,
)
from frugal.errors import FrugalError, did_you_mean
from frugal.parameters import split
from frugal.recipe import Recipe
from frugal.spec import Dataset, DatasetSpec, Model, ModelSpec, RunSpec, StrategySpec, parse
from frugal.study import Skipped, Study, epochs_of, merged, shortened
from frugal.study_config import Scale, StudyConfig
from frugal.sweeps import check_changed, swept
from frugal.unfit import Ground, Unfit, uses_scores, why_unfit
from frugal.yamlfile import read_yaml


class Plan:
    """What a config asks for: its studies and their runs."""

    def __init__(self, config: dict[str, Any], folder: Path = Path("config")):
        """config: the content of config.yaml with command-line overrides; folder: where datasets, models and studies lie.

        Raises FrugalError for anything in the config that can't be right.
        """
        self.folder = folder
        self.config: Config = parse(Config, config, str(folder / "config.yaml"))
        self.scale = self.config.scale
        scales = list(StudyConfig.model_fields["scales"].annotation.__args__[0].__args__)
        if self.scale not in scales:
            raise FrugalError(
                f"{folder / 'config.yaml'}: unknown scale {self.scale!r}; {did_you_mean(self.scale, scales)}"
            )
        check_writable(Path(self.config.results), "results")
        if self.config.caches:
            check_writable(Path(self.config.caches), "caches")
        self.datasets = self._named("datasets.yaml", Dataset, DatasetSpec, "source", "source", "options")
        self.models = self._named("models.yaml", Model, ModelSpec, "model", "use", "parameters")
        self.files = {path.stem: path for path in sorted((folder / "studies").glob("*.yaml"))}
        self._sections: dict[str, tuple[StudyConfig, Scale]] = {}
        # Of an override: a list of strategies chooses, a mapping changes what some of them are given.
        chosen = self.config.override.get("strategies")
        self.changes: dict[str, Any] = chosen if isinstance(chosen, dict) else {}
        self.studies: dict[str, Study] = {name: study for name in self._chosen() if (study := self._study(name))}
        if not self.studies:
            raise FrugalError(f"no study has the scale {self.scale!r}; choose another with --config scale=...")
        check_changed(
            self.changes, {name: study.trained for name, study in self.studies.items()}, str(folder / "config.yaml")
        )

    @property
    def results(self) -> str:
        """results/<scale>"""
        return f"{self.config.results}/{self.scale}"

    @property
    def caches(self) -> str:
        """Where prepared data sets lie, each in a folder of its name."""
        return f"{self.config.caches}/{self.scale}" if self.config.caches else f"{self.results}/data"

    def _chosen(self) -> list[str]:
        wanted = self.config.studies
        if wanted == "all":
            return list(self.files)
        wanted = [wanted] if isinstance(wanted, str) else wanted
        check_listed(wanted, "studies", "study", str(self.folder / "config.yaml"))
        for name in wanted:
            if name not in self.files:
                raise FrugalError(
                    f"{self.folder / 'config.yaml'}: unknown study {name!r}; {did_you_mean(name, list(self.files))}"
                )
        return wanted

    def _named(self, file: str, model: type, spec: type, kind: str, use: str, parameters: str) -> dict[str, Any]:
        """Read datasets.yaml or models.yaml: every entry checked, with the parameters of what it uses."""
        found = {}
        for name, content in read_yaml(self.folder / file).items():
            where = f"{self.folder / file}: {name}"
            section = parse(model, content, where).model_dump()
            section[parameters] = registry.check(kind, section[use], section[parameters], where)
            found[name] = parse(spec, {"name": name, **section}, where)
        return found

    def _study(self, name: str) -> Study | None:
        file = self.files[name]
        content = read_yaml(file)
        study: StudyConfig = parse(StudyConfig, content, str(file))
        if self.scale not in study.scales:
            if self.config.studies != "all":
                raise FrugalError(f"{file} has no scale {self.scale!r}; {did_you_mean(self.scale, list(study.scales))}")
            return None
        override = {key: value for key, value in self.config.override.items() if value is not self.changes}
        section = merged(content["scales"][self.scale], override)
        if {"datasets", "models"} <= self.config.override.keys():
            section.pop("tasks", None)
        where = f"{file}: scales.{self.scale}" + (" with the override" if self.config.override else "")
        for key in ("datasets", "models", "tasks", "strategies"):
            if section.get(key) == []:
                check_listed([], key, key.replace("datasets", "data set").replace("ies", "y").rstrip("s"), where)
        scale: Scale = parse(Scale, section, where)
        strategies = list(study.strategies) if scale.strategies is None else scale.strategies
        for names, key, what in (
            (strategies, "strategies", "strategy"),
            (scale.datasets, "datasets", "data set"),
            (scale.models, "models", "model"),
            ([(pair.dataset, pair.model) for pair in scale.tasks], "tasks", "pair"),
        ):
            if names:
                check_listed(names, key, what, where)
        for wanted, known, what in (
            ([pair.dataset for pair in scale.pairs], list(self.datasets), "data set"),
            ([pair.model for pair in scale.pairs], list(self.models), "model"),
            ([*strategies, study.baseline], list(study.strategies), "strategy"),
        ):
            for item in wanted:
                if item not in known:
                    raise FrugalError(f"{where}: unknown {what} {item!r}; {did_you_mean(item, known)}")
        if study.baseline not in strategies:
            raise FrugalError(
                f"{where}: strategies lacks the baseline {study.baseline!r} that the others are compared to; add it"
            )
        content, strategies, sweeps = swept(content, strategies, self.changes, where)
        study = parse(StudyConfig, content, f"{file} with the override") if self.changes else study
        check_groups(study, str(file))
        study, budgets = with_budgets(study, scale, strategies, where)
        self._sections[name] = (study, scale)
        for pair in scale.pairs:
            self._check_kind(pair.dataset, pair.model, where)
        for pair in scale.tasks:
            check_own_strategies(pair, study, strategies, f"{where}.tasks, {pair.dataset}/{pair.model}")
        seeds = seeds_in(scale.seeds, where)
        tasks = [
            pair.model_dump() | {"seeds": None if pair.seeds is None else seeds_in(pair.seeds, where)}
            for pair in scale.tasks
        ]
        scoring = [s for s in strategies if s != study.baseline and "scores" in registry.tells(study.strategies[s].use)]
        check_followed(study, strategies, scale.grouped and self.config.devices == 1, where)
        if scale.grouped and any(pair.seeds for pair in scale.pairs):
            raise FrugalError(
                f"{where}: grouped trains the same seeds on every data set, so no entry of tasks can have its own"
            )
        planned = Study(
            name=name,
            scale=self.scale,
            controls=[s for s in strategies if study.strategies[s].control],
            seeds=seeds,
            strategies=[s for s in strategies if s not in scoring],
            scoring=scoring,
            budgets=budgets,
            labels={s: study.strategies[s].label for s in strategies},
            parameters={s: self._parameters(study, s, str(file)) for s in strategies},
            recipe=scale.recipe.model_dump(mode="json"),
            recipes={s: study.strategies[s].recipe for s in strategies if study.strategies[s].recipe},
            margin=scale.margin or study.margin,
            **study.model_dump(include={"title", "question", "source", "baseline", "cost", "groups", "measurements"}),
            datasets=list(dict.fromkeys(pair.dataset for pair in scale.pairs)),
            models=list(dict.fromkeys(pair.model for pair in scale.pairs)),
            tasks=tasks,
            follows={s: other for s in [*strategies, *shortened(budgets)] if (other := study.strategies[s].follows)},
            target_accuracy=scale.target_accuracy,
            sweeps=sweeps,
        )
        for model in planned.models:
            self._model(model)
        skipped = [one for dataset, model in planned.pairs for one in self._unfit(planned, dataset, model)]
        planned = planned.model_copy(update={"skipped": skipped})
        for dataset, model in planned.pairs:
            cache = Path(self.caches, dataset)
            samples = prepared_samples(cache, self.datasets[dataset])
            for strategy in planned.strategies_of(dataset, model):
                self._check_recipe(name, dataset, model, strategy)
                recipe = self._recipe(name, dataset, model, strategy)
                check_batch(recipe.batch_size, samples, cache, f"{where}: {strategy}")
        return planned

    def _unfit(self, study: Study, dataset: str, model: str) -> list[Skipped]:
        """Strategies to leave out on a data set and model. Raises Unfit for one that the config doesn't allow to leave out."""
        out: dict[str, str] = {}
        asked = study.asked(dataset, model)
        for strategy in _leaders_first(study):
            config = self._sections[study.name][0].strategies[strategy]
            if strategy not in asked:
                continue
            if config.follows in out:
                out[strategy] = f"it follows {config.follows}, which is left out"
                continue
            where = f"{self.files[study.name]}: strategies.{strategy}"
            try:
                self._check_fit(study, dataset, model, strategy, where)
            except Unfit as error:
                if strategy == study.baseline:
                    raise Unfit(f"{error}; it is the baseline, without which nothing can be compared") from None
                if config.skip is not True and self.config.unfit == "error":
                    raise Unfit(f"{error}; or leave it out there with skip: true, or --config unfit=skip") from None
                out[strategy] = str(error).removeprefix(f"{where}: ")
        kept = (strategy for strategy in study.trained if strategy in out)
        return [Skipped(dataset=dataset, model=model, strategy=strategy, why=out[strategy]) for strategy in kept]

    def _check_fit(self, study: Study, dataset: str, model: str, strategy: str, where: str) -> None:
        """Raise Unfit, naming the strategy in one line, where it can't do anything with a data set and model."""
        config, scale = self._sections[study.name]
        own, source, net = config.strategies[strategy], self.datasets[dataset].source, self.models[model]
        followed = config.strategies.get(own.follows) if own.follows else None
        if own.follows and followed is None:
            self._strategy(study.name, dataset, strategy)  # names it
        recipe = self._recipe(study.name, dataset, model, strategy)
        ground = Ground(
            kind=self._kind(dataset),
            task=registry.data_task(source),
            model=(net.use, net.parameters),
            devices=self.config.devices,
            device=self.config.device,
            residency=self.config.residency,
            average=recipe.average is not None,
            accumulate=recipe.accumulate,
            mixes=recipe.augment.mixes,
            scales=recipe.precision == "float16",
            followed=followed and (followed.use, self._parameters(config, own.follows, str(self.files[study.name]))),
            epochs=recipe.epochs,
        )
        given = self._parameters(config, strategy, str(self.files[study.name]))
        if why := why_unfit(own.use, given, ground):
            raise Unfit(f"{where}: can't be trained on {dataset}/{model}: {why}")
        scaled = self._strategy(study.name, dataset, strategy).parameters
        if why := why_unfit(own.use, scaled, replace(ground, size=(self._shape(dataset) or (None,))[-1])):
            raise Unfit(f"{where}: can't be trained on {dataset}/{model}: {why}")
        if followed is None:
            return
        charged = uses_scores(own.use, given)
        if scale.grouped and own.follows not in study.trained:
            raise Unfit(
                f"{where}: it follows {own.follows}, which `strategies` leaves out; a grouped scale trains only those it "
                "lists: add it"
            )
        ours, theirs = (self._recipe(study.name, dataset, model, one).epochs for one in (strategy, own.follows))
        if ours != int(ours) and own.use != "equal_cost" and not charged:
            raise Unfit(
                f"{where}: it repeats what {own.follows} did in each epoch, and its {ours:g} epochs end within one; choose "
                "budgets of whole epochs"
            )
        if ours > theirs and not charged:
            raise Unfit(
                f"{where}: it has {ours} epochs and {own.follows}, which it follows, {theirs}; give both as many"
            )

    def _check_recipe(self, study: str, dataset: str, model: str, strategy: str) -> None:
        """Raise FrugalError for a recipe that this data set, or the devices of the config, can't be trained with."""
        recipe, config = self._recipe(study, dataset, model, strategy), self.config
        where = f"{self.files[study]}: {dataset}/{model}, strategy {strategy}"
        if recipe.label_smoothing and registry.data_task(self.datasets[dataset].source) == "transcription":
            raise FrugalError(f"{where}: recipe.label_smoothing has no meaning for CTC; set it to 0 for this data set")
        if recipe.class_weights and registry.data_task(self.datasets[dataset].source) == "transcription":
            raise FrugalError(f"{where}: recipe.class_weights has no meaning for CTC; leave it out for this data set")
        if isinstance(recipe.class_weights, list) and self.datasets[dataset].classes:
            check_weights(recipe.class_weights, self.datasets[dataset].classes, dataset, where)
        if recipe.augment.policy and self._kind(dataset) == "image" and (shape := self._shape(dataset)):
            check_channels(shape[0], dataset, where)
        if recipe.test_time and self._kind(dataset) != "image":
            raise FrugalError(f"{where}: recipe.test_time mirrors images, and {dataset} holds none; leave it out")
        if recipe.compile == "graphs" and config.device == "cpu":
            raise FrugalError(f"{where}: recipe.compile is graphs, which needs a CUDA GPU; use true, false or auto")
        if recipe.batch_size < config.devices:
            raise FrugalError(
                f"{where}: a batch of {recipe.batch_size} can't be shared by {config.devices} devices; lower devices"
            )

    def _kind(self, dataset: str) -> str:
        """Of the samples: image, text, table or sound."""
        return registry.data_kind("source", self.datasets[dataset].source, self.datasets[dataset].options)

    def _shape(self, dataset: str) -> tuple[int, ...] | None:
        """Of a sample, as far as the config says it: nothing here may depend on whether the data set is prepared yet."""
        known = self.datasets[dataset]
        return known.shape or registry.sample_shape(known.source, known.options)

    @staticmethod
    def _parameters(study: StudyConfig, name: str, file: str) -> dict[str, Any]:
        """A strategy's parameters as the study gives them, checked, with defaults."""
        config = study.strategies[name]
        return registry.check("strategy", config.use, config.parameters, f"{file}: strategies.{name}")

    def _check_kind(self, dataset: str, model: str, where: str) -> None:
        """Raise FrugalError for a model of another kind of data: images into a net for text."""
        kind, shape = self._kind(dataset), self._shape(dataset)
        use, parameters = self.models[model].use, self.models[model].parameters
        if kind not in (takes := registry.takes_kinds(use)):
            raise FrugalError(
                f"{where}: model {model} takes {' or '.join(takes)} data, {dataset} is {kind}; choose another, or list each data "
                "set with its model under `tasks`"
            )
        if use in libraries.BUILT:
            libraries.check_name(use, kind, parameters["name"], f"{self.folder / 'models.yaml'}: {model}")
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
        task = registry.data_task(self.datasets[dataset].source)
        if task != "classification" and not registry.takes_task(use):
            raise FrugalError(
                f"{where}: {dataset} asks for {task}, and model {model} can only classify; choose one that uses wav2vec2"
            )

    @cache  # noqa: B019  one plan lives as long as the process
    def _strategy(self, study: str, dataset: str, name: str) -> StrategySpec:
        """A strategy's parameters for one data set, levels scaled to its images."""
        config, scale = self._sections[study][0].strategies[name], self._sections[study][1]
        where = f"{self.files[study]}: strategies.{name}"
        if config.follows is not None and config.follows not in self._sections[study][0].strategies:
            known = list(self._sections[study][0].strategies)
            raise FrugalError(
                f"{where}: follows unknown strategy {config.follows!r}; {did_you_mean(config.follows, known)}"
            )
        parameters = self._parameters(self._sections[study][0], name, str(self.files[study]))
        parameters = self._with_levels(config.use, parameters, dataset, scale, where)
        return StrategySpec(name=name, use=config.use, follows=config.follows, parameters=parameters)

    def _with_levels(
        self, use: str, parameters: dict[str, Any], dataset: str, scale: Scale, where: str
    ) -> dict[str, Any]:
        """The parameters with levels scaled to the data set's images, those of parts too; raises FrugalError beyond them."""
        parameters = dict(parameters)
        kind, shape = self._kind(dataset), self._shape(dataset)
        size = shape[-1] if shape else None
        stored, what = size, "pixels"
        if registry.reads(use) == "coefficients":
            stored = (self.datasets[dataset].dct and self.datasets[dataset].dct.keep) or size
            what = "coefficients"
        for key, parameter in registry.parameters("strategy", use).items():
            if parameter.is_parts:
                parts = [split(part) for part in parameters[key]]
                parameters[key] = [
                    {"use": use, **self._with_levels(use, own, dataset, scale, where)} for use, own in parts
                ]
            if (parameter.is_level or parameter.is_stages) and kind != "image":
                raise Unfit(
                    f"{where}: {key} counts {what} per axis, which only images have, and {dataset} is {kind}; "
                    "leave out the strategy or the data set"
                )
            if parameter.levels(parameters[key]):
                if size is None:
                    raise FrugalError(
                        f"{where}: {key} counts {what} per axis, and how large the images of {dataset} are is known only "
                        "once they are read; give its `shape`"
                    )
                if scale.levels_for:
                    parameters[key] = parameter.scaled(parameters[key], size, scale.levels_for)
                if (top := max(parameter.levels(parameters[key]))) > stored:
                    has = f"images of {dataset} have {size}" if stored == size else f"{dataset} keeps {stored}"
                    verb = "asks for" if parameter.is_stages else "is"
                    raise Unfit(f"{where}: {key} {verb} {top} {what} per axis, but {has}; choose 1 to {stored}")
        return parameters

    @cache  # noqa: B019
    def run(self, study: str, dataset: str, model: str, strategy: str, seed: int) -> RunSpec:
        """The spec of one cell and seed."""
        return RunSpec(
            study=study,
            scale=self.scale,
            dataset=self.datasets[dataset],
            model=self._model(model),
            recipe=self._recipe(study, dataset, model, strategy),
            strategy=self._strategy(study, dataset, strategy),
            seed=seed,
            devices=self.config.devices,
        )

    @cache  # noqa: B019
    def _recipe(self, study: str, dataset: str, model: str, strategy: str) -> Recipe:
        """The scale's recipe, with what the pair of data set and model replaces of it, and then the strategy."""
        config, scale = self._sections[study]
        recipe, file = scale.recipe, self.files[study]
        strategy, share = share_in(strategy)
        for place, own in (
            (f"scales.{self.scale}.tasks.{dataset}/{model}", _pair_recipe(scale, dataset, model)),
            (f"strategies.{strategy}", config.strategies[strategy].recipe),
        ):
            if own:
                recipe = parse(Recipe, merged(recipe.model_dump(mode="json"), own), f"{file}: {place}.recipe")
        if share:
            recipe = recipe.model_copy(update={"epochs": epochs_of(recipe.epochs, share)})
        return recipe

    @cache  # noqa: B019
    def _model(self, name: str) -> ModelSpec:
        """A model with the checksums of the files it names, read only where a run uses it."""
        model: ModelSpec = self.models[name]
        files, known = {}, registry.parameters("model", model.use)
        for key, value in model.parameters.items():
            if known[key].names_folder(value):
                inside = sorted(path for path in Path(value).iterdir() if path.is_file())
                files |= {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in inside}
            if known[key].names_file(value):
                try:
                    files[value] = hashlib.sha256(Path(value).read_bytes()).hexdigest()
                except OSError as error:
                    raise FrugalError(
                        f"{self.folder / 'models.yaml'}: {name}: {key} is {value!r}, neither a file that can be read "
                        f"({error.strerror}) nor one of {known[key].words}"
                    ) from error
        return model.model_copy(update={"files": files})

    @cache  # noqa: B019
    def modules(self, study: str, model: str, strategy: str) -> tuple[str, ...]:
        """The modules a run looks up by name: those of its strategy and its model's."""
        config, use = self._sections[study][0].strategies[strategy], self.models[model].use
        return *registry.modules_of(config.use, config.parameters), registry.module_name("model", use)

    def follows(self, study: str, strategy: str) -> str | None:
        """The strategy whose counts this one repeats, or None."""
        return self._sections[study][0].strategies[strategy].follows

    @property
    def grouped(self) -> list[str]:
        """The studies whose scale has one job train all runs on a data set and model; none where devices share runs."""
        return [
            name
            for name, study in self.studies.items()
            if self._sections[name][1].grouped
            and self.config.devices == 1
            and not any(pair.seeds for pair in study.tasks)
        ]

    def gpus_per_run(self) -> int:
        """As many as devices where runs use a GPU, seen by its device file so that nothing heavy is imported to look; else 0."""
        wanted = self.config.device
        uses_gpu = wanted == "cuda" or (wanted == "auto" and any(Path("/dev").glob("nvidia[0-9]*")))
        return self.config.devices * uses_gpu

    def launcher(self) -> str:
        """What starts train.py: torchrun where several devices share a run."""
        if self.config.devices == 1:
            return "python"
        signals = (
            "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"  # its own and the one that clusters send ahead of a time limit
        )
        return f"torchrun --standalone --nproc-per-node {self.config.devices} --signals-to-handle {signals}"

    def dataset_json(self, dataset: str) -> str:
        """What prepare.py needs to know, as JSON."""
        return json.dumps(self.datasets[dataset].model_dump(mode="json"))


def _leaders_first(study: Study) -> list[str]:
    """What is trained, each after the one that it follows."""
    needs = {
        name: {study.follows[name]} & set(study.trained) if name in study.follows else set() for name in study.trained
    }
    return list(TopologicalSorter(needs).static_order())


def _pair_recipe(scale: Scale, dataset: str, model: str) -> dict[str, Any]:
    """The keys of the recipe that a pair of data set and model replaces."""
    return next((pair.recipe for pair in scale.pairs if (pair.dataset, pair.model) == (dataset, model)), {})
