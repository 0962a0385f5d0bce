"""`make gpu`: what it lists and refuses, that it goes on where it was cut off, and that its commands are ones that can be run."""

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest
import yaml

import bench
import gpu
import speedrun
from forks import Forks
from frugal.data.sources import cifar10, cifar100
from frugal.errors import FrugalError
from frugal.gpu import carry, running, steps
from frugal.gpu.steps import STEPS, Places, Step, assumed
from frugal.measure.flops import pass_flops
from frugal.models import airbench, resnet
from frugal.models.pretrained import TORCHVISION

ROOT = Path(__file__).parents[1]
SNAKEMAKE = Forks("snakemake.cli", "pydantic", path=Path(sys.executable).parent)
GROUND = "infobatch", "demo", "digits", "cnn-tiny"
TRAININGS = [step for step in STEPS if step.collect]


def step(name, shell, resumes=False, minutes=0.0, **more):
    return Step(name, f"Does {name}?", ("bash", "-c", shell), assumed(minutes, "a test"), resumes, **more)


def planned(words):
    """How many jobs of each rule a command of Snakemake would run."""
    done = SNAKEMAKE.run([Path(sys.executable).parent / "snakemake", "-n", *words[3:]], cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return dict(re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.MULTILINE))


@pytest.fixture
def on_a_gpu(tmp_path, monkeypatch):
    """The command as on a machine with a GPU, with short patience: returns what runs it on steps."""
    monkeypatch.setattr(gpu, "cuda_missing", lambda: None)
    for module in (gpu, running):
        monkeypatch.setattr(module, "SAVING", 1.0)
    monkeypatch.setattr(running, "WORTH_STARTING", 0.0)
    monkeypatch.setattr(running, "LOOK", 0.01)
    folders = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    return lambda steps, *words: gpu.main(tuple(steps), [*folders, *words])


def test_every_step_is_listed_without_a_gpu_and_nothing_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("FRUGAL_DATA", raising=False)
    assert gpu.main(words=["--list", "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    for one in STEPS:
        assert re.search(rf"│ {one.name} +│ {'skipped' if one.data else 'due'} +│ +{one.estimate.hours:.2f}", told), (
            one.name
        )
    assert "FRUGAL_DATA names no folder" in told
    assert "not measured" in told
    assert not list(tmp_path.iterdir())


def test_without_cuda_one_line_says_so_and_nothing_is_written(tmp_path):
    command = [sys.executable, "scripts/gpu.py", "--work", tmp_path / "work", "--out", tmp_path / "out"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("frugal: torch ")
    assert "finds no CUDA GPU here" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_what_is_done_stays_what_fails_is_told_and_the_others_go_on(tmp_path, on_a_gpu, capsys):
    ran = tmp_path / "ran"
    three = [
        step("first", f"echo first >> {ran}; echo '{{\"rows\": [1]}}' > {{figure}}; exit 1"),  # a target that is missed
        step("broken", f"echo broken >> {ran}; echo 'frugal: the disk is gone'; echo more; exit 3"),
        step("last", f"echo last >> {ran}; echo '{{\"rows\": [2]}}' > {{figure}}"),
    ]
    assert on_a_gpu(three) == 1
    told = capsys.readouterr().out
    log = tmp_path / "work/logs/broken.log"
    assert f"broken: failed: the disk is gone ({log})" in told
    assert told.endswith("failed: broken\n")
    figure = json.loads((tmp_path / "out/first.json").read_text())
    assert figure["rows"] == [1]
    assert figure["step"]["answers"] == "Does first?"
    assert figure["step"]["tries"] == 1
    assert 0 <= figure["step"]["took_hours"] < 0.01
    assert on_a_gpu(three) == 1
    assert ran.read_text().split() == ["first", "broken", "last", "broken"]
    assert on_a_gpu(three, "--list", "--only", "broken") == 0
    assert "the disk is gone" in capsys.readouterr().out
    assert on_a_gpu(three, "--only", "first", "--again", "first") == 0
    assert on_a_gpu(three, "--only", "first") == 0
    assert ran.read_text().split() == ["first", "broken", "last", "broken", "first"]


def test_a_command_that_ends_well_without_a_figure_has_failed(tmp_path, on_a_gpu, capsys):
    assert on_a_gpu([step("silent", "true")]) == 1
    assert "silent: failed: exit status 0" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


TRAINING = """
mkdir -p {runs}; echo begun >> {runs}/told
[ -e {runs}/saved ] && { echo '{"rows": []}' > {figure}; exit 0; }
trap 'touch {runs}/saved; exit 143' TERM
for i in $(seq 300); do sleep 0.1; done
"""


def test_at_the_limit_a_training_saves_stays_due_and_goes_on(tmp_path, on_a_gpu, capsys):
    training, long = step("training", TRAINING, resumes=True, minutes=300), step("long", "exit 9", minutes=10)
    assert on_a_gpu([training, long], "--minutes", str(2.5 / 60)) == 0
    told = capsys.readouterr().out
    assert told.endswith("still due: training, long\n")
    assert "long: estimated" not in told, "what can't be done in the time isn't started"
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "work/runs/training/saved").exists()
    assert on_a_gpu([training]) == 0
    figure = json.loads((tmp_path / "out/training.json").read_text())
    assert figure["step"]["tries"] == 2
    assert 3600 * figure["step"]["took_hours"] > 1, "the first try counts"
    assert on_a_gpu([training], "--again", "training", "--minutes", str(1.5 / 60)) == 0
    assert (tmp_path / "work/runs/training.before-1/told").read_text() == "begun\nbegun\n"
    assert (tmp_path / "out/training.json").exists(), "the old figure is kept until there is a new one"
    assert on_a_gpu([training], "--again", "training") == 0
    assert (tmp_path / "work/runs/training/told").read_text() == "begun\nbegun\n", (
        "which went on, and did not begin anew"
    )


def test_what_does_not_end_when_asked_is_killed_and_needs_more_time_from_then_on(tmp_path, on_a_gpu):
    stubborn = step("stubborn", f"trap '' TERM; echo ran >> {tmp_path}/ran; sleep 60; sleep 60")
    assert on_a_gpu([stubborn], "--minutes", str(2 / 60)) == 0
    assert on_a_gpu([stubborn], "--minutes", str(2 / 60)) == 0
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_a_signal_is_passed_on_and_ends_the_command(tmp_path, on_a_gpu, capsys):
    later = step("later", "exit 9")
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM)).start()
    assert on_a_gpu([step("training", TRAINING, resumes=True), later]) == 128 + signal.SIGTERM
    assert (tmp_path / "work/runs/training/saved").exists()
    assert capsys.readouterr().out.endswith("still due: training, later\n")


