# What the other files share: the plan made from the config, the paths, and what a rule's inputs are.
import atexit
import gc
import os
import re
import shlex
from functools import cache
from glob import glob
from pathlib import Path

from snakemake.logging import logger

from frugal import failed, record, registry
from frugal.errors import FrugalError
from frugal.plan import Plan
from frugal.report import MODULES as NOTEBOOK
from frugal.tools import put_own_tools_first, quote_interpreter

put_own_tools_first()
quote_interpreter()
# Planning makes millions of objects that stay. Looking among them for garbage took a quarter of the time that 10,000 runs need,
# and once more at the end, when Python ends anyway, a sixth: frozen objects are not looked at.
gc.set_threshold(100_000, 50, 1000)
atexit.register(gc.freeze)

try:
    PLAN = Plan(config)
except FrugalError as error:
    raise WorkflowError(str(error)) from None

if workflow.is_main_process:
    for name, study in PLAN.studies.items():
        for one in study.skipped:
            logger.info(
                f"left out: {name}/{one.dataset}/{one.model}/{one.strategy}: {one.why}"
            )

RESULTS = PLAN.results
CACHE = f"{PLAN.caches}/{{dataset}}/manifest.json"
CARD = f"{PLAN.caches}/{{dataset}}/README.md"
PAIR = f"{RESULTS}/runs/{{study}}/{{dataset}}/{{model}}"
RUN = f"{PAIR}/{{strategy}}/seed-{{seed}}"
STAMP = f"{PAIR}/runs.json"  # all records of a data set and model that one job makes
RECORD = [f"{RUN}/{name}" for name in record.FILES]
# Of a record Snakemake watches the file that is written last, since each that is declared makes planning slower; `due` looks at
# the others. A storage provider brings along only what is declared: then it is all of them, and of the run that another follows its
# history, its scores, and what it spent.
STORED = workflow.storage_settings.default_storage_provider is not None
WATCHED = RECORD if STORED else RECORD[:1]
LEADING = ["history.csv", "scores.npy", "metrics.json"] if STORED else ["metrics.json"]


def spec_of(study):
    """(dataset, model, strategy, seed) -> the spec of a run of that study, as its record and failed.json have it."""
    return lambda *run: PLAN.run(study, *run).model_dump(mode="json")


@cache
def unprepared():
    """Data sets of these studies whose preparation failed, and why."""
    names = {dataset for study in PLAN.studies.values() for dataset, _ in study.pairs}
    entries = {
        name: PLAN.datasets[name].model_dump(mode="json") for name in sorted(names)
    }
    return failed.unprepared(Path(PLAN.caches), entries)


def missing(study):
    """Its runs without a record: those that failed with why, and those that were not tried to their end."""
    return failed.without_record(
        study, Path(RESULTS), spec_of(study.name), unprepared()
    )


def comparable(study):
    """Whether there is a run of the baseline; without one there are no tables."""
    return any(
        os.path.exists(record_of(study.name, (*cell, seed)))
        for cell, seed in study.runs()
        if cell.strategy == study.baseline
    )


def record_of(study, run):
    """The file of a run's record that is written last."""
    names = ("study", "dataset", "model", "strategy", "seed")
    return RECORD[0].format(**dict(zip(names, (study, *run))))


# Set by `failed.smk`: tables and pages are made once more, from what is there without the runs that failed.
SETTLED = "FRUGAL_SETTLED" in os.environ
if SETTLED:
    PLAN.studies = {
        name: study for name, study in PLAN.studies.items() if comparable(study)
    }
CELLS = {
    name: [(*cell, seed) for cell, seed in study.runs()]
    for name, study in PLAN.studies.items()
}


