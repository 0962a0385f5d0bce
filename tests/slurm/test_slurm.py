"""On a real Slurm: GPUs of their own for jobs at a time, a cancelled and a pre-empted run that go on, two processes a job."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tiny
from frugal.faults.checkout import snapshot
from slurm.cluster import Cluster, obstacle, running, squeue

pytestmark = [
    pytest.mark.xdist_group("slurm"),
    pytest.mark.slow,
    pytest.mark.skipif("FRUGAL_SLURM" not in os.environ, reason="FRUGAL_SLURM=1 starts a Slurm on this machine"),
    pytest.mark.skipif(bool(obstacle()), reason=f"no Slurm: {obstacle()}"),
]

CELL = "results/demo/runs/compression/digits/cnn-tiny/full"
CONFIG = (
    "studies=[compression]",
    "checkpoint_seconds=0",
    "caches=caches",
    "override={seeds: 4, budgets: [], recipe: {epochs: 8}, grouped: false}",
)
LIMIT = os.environ.get("FRUGAL_SLURM_SECONDS", "300")
TOOLS = Path(sys.executable).parent
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkout, with Slurm up."""
    folder = tmp_path_factory.mktemp("cluster")
    snapshot(folder)
    with Cluster():
        yield folder
    assert not running("slurmstepd", "slurmd", "slurmctld")


def snakemake(folder, seeds, *arguments, config=()):
    """Started in that folder for the runs of these seeds; never longer than that."""
    command = ["timeout", "-k", "10", LIMIT, TOOLS / "snakemake", *arguments, "--latency-wait", "5"]
    command += [f"{CELL}/seed-{seed}/metrics.json" for seed in seeds]
    log = open(folder / "snakemake.log", "w")  # noqa: SIM115  the process writes to it
    return subprocess.Popen(
        [*command, "--config", *CONFIG, *config], cwd=folder, stdout=log, stderr=log, env=ENVIRONMENT
    )


def on_slurm(folder, seeds, *arguments, config=()):
    profile = ("--workflow-profile", "workflow/profiles/slurm", "--slurm-init-seconds-before-status-checks", "1")
    return snakemake(folder, seeds, *profile, *arguments, config=config)


def ended(process, folder):
    assert process.wait() == 0, (folder / "snakemake.log").read_text()[-5000:]


def frozen_in_training(process, folder, seeds):
    """Stop the process of each of these runs as soon as there is a checkpoint of it; returns their /proc folders."""
    found = {}
    while waiting := set(seeds) - set(found):
        assert process.poll() is None, (folder / "snakemake.log").read_text()[-5000:]
        for seed in waiting:
            if list((folder / CELL).glob(f"seed-{seed}/checkpoints/*/step-*.pt")):
                found[seed] = trainer(folder, f"{CELL}/seed-{seed}")
                os.kill(int(found[seed].name), signal.SIGSTOP)
        time.sleep(0.01)
    return [found[seed] for seed in seeds]


def trainer(folder, out):
    """The /proc folder of the process that trains a run."""
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            argv = (proc / "cmdline").read_bytes().decode().split("\0")
            ours = (proc / "cwd").readlink() == folder and argv[1:2] == ["scripts/train.py"]
        except OSError:  # it ended meanwhile
            continue
        if ours and Path(argv[argv.index("--record") + 1]).parent == Path(out):
            return proc
    raise AssertionError(f"{out} ended before it could be stopped")


def environment(proc):
    return dict(pair.split("=", 1) for pair in (proc / "environ").read_bytes().decode().split("\0") if pair)


def record(folder, seed):
    out = folder / CELL / f"seed-{seed}"
    return [json.loads((out / name).read_text()) for name in ("metrics.json", "manifest.json")]


