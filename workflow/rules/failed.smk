# Where runs failed, or a data set couldn't be prepared, everything else is made all the same: tables that name them, reports, the
# index. The command still fails. A job that failed has no output, so that nothing which needs it is made; therefore Snakemake
# plans once more, as it was started, with the runs that failed taken out, and those on such a data set. Not so where a run was
# stopped or killed, or waits: that one is to go on first.
import subprocess


def page_asked_for():
    """The overview where it is there and was among what was asked for; else None."""
    index = f"{RESULTS}/index.html"
    targets = {str(target) for target in workflow.dag_settings.targets}
    asked = not targets or targets & {"all", index}
    return index if asked and os.path.exists(index) else None


def tell_page():
    """The last line of a command that made everything: which page to open."""
    if index := page_asked_for():
        print(f"open {index}", flush=True)


def with_page(line):
    """A filter of Snakemake's log that changes one line: where nothing is due, no success is reported that could tell the page."""
    if str(line.msg).startswith("Nothing to be done") and (index := page_asked_for()):
        line.msg = f"{line.msg} Open {index}"
    return True


def tell_failed(runs):
    """The last lines of the command."""
    for line in failed.told(runs, unprepared()):
        print(f"frugal: failed: {line}", file=sys.stderr)


def asked_for():
    """The studies that the targets on the command line are of, all where none is named; none where single runs are."""
    targets = [str(target) for target in workflow.dag_settings.targets]
    if any(target.startswith(f"{RESULTS}/runs/") for target in targets):
        return []
    parts = [{*Path(target).parts, Path(target).stem} for target in targets]
    named = [
        study
        for name, study in PLAN.studies.items()
        if any(name in one for one in parts)
    ]
    return named or list(PLAN.studies.values())


def settle():
    """Make what can be made without the runs that failed, and name these at the end."""
    lost, waiting = {}, []
    for study in PLAN.studies.values():
        own_lost, own_waiting = missing(study)
        lost |= own_lost
        waiting += own_waiting if study in asked_for() else []
    if not (lost or unprepared()):
        return
    stopped = getattr(workflow.scheduler, "_user_kill", None)
    by_command = Path(sys.argv[0]).name in ("snakemake", "__main__.py")
    pages = (
        by_command and not (stopped or waiting) and any(map(comparable, asked_for()))
    )
    try:
        command = [sys.executable, "-m", "snakemake", *sys.argv[1:], "--nolock"]
        settled = {**os.environ, "FRUGAL_SETTLED": "1"}
        if pages and not subprocess.run(command, env=settled, check=False).returncode:
            atexit.register(tell_page)  # told last: what was registered first
    finally:
        atexit.register(tell_failed, lost)


if workflow.is_main_process:
    logger.addFilter(with_page)


onerror:
    if workflow.is_main_process and not SETTLED:
        settle()
