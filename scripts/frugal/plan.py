"""Plan of a scale: the runs that config files ask for, checked before any job starts. Never imports torch: Snakemake reads it."""

import json
from pathlib import Path
from typing import Any

from frugal import registry
from frugal.budgets import with_budgets
from frugal.config import Config
from frugal.config_checks import (
    baseline_seeds_in,
    check_batch,
    check_followed,
    check_groups,
    check_listed,
    check_names,
    check_own_strategies,
    check_writable,
    prepared_samples,
    seeds_in,
)
from frugal.entries import DATASETS, MODELS, read_entries, study_files
from frugal.errors import FrugalError, did_you_mean
from frugal.fit_checks import check_model, check_recipe, left_out
from frugal.resolve import Resolver, StudyAtScale
from frugal.spec import RunSpec, parse
from frugal.study import Study, merged, shortened
from frugal.study_config import Scale, StudyConfig
from frugal.sweeps import check_changed, swept
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
        self.entries = read_entries(folder, DATASETS), read_entries(folder, MODELS)
        self.datasets, self.models = (entries.specs for entries in self.entries)
        self.files = study_files(folder)
        self.resolver = Resolver(self.config, self.files, *self.entries)
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

    def _study(self, name: str) -> Study | None:
        file = self.files[name]
        content = read_yaml(file)
        study: StudyConfig = parse(StudyConfig, content, str(file))
        if self.scale not in study.scales:
            if self.config.studies != "all":
                raise FrugalError(f"{file} has no scale {self.scale!r}; {did_you_mean(self.scale, list(study.scales))}")
            return None
        where = f"{file}: scales.{self.scale}" + (" with the override" if self.config.override else "")
        scale = self._scale(content["scales"][self.scale], where)
        strategies = list(study.strategies) if scale.strategies is None else scale.strategies
        for pair in scale.pairs:
            self.entries[0].check(pair.dataset)
            self.entries[1].check(pair.model)
        check_names(study, scale, strategies, list(self.datasets), list(self.models), where)
        content, strategies, sweeps = swept(content, strategies, self.changes, where)
        study = parse(StudyConfig, content, f"{file} with the override") if self.changes else study
        check_groups(study, str(file))
        study, budgets = with_budgets(study, scale, strategies, where)
        self.resolver.studies[name] = StudyAtScale(study, scale)
        for pair in scale.pairs:
            check_model(self.resolver, pair.dataset, pair.model, where)
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
            baseline_seeds=baseline_seeds_in(scale, seeds, where),
            strategies=[s for s in strategies if s not in scoring],
            scoring=scoring,
            budgets=budgets,
            labels={s: study.strategies[s].label for s in strategies},
            parameters={s: self.resolver.parameters(name, s) for s in strategies},
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
            absent=_absent(study, strategies),
            config=self.config.repeated,
        )
        for model in planned.models:
            self.resolver.model(model)
        return self._fitted(planned, where)

    def _scale(self, section: dict[str, Any], where: str) -> Scale:
        """The section of a study's file for the scale, with the override; a key that lists nothing is named."""
        override = {key: value for key, value in self.config.override.items() if value is not self.changes}
        section = merged(section, override)
        if "seeds" in override and "baseline_seeds" not in override:
            section.pop("baseline_seeds", None)
        if {"datasets", "models"} <= self.config.override.keys():
            section.pop("tasks", None)
        elif override.get("tasks"):  # in place of the file's; names beside them choose among them
            section = {k: value for k, value in section.items() if k not in ("datasets", "models") or k in override}
        if isinstance(section.get("tasks"), list) and "tasks" not in override:
            section["tasks"] = [_overridden(task, override) for task in section["tasks"]]
        for key in ("datasets", "models", "tasks", "strategies"):
            if section.get(key) == []:
                check_listed([], key, key.replace("datasets", "data set").replace("ies", "y").rstrip("s"), where)
        among = ("datasets", "models") if section.get("tasks") else ()
        chosen = {key: section.pop(key) for key in among if isinstance(section.get(key), list)}
        scale = parse(Scale, section, where)
        for key, names in chosen.items():
            scale = _only(scale, key, [str(name) for name in names], where)
        strategies = override.get("strategies")
        return _with_strategies(scale, strategies, where) if isinstance(strategies, list) else scale

    def _fitted(self, study: Study, where: str) -> Study:
        """The study without the runs that don't fit and may be left out; raises FrugalError for others that don't."""
        skipped = [one for dataset, model in study.pairs for one in left_out(self.resolver, study, dataset, model)]
        study = study.model_copy(update={"skipped": skipped})
        for dataset, model in study.pairs:
            cache = Path(self.caches, dataset)
            samples = prepared_samples(cache, self.datasets[dataset])
            for strategy in study.strategies_of(dataset, model):
                check_recipe(self.resolver, study.name, dataset, model, strategy)
                recipe = self.resolver.recipe(study.name, dataset, model, strategy)
                check_batch(recipe.batch_size, samples, cache, f"{where}: {strategy}")
        return study

    def run(self, study: str, dataset: str, model: str, strategy: str, seed: int) -> RunSpec:
        """The spec of one cell and seed."""
        return self.resolver.run(study, dataset, model, strategy, seed)

    def modules(self, study: str, model: str, strategy: str) -> tuple[str, ...]:
        """The modules a run looks up by name: those of its strategy and its model's."""
        return self.resolver.modules(study, model, strategy)

    def follows(self, study: str, strategy: str) -> str | None:
        """The strategy whose counts this one repeats, or None."""
        return self.resolver.strategies(study)[strategy].follows

    @property
    def grouped(self) -> list[str]:
        """The studies whose scale has one job train all runs on a data set and model; none where devices share runs."""
        return [
            name
            for name, study in self.studies.items()
            if self.resolver.studies[name].scale.grouped and self.config.devices == 1
        ]

    def gpus_per_run(self) -> int:
        """As many as devices where runs use a GPU, seen by its device file so that nothing heavy is imported to look; else 0."""
        wanted = self.config.device
        uses_gpu = wanted == "cuda" or (wanted == "auto" and any(Path("/dev").glob("nvidia[0-9]*")))
        return self.config.devices * uses_gpu

    def launcher(self) -> str:
        """What starts train.py: torchrun where several devices share a run."""
        return "python" if self.config.devices == 1 else torchrun(self.config.devices)

    def dataset_json(self, dataset: str) -> str:
        """What prepare.py needs to know, as JSON."""
        return json.dumps(self.datasets[dataset].model_dump(mode="json"))


