"""A run that fails says so in the place of its record; one that was stopped doesn't."""

import dataclasses
import json
import os
import shutil

import pytest

import tiny
from frugal import failed
from frugal.errors import FrugalError
from frugal.study import Cell, Study
from frugal.training import job as failing
from frugal.training.job import Job


def job(folder, spec=None):
    return Job(spec or tiny.spec(), folder / "cache/manifest.json", folder / "runs/test/digits/cnn/full/seed-0")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A job whose training does what a test tells it to."""

    def made(outcome):
        def train(_):
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        monkeypatch.setattr(failing, "train", train)
        return job(tmp_path)

    return made


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (FrugalError("the loss is not a number; lower the rate"), "the loss is not a number; lower the rate"),
        (ValueError("bad\nand worse"), "ValueError: bad and worse"),
        (ZeroDivisionError(), "ZeroDivisionError"),
    ],
)
def test_a_failed_run_leaves_why_and_no_record_of_before(run, error, why):
    one = run(error)
    one.out.mkdir(parents=True)
    (one.out / "metrics.json").write_text("{}")
    with pytest.raises(type(error)):
        failing.train_or_say(one)
    assert not (one.out / "metrics.json").exists()
    left = failed.read(one.out)
    assert left.why == why
    assert left.spec == one.spec.model_dump(mode="json")


def test_of_several_processes_that_share_a_run_the_first_to_fail_says_why(tmp_path, monkeypatch):
    one, errors = job(tmp_path), iter([FrugalError("lower the rate"), RuntimeError("connection closed by peer")])
    failed.leave(one.out, {}, FrugalError("of an earlier run"))

    def train(_):
        if os.environ["RANK"] == "0":  # it has begun, and waits for the other
            monkeypatch.setenv("RANK", "1")
            with pytest.raises(FrugalError):
                failing.train_or_say(one)
        raise next(errors)

    monkeypatch.setenv("RANK", "0")
    monkeypatch.setattr(failing, "train", train)
    with pytest.raises(RuntimeError):
        failing.train_or_say(one)
    assert failed.read(one.out).why == "lower the rate"


def test_a_run_refuses_a_cache_that_was_prepared_for_another_entry(tmp_path):
    one = job(tmp_path)
    manifest = tiny.write_digits(one.cache.parent)
    entry = one.spec.dataset.model_dump(mode="json")
    for made, refused in ((entry, False), (entry | {"validation": 30}, True), (entry | {"name": "letters"}, True)):
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"entry": made}))
        if refused:
            with pytest.raises(
                FrugalError, match=r"manifest.json was prepared for another entry .*(validation|name) was"
            ):
                failing.train(one)
            assert not one.out.exists()
        else:
            assert failing.train(dataclasses.replace(one, device="cpu")) == 0
            shutil.rmtree(one.out)


@pytest.mark.parametrize("status", [0, 143])
def test_a_finished_and_a_stopped_run_leave_nothing_and_take_away_what_was_left(run, status):
    one = run(status)
    failed.leave(one.out, {}, FrugalError("before"))
    assert failing.train_or_say(one) == status
    assert failed.read(one.out) is None


@pytest.mark.parametrize(
    "content", ["", "{}", '{"schema": 2, "spec": {}, "why": "x", "log": "", "ended": "2026-01-01"}']
)
def test_what_is_not_whole_is_no_failure(tmp_path, content):
    (tmp_path / failed.FILE).write_text(content)
    assert failed.read(tmp_path) is None


def study():
    about = {"name": "test", "title": "t", "question": "q", "scale": "demo", "baseline": "full", "margin": 0.1}
    about |= {"target_accuracy": 0.5, "datasets": ["digits"], "models": ["cnn"], "seeds": [0]}
    return Study.model_validate(about | {"strategies": ["full", "leader", "control"], "follows": {"control": "leader"}})


def test_only_a_failure_of_the_run_as_it_is_planned_settles_it(tmp_path):
    def folder(strategy):
        return tmp_path / study().folder(Cell("digits", "cnn", strategy), 0)

    def found():
        failures, waiting = failed.without_record(study(), tmp_path, lambda *run: {"run": list(run)})
        return {path.split("/")[-2]: why.split(";")[0] for path, why in failures.items()}, waiting

    folder("full").mkdir(parents=True)
    (folder("full") / "metrics.json").write_text("{}")
    assert found() == ({}, [study().folder(Cell("digits", "cnn", s), 0).as_posix() for s in ("leader", "control")])
    failed.leave(folder("leader"), {"run": ["digits", "cnn", "leader", 0]}, FrugalError("no"))
    assert found() == ({"leader": "no", "control": "not run: it follows leader, which failed"}, [])
    failed.leave(folder("leader"), {"run": "of other settings"}, FrugalError("no"))
    assert len(found()[1]) == 1
    (folder("leader") / "metrics.json").write_text(json.dumps({}))
    assert found() == ({}, ["runs/test/digits/cnn/control/seed-0"])


def test_who_follows_a_run_with_a_record_of_before_waits_for_the_one_that_failed(tmp_path):
    """A chain: the control of a control, of which the second has a record that the first one's failure made worthless."""
    chained = study().model_copy(
        update={
            "strategies": ["full", "leader", "control", "last"],
            "follows": {"control": "leader", "last": "control"},
        }
    )

    def folder(strategy):
        return tmp_path / chained.folder(Cell("digits", "cnn", strategy), 0)

    for strategy in ("full", "control"):
        folder(strategy).mkdir(parents=True)
        (folder(strategy) / "metrics.json").write_text("{}")
    planned = {"run": "as planned"}
    failed.leave(folder("leader"), planned, FrugalError("no"))
    failures, waiting = failed.without_record(chained, tmp_path, lambda *_: planned)
    assert {path.split("/")[-2] for path in failures} == {"leader", "last"}
    assert waiting == []
    (folder("leader") / "metrics.json").write_text("{}")
    assert failed.without_record(chained, tmp_path, lambda *_: planned) == (
        {},
        [chained.folder(Cell("digits", "cnn", "last"), 0).as_posix()],
    )