def test_data_that_is_not_there_skips_a_step_and_says_so(tmp_path, on_a_gpu, capsys, monkeypatch):
    monkeypatch.setenv("FRUGAL_DATA", str(tmp_path))
    needs = step("needs", "echo '{}' > {figure}", data=(("photos", "photos.tar"),))
    assert on_a_gpu([needs]) == 0
    assert capsys.readouterr().out == f"skipped: needs: {tmp_path} has no photos or photos.tar\n"
    (tmp_path / "photos").mkdir()
    assert on_a_gpu([needs]) == 0
    assert (tmp_path / "out/needs.json").exists()


def test_an_unknown_step_is_refused(on_a_gpu):
    with pytest.raises(FrugalError, match="unknown step 'bench-engin'.*bench-engine"):
        on_a_gpu(STEPS, "--only", "bench-engin")


def test_a_second_machine_goes_on_from_what_the_first_one_left(tmp_path, on_a_gpu):
    training, over = step("training", TRAINING, resumes=True), step("over", "echo '{}' > {figure}")
    archive = ["--carry", str(tmp_path / "carried.tar")]
    assert on_a_gpu([over, training], "--minutes", str(2.5 / 60), *archive) == 0
    for folder in ("work", "out"):
        (tmp_path / folder).rename(tmp_path / f"first-{folder}")
    assert on_a_gpu([over, training], *archive) == 0
    assert json.loads((tmp_path / "out/training.json").read_text())["step"]["tries"] == 2
    assert json.loads((tmp_path / "out/over.json").read_text())["step"]["tries"] == 1


def test_only_checkpoints_of_runs_under_way_are_carried_as_far_as_they_fit(tmp_path):
    places, there = Places(tmp_path / "work", tmp_path / "out"), Places(tmp_path / "there", tmp_path / "there-out")
    for run in ("under-way", "finished"):
        saved = places.work / "runs/a" / run / "checkpoints/x/step-1.pt"
        saved.parent.mkdir(parents=True)
        saved.write_bytes(bytes(1000))
        (saved.parents[2] / "history.csv").write_text(run)
    (places.work / "runs/a/finished/metrics.json").write_text("{}")
    (places.work / "caches").mkdir()
    (places.work / "caches/large").write_text("made again")
    file = tmp_path / "c.tar"
    assert carry.pack(file, places, 0.0005) == ["runs/a/under-way/checkpoints/x/step-1.pt"]
    assert carry.pack(file, places) == []
    with tarfile.open(file) as tar:
        assert sorted(tar.getnames()) == [
            *("runs/a/finished/history.csv", "runs/a/finished/metrics.json"),
            *("runs/a/under-way/checkpoints/x/step-1.pt", "runs/a/under-way/history.csv"),
        ]
    (there.work / "runs/a/finished").mkdir(parents=True)
    (there.work / "runs/a/finished/history.csv").write_text("newer")
    assert carry.unpack(file, there) == 3
    assert (there.work / "runs/a/finished/history.csv").read_text() == "newer"
    with tarfile.open(file, "w") as tar:
        tar.add(places.work / "caches/large", "scripts/gpu.py")
    with pytest.raises(FrugalError, match=r"holds scripts/gpu.py"):
        carry.unpack(file, there)