def _absent(study: StudyConfig, strategies: list[str]) -> dict[str, list[str]]:
    """Of each of these strategies the controls that follow it in the study and are none of them; those that have any."""
    others = [(name, own.follows) for name, own in study.strategies.items() if own.control and name not in strategies]
    found = {one: [name for name, followed in others if followed == one] for one in strategies}
    return {one: names for one, names in found.items() if names}


def torchrun(ranks: int) -> str:
    """What starts a script as so many ranks."""
    signals = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"  # its own and the one that clusters send ahead of a time limit
    return f"torchrun --standalone --nproc-per-node {ranks} --signals-to-handle {signals}"


def _overridden(task: Any, override: dict[str, Any]) -> Any:
    """A copy of an entry of tasks, as the file has it, in which an override wins over what the entry has of its own."""
    if not isinstance(task, dict):
        return task  # whoever parses it says what is wrong
    own = {key: value for key, value in task.items() if not (key in ("seeds", "target_accuracy") and key in override)}
    recipes = own.get("recipe"), override.get("recipe")
    return own | {"recipe": merged(*recipes)} if all(isinstance(recipe, dict) for recipe in recipes) else own


def _only(scale: Scale, key: str, names: list[str], where: str) -> Scale:
    """The scale with those tasks whose data set or model, as the key "datasets" or "models" says, is named; raises FrugalError
    for a name that none has.
    """
    one = key.rstrip("s")
    check_listed(names, key, key.replace("datasets", "data set").rstrip("s"), where)
    listed = list(dict.fromkeys(getattr(pair, one) for pair in scale.tasks))
    for name in names:
        if name not in listed:
            raise FrugalError(
                f"{where}: no entry of tasks has the {one} {name!r}; {did_you_mean(name, listed)}, or name both datasets "
                "and models, which replace the tasks, or only studies that have it"
            )
    return scale.model_copy(update={"tasks": [pair for pair in scale.tasks if getattr(pair, one) in names]})


def _with_strategies(scale: Scale, chosen: list[str], where: str) -> Scale:
    """The scale whose tasks have, of the strategies of their own, those that an override chose; raises FrugalError for one that
    no task trains.
    """
    for name in chosen:
        if scale.tasks and all(pair.strategies and name not in pair.strategies for pair in scale.tasks):
            raise FrugalError(
                f"{where}: no entry of tasks trains the strategy {name!r}; leave it out, or add it to one"
            )
    tasks = [
        pair.model_copy(update={"strategies": pair.strategies and [s for s in pair.strategies if s in chosen]})
        for pair in scale.tasks
    ]
    return scale.model_copy(update={"tasks": tasks})