def test_runs_that_are_cancelled_and_preempted_end_with_the_record_of_undisturbed_ones(folder):
    process = on_slurm(folder, (0, 1), "--set-resources", "train:gpu=1")
    first, second = map(environment, frozen_in_training(process, folder, (0, 1)))
    assert {first["CUDA_VISIBLE_DEVICES"], second["CUDA_VISIBLE_DEVICES"]} == {"0", "1"}
    subprocess.run(["scancel", first["SLURM_JOB_ID"]], check=True)
    subprocess.run(["scontrol", "requeue", second["SLURM_JOB_ID"]], check=True)  # what pre-emption does
    while second["SLURM_JOB_ID"] not in (squeue("--states=PENDING", "--format=%A") or ""):
        assert process.poll() is None, (folder / "snakemake.log").read_text()[-5000:]
        time.sleep(0.1)
    subprocess.run(["scontrol", "update", f"JobId={second['SLURM_JOB_ID']}", "StartTime=now"], check=True)
    ended(process, folder)
    spec = record(folder, 0)[1]["spec"]
    command = [TOOLS / "python", "scripts/train.py", "--spec", json.dumps([spec]), "--seeds", "0", "1"]
    command += ["--cache", "caches/demo/digits/manifest.json", "--out", f"undisturbed/{Path(CELL).parent}"]
    subprocess.run(command, cwd=folder, check=True, env=ENVIRONMENT)
    for seed in (0, 1):
        metrics, manifest = record(folder, seed)
        whole, once = record(folder / "undisturbed", seed)
        assert (manifest["resumes"], once["resumes"]) == (1, 0)
        assert tiny.outcome(metrics) == tiny.outcome(whole)


def test_a_study_goes_on_slurm_from_its_data_to_its_page(folder):
    small = "override={strategies: [full, infobatch], seeds: 2, budgets: [], recipe: {epochs: 2}, grouped: true}"
    together = ("--groups", "tabulate=report", "render=report", "overview=report")
    ended(on_slurm(folder, (), *together, config=("studies=[infobatch]", small)), folder)
    assert (folder / "results/demo/index.html").exists()
    assert len(list((folder / "results/demo/runs/infobatch").glob("*/*/*/seed-*/metrics.json"))) == 4


def test_two_processes_of_a_job_write_on_their_node_under_any_scheduler_with_commands(folder):
    profile = ("--workflow-profile", "workflow/profiles/cluster-generic", "--seconds-between-status-checks", "1")
    submit = "sbatch --parsable --cpus-per-task={threads} --mem={resources.mem_mb} --time={resources.runtime}"
    commands = ("--cluster-generic-submit-cmd", submit, "--cluster-generic-cancel-cmd", "scancel")
    storage = ("--default-storage-provider", "fs", "--remote-job-local-storage-prefix", f"{folder}/node/$SLURM_JOB_ID")
    shared = ("--shared-fs-usage", "persistence", "software-deployment", "sources", "source-cache")
    config = ("devices=2", f"scratch={folder}/node")
    ended(snakemake(folder, (2,), *profile, *commands, *storage, *shared, config=config), folder)
    metrics, manifest = record(folder, 2)
    assert metrics["epochs"] == 8
    assert "devices 2: each batch is shared among them, through gloo" in manifest["notes"]
    assert list((folder / "node").glob(f"*/fs/{CELL}"))
    assert list((folder / CELL).glob("seed-2/checkpoints/*/step-*.pt"))
    assert len(list((folder / "node").glob("*/train_images.npy"))) == 1


def test_the_executor_is_told_what_became_of_a_job(folder):
    def status(job):
        command = [folder / "workflow/profiles/cluster-generic/status.sh", job]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def submitted(command):
        argv = ["sbatch", "--parsable", "--output=/dev/null", "--wrap", command]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()

    done, failed, cancelled = submitted("exit 0"), submitted("exit 3"), submitted("sleep 60")
    assert status(cancelled) == "running"
    subprocess.run(["scancel", cancelled], check=True)
    for job, expected in ((done, "success"), (failed, "failed"), (cancelled, "failed"), ("99999", "failed")):
        until = time.monotonic() + 30
        while (found := status(job)) == "running" and time.monotonic() < until:
            time.sleep(0.1)
        assert found == expected