def one_of(names):
    """A regular expression that matches these names, and nothing where there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    study=one_of(PLAN.studies),
    dataset=one_of(PLAN.datasets),
    model=one_of(PLAN.models),
    strategy=r"[^/]+",
    seed=r"\d+",


def shown_table(file, what):
    """A table of a study that `snakemake --report` has too."""
    return report(
        f"{RESULTS}/tables/{{study}}/{file}",
        caption="../report/table.rst",
        category="{study}",
        subcategory="tables",
        labels={"what": f"{file}: {what}"},
    )


def threads_of_source(wildcards):
    """All cores for a source that can use them."""
    source = PLAN.datasets[wildcards.dataset].source
    return workflow.cores if registry.uses_threads(source) else 1


def in_shell(path, folder):
    """A path under `folder`, with wildcards in it, as a shell command of a rule has it."""
    return shlex.quote(str(folder)) + re.sub(
        r"\{(\w+)\}", r"{wildcards.\1:q}", path.removeprefix(str(folder))
    )


def shared_cache(wildcards):
    """Where every node finds a cache's arrays; its manifest, as an input, a storage provider may bring to the job's own."""
    return CACHE.format(**wildcards)


def shared_folder(wildcards):
    """Where every node finds the checkpoints of a pair's runs: they are nobody's output."""
    return PAIR.format(**wildcards)


def cache_of_pair(wildcards):
    force_due()
    return shared_cache(wildcards)


def record_followed(wildcards):
    """A control repeats the counts of another strategy's run with the same seed, some use its scores; everyone else waits for
    nobody.
    """
    force_due()
    followed = PLAN.follows(wildcards.study, wildcards.strategy)
    return (
        expand(f"{RUN}/{{file}}", **{**wildcards, "strategy": followed}, file=LEADING)
        if followed
        else []
    )


def records(study):
    """The record of every run a study lists: of its files the one that is written last.

    Where one job trains all runs on a data set and model it is that job's stamp, and a record that is missing beside it.
    """
    files = [record_of(study, run) for run in CELLS[study]]
    if SETTLED:
        return list(filter(os.path.exists, files))
    if study not in PLAN.grouped:
        return files
    stamps = [
        STAMP.format(study=study, dataset=dataset, model=model)
        for dataset, model in PLAN.studies[study].pairs
    ]
    done = tuple(
        str(Path(stamp).parent) + "/" for stamp in stamps if os.path.exists(stamp)
    )
    return stamps + [
        file for file in files if file.startswith(done) and not os.path.exists(file)
    ]


def cards(wildcards):
    """Of the data sets that are prepared, or will be for runs. One that was removed when runs on it were done is not prepared
    again for its card, or they would be trained again; nor one that couldn't be prepared a moment ago.
    """
    runs_on = {}
    for name, runs in CELLS.items():
        for run in runs:
            runs_on.setdefault(run[0], []).append(record_of(name, run))
    return [
        CARD.format(dataset=dataset)
        for dataset, own in runs_on.items()
        if not (SETTLED and dataset in unprepared())
        if os.path.exists(CACHE.format(dataset=dataset))
        or not (SETTLED or any(map(os.path.exists, own)))
    ]


def failed_of_study(wildcards):
    """The runs that tables have to do without, and why. Otherwise nothing is made, so that there are none."""
    study = PLAN.studies[wildcards.study]
    return missing(study)[0] if SETTLED else {}


def records_of_study(wildcards):
    force_tables()
    return records(wildcards.study)


def measurements_of_study(wildcards):
    """Tables about this machine that the study's report shows; most need none."""
    names = PLAN.studies[wildcards.study].measurements
    return [f"{RESULTS}/measurements/{name}.csv" for name in names]


def reported_of_study(wildcards):
    """The authors' figures of the experiment that a study repeats; none where it repeats none."""
    return sorted(glob(f"config/reported/{wildcards.study}.csv"))


GPUS = PLAN.gpus_per_run()  # one per device of a run where runs use GPUs
FIRST = 1_000_000  # priority of a run with a study's first seed


def seeds_outside(wildcards):
    """The priority of a run: all strategies with one seed, then with the next, so that whatever else the machine does meets
    all of them alike.
    """
    study = PLAN.studies[wildcards.study]
    seeds = study.seeds_of(wildcards.dataset, wildcards.model, wildcards.strategy)
    seed = int(wildcards.seed)
    return FIRST - (seeds.index(seed) if seed in seeds else 0)