def test_a_training_ends_with_a_figure_and_records_younger_data_does_not_undo(tmp_path, on_a_gpu, monkeypatch):
    """On a fresh machine data is prepared after the records that were carried there."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(running, "SAVING", 60.0)
    one, two = (
        steps.study("s", "?", GROUND, ("full",), seeds, assumed(1, "a test"), (), {"epochs": 2}, "cpu")
        for seeds in (1, 2)
    )
    assert on_a_gpu([one]) == 0
    figure = json.loads((tmp_path / "out/s.json").read_text())
    assert [(run["strategy"], run["seed"], run["resumes"]) for run in figure["runs"]] == [("full", 0, 0)]
    assert 0 < figure["runs"][0]["best_test_accuracy"] <= 1
    assert figure["train_seconds_over_full"] == {"full": 1}
    assert figure["hardware"]["cpu"]
    (tmp_path / "work").rename(tmp_path / "carried")  # where Snakemake knows nothing of it
    os.utime(tmp_path / "carried/caches/demo/digits/manifest.json")
    running.renew_dates(tmp_path / "carried/runs/s")
    _, words = two.commands(Places(tmp_path / "carried", tmp_path / "out"))
    assert planned(words) == {"train": "1", "total": "1"}, "seed 1 alone"


@pytest.mark.parametrize("one", TRAININGS, ids=lambda one: one.name)
def test_snakemake_plans_the_runs_of_a_step(tmp_path, one):
    first, words = one.commands(Places(tmp_path / "work", tmp_path / "out"))
    assert first[1:3] == ["-m", "snakemake"]
    assert first[4].endswith("manifest.json"), "the data first"
    assert words[1:3] == ["-m", "snakemake"]
    targets = [word for word in words if word.endswith("metrics.json")]
    assert planned(words) == {"prepare": "1", "train": str(len(targets)), "total": str(len(targets) + 1)}
    assert len(targets) == (2 if one.name.startswith("infobatch") else 18)


@pytest.mark.parametrize("one", [one for one in STEPS if not one.collect], ids=lambda one: one.name)
def test_python_commands_have_arguments_that_their_scripts_take(tmp_path, one):
    places = Places(tmp_path / "work", tmp_path / "out")
    [[python, script, *words]] = one.commands(places)
    assert python == sys.executable
    given = {"scripts/bench.py": bench, "scripts/speedrun.py": speedrun}[script].parser().parse_args(words)
    assert given.out == places.work / "figures" / f"{one.name}.json"
    if script == "scripts/bench.py":
        assert set(given.groups) <= set(bench.GROUPS)
        assert (ROOT / f"scripts/frugal/bench/{given.groups[0]}.py").exists()


def test_estimates_rest_on_flops_that_torch_counts():
    nets = {
        "airbench, 32x32": airbench.build((3, 32, 32), 10),
        "resnet-18, 32x32": resnet.build((3, 32, 32), 10, depth=18),
        "resnet-50, 32x32": resnet.build((3, 32, 32), 10, depth=50),
        "resnet-50, 224x224": resnet.build((3, 224, 224), 100, depth=50, stem="imagenet"),
    }
    assert nets.keys() == steps.GFLOP.keys()
    for name, net in nets.items():
        size = int(name.split("x")[-1])
        counted = pass_flops(net, (3, size, size), 10)
        assert steps.GFLOP[name] == pytest.approx((counted.forward / 1e9, counted.backward / 1e9), rel=0.002)
    known = steps.training("resnet-18, 32x32", 9e6, 3e6, runs=2, share=0.5)
    assert known.hours == pytest.approx((2 * (4.5e6 * 3.329e9 + 3e6 * 1.111e9) / 40e12 + 120) / 3600)


def test_data_is_looked_for_where_its_sources_read_it():
    for wanted, release in ((steps.CIFAR_10, cifar10.RELEASE), (steps.CIFAR_100, cifar100.RELEASE)):
        assert wanted == (release.folder, release.archive)
    assert (f"weights/{TORCHVISION[50, 'imagenet1k_v2'].name}",) == steps.WEIGHTS
    known = yaml.safe_load((ROOT / "config/datasets.yaml").read_text())
    for name, dataset in (("ast-imagenette", "imagenette-224"), ("ast-imagenet-100", "imagenet-100")):
        one = next(one for one in STEPS if one.name == name)
        assert list(one.data[0]) == known[dataset]["options"]["folders"]


def test_the_page_on_benchmarks_has_each_step_with_its_hours():
    page = (ROOT / "benchmarks/README.md").read_text()
    rows = [f"| `{one.name}` | {one.answers} | {one.estimate.hours:.2f} |" for one in STEPS]
    assert "\n".join(rows) in page
    assert f"{sum(one.estimate.hours for one in STEPS):.1f} hours in all" in page
