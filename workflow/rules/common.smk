# What the other files share: the plan made from the config, the paths, and what a rule may ask about a run.
import os
import shlex
import sys
from functools import cache
from glob import glob

from snakemake.exceptions import WorkflowError

sys.path.insert(0, "scripts")

from frugal import registry
from frugal.errors import FrugalError
from frugal.imports import closure, digest
from frugal.plan import Plan
from frugal.tools import put_own_tools_first

put_own_tools_first()

try:
    PLAN = Plan(config)
except FrugalError as error:
    raise WorkflowError(str(error)) from None

RESULTS = PLAN.results
RUN = f"{RESULTS}/runs/{{study}}/{{dataset}}/{{model}}/{{strategy}}/seed-{{seed}}"
CELLS = {
    name: [(*cell, seed) for cell, seed in study.runs()]
    for name, study in PLAN.studies.items()
}


wildcard_constraints:
    study="|".join(PLAN.studies),
    dataset="|".join(PLAN.datasets),
    model="|".join(PLAN.models),
    strategy=r"[^/]+",
    seed=r"\d+",


@cache
def code_of(script, *modules, files=()):
    """One checksum over the source files of ours that a step's result can depend on.

    As a parameter it makes Snakemake re-run a step when their content changes, and never when only their dates do. Named
    as input files they would do the same, for forty paths in each of a thousand jobs.
    """
    return digest(closure(script, *modules), files)


TEMPLATES = tuple(
    sorted(glob("scripts/frugal/analysis/templates/**/*.*", recursive=True))
)


def code_of_source(wildcards):
    source = PLAN.datasets[wildcards.dataset].source
    return code_of("prepare.py", registry.module_name("source", source))


def threads_of_source(wildcards):
    """All cores for a source that can use them."""
    source = PLAN.datasets[wildcards.dataset].source
    return workflow.cores if registry.uses_threads(source) else 1


def code_of_run(wildcards):
    return code_of(
        "train.py", *PLAN.modules(wildcards.study, wildcards.model, wildcards.strategy)
    )


def spec_of_dataset(wildcards):
    return PLAN.dataset_json(wildcards.dataset)


def spec_of_run(wildcards):
    try:
        return PLAN.run(**wildcards).model_dump_json()
    except FrugalError as error:
        raise WorkflowError(str(error)) from None


def spec_of_study(wildcards):
    return PLAN.studies[wildcards.study].model_dump_json()


def history_followed(wildcards):
    """A control repeats the counts of another strategy's run with the same seed; everyone else waits for nobody."""
    followed = PLAN.follows(wildcards.study, wildcards.strategy)
    return (
        expand(f"{RUN}/history.csv", **{**wildcards, "strategy": followed})
        if followed
        else []
    )


def records_of_study(wildcards):
    """The record of every run the study lists."""
    names = ("dataset", "model", "strategy", "seed")
    columns = dict(zip(names, zip(*CELLS[wildcards.study])))
    return expand(
        rules.train.output,
        zip,
        study=[wildcards.study] * len(CELLS[wildcards.study]),
        **columns,
    )


def gpus_of_run(wildcards):
    """One GPU per device of a run where runs use GPUs."""
    return PLAN.gpus_per_run()