def test_runs_on_a_data_set_that_cannot_be_prepared_are_not_waited_for(tmp_path):
    entry = {"name": "digits", "source": "idx"}
    failed.leave(tmp_path / "data/digits", entry, FrugalError("no folder; make it"), failed.DATA_LOG)
    why = f"no folder; make it; {tmp_path}/data/digits/prepare.log"
    lost = failed.unprepared(tmp_path / "data", {"digits": entry, "letters": entry})
    assert lost == failed.unprepared(tmp_path / "data", {"digits": None}) == {"digits": why}
    assert failed.unprepared(tmp_path / "data", {"digits": entry | {"source": "mnist"}}) == {}, (
        "its entry was corrected"
    )
    full = tmp_path / study().folder(Cell("digits", "cnn", "full"), 0)
    full.mkdir(parents=True)
    (full / "metrics.json").write_text("{}")
    failures, waiting = failed.without_record(study(), tmp_path, lambda *_: {}, lost)
    assert waiting == []
    assert {path.split("/")[-2]: why for path, why in failures.items()} == dict.fromkeys(
        ("leader", "control"), f"not run: data set digits can't be prepared: {why}"
    )
    assert (
        failed.told(failures, lost)
        == failed.told(failures, {})
        == [f"data set digits can't be prepared: {why}; 2 runs on it left out"]
    )
    assert failed.told({}, lost) == [f"data set digits can't be prepared: {why}"], "where all records are there"


def test_equal_failures_of_a_model_are_told_once():
    def path(model, strategy):
        return f"runs/test/digits/{model}/{strategy}/seed-0"

    def why(model, strategy, cause="wrong; see its file"):
        return f"{cause}; results/{path(model, strategy)}/train.log"

    runs = [("bad", f"s{number}") for number in range(28)] + [("other", "s0")]
    failures = {path(*run): why(*run) for run in runs} | {path("bad", "late"): why("bad", "late", "lower the rate")}
    assert failed.told(failures, {}) == [
        f"28 runs of model bad, the first {path('bad', 's0')}: {why('bad', 's0')}",
        f"{path('other', 's0')}: {why('other', 's0')}",
        f"{path('bad', 'late')}: {why('bad', 'late', 'lower the rate')}",
    ]
