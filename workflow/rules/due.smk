# What makes a step's result another one, beside its input files: settings and code. And what is made again because of them.
import inspect

from frugal import due
from frugal.data import made_from
from frugal.imports import PREPARATION, closure, digest, digest_of_training

TEMPLATES = tuple(
    sorted(glob("scripts/frugal/report/templates/**/*.*", recursive=True))
)


@cache
def code_of(*modules, files=()):
    """One checksum over the source files of ours that a step's result can depend on.

    As a parameter it makes Snakemake re-run a step when their content changes, and never when only their dates do. Named
    as input files they would do the same, for forty paths in each of a thousand jobs.
    """
    return digest(closure(*modules), files)


@cache
def force_due():
    """Have Snakemake make again what doesn't fit the plan, and say why. For input functions: before the first of them there
    is no graph of jobs to tell. Unlike `--forcerun` this asks for no file that wouldn't be asked for anyway.
    """
    if workflow.is_main_process:  # it plans; the process of a job is told what to do
        found = due.find(PLAN, digest_of_training, workflow.dag_settings.targets)
        workflow.dag.forcefiles.update(f"{one.folder}/metrics.json" for one in found)
        workflow.dag.forcefiles.update(
            f"{Path(one.folder).parents[1]}/runs.json" for one in found
        )
        for line in due.told(found):
            logger.info(line)


@cache
def force_tables():
    """Have Snakemake make tables again that are of another study than is planned, or of runs that failed since: a copied folder
    brings no metadata.
    """
    if workflow.is_main_process:
        failed_of = (lambda study: missing(study)[0]) if SETTLED else None
        for study, keys in due.tables(PLAN, failed_of).items():
            workflow.dag.forcefiles.add(f"{RESULTS}/tables/{study}/runs.csv")
            logger.info(
                f"tables of study {study} are due again: other {', '.join(keys)}"
            )


def code_of_source(wildcards):
    source = PLAN.datasets[wildcards.dataset].source
    return code_of(PREPARATION, registry.module_name("source", source))


def look_at_sources(wildcards):
    """No input: has Snakemake prepare a data set again whose files look different from when its cache was made, or whose cache was
    made for another entry: by another checkout that shares it, or before the entry was edited.
    """
    if workflow.is_main_process:
        folder = PLAN.config.data or os.environ.get("FRUGAL_DATA")
        folder = folder and os.path.expanduser(folder)
        cache = shared_cache(wildcards)
        made, entry = Path(cache).parent, PLAN.datasets[wildcards.dataset]
        if os.path.exists(cache) and (
            why := made_from.changed(made, folder)
            or made_from.entry_changed(made, entry.model_dump(mode="json"))
        ):
            workflow.dag.forcefiles.add(cache)
            logger.info(f"data set {wildcards.dataset} is prepared again: {why}")
        elif os.path.exists(cache) and not SETTLED:
            failed.forget(made)  # it failed with other files than it finds now
    return []


def code_of_pair(wildcards):
    """That of all strategies: a checkpoint knows the code of its own run, so that a job begun anew trains no more than it must."""
    study, model = wildcards.study, wildcards.model
    strategies = PLAN.studies[study].trained
    modules = [name for one in strategies for name in PLAN.modules(study, model, one)]
    return digest_of_training(*dict.fromkeys(modules))


def spec_of_dataset(wildcards):
    return PLAN.dataset_json(wildcards.dataset)


def run_json(**run):
    try:
        return PLAN.run(**run).model_dump_json()
    except FrugalError as error:
        raise WorkflowError(str(error)) from None


def spec_and_code(wildcards):
    """What makes a run's record another one: its spec as JSON, and a checksum of the code it can depend on.

    One function rather than two, since Snakemake takes care over each, for each of ten thousand jobs.
    """
    modules = PLAN.modules(wildcards.study, wildcards.model, wildcards.strategy)
    return run_json(**wildcards), digest_of_training(*modules)


def specs_of_pair(wildcards):
    """Those of each strategy's first seed; train.py is told the others."""
    study = PLAN.studies[wildcards.study]
    specs = [
        run_json(**wildcards, strategy=strategy, seed=study.seeds[0])
        for strategy in study.strategies_of(wildcards.dataset, wildcards.model)
    ]
    return f"[{', '.join(specs)}]"


def spec_of_study(wildcards):
    return PLAN.studies[wildcards.study].model_dump_json()


def planned_study(wildcards):
    """With what tells a record of this plan from another one, by cell."""
    study = PLAN.studies[wildcards.study]
    plans = due.plans(PLAN, study.name, digest_of_training)
    return study.model_copy(update={"plans": plans}).model_dump_json()


# Snakemake reads the signature of each of these for each of ten thousand jobs, which takes a tenth of planning; written down once
# it is only looked up.
for function in (spec_and_code, record_followed, seeds_outside):
    function.__signature__ = inspect.signature(function)
