"""The status of a whole plan: the time that is left, the page, and the watching of it."""

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

import status
from frugal.plan_status import PlanStatus, _with_reasons, with_time_left
from frugal.status import RunStatus
from frugal.status_page import page_of, write_page
from frugal.study import study_of
from report import factory

GROUND = "runs/infobatch/digits/cnn-tiny"
BAD = 'the loss is <NaN> & "gone"'
DONE = [RunStatus(f"{GROUND}/full/seed-{seed}", "done") for seed in (0, 1)]
RUNNING = RunStatus(f"{GROUND}/infobatch/seed-0", "running", 2.5, 10, 30.0)
FAILED = RunStatus(f"{GROUND}/orderdp/seed-0", "failed", why=f"{BAD}; res/{GROUND}/orderdp/seed-0/train.log")


def state(*runs, took=None, at_a_time=1):
    """A plan of one study with these runs. took: seconds by path of the finished ones"""
    plain = PlanStatus("res", {"infobatch": list(runs)}, [], datetime(2026, 1, 2, tzinfo=UTC))
    study = study_of(factory.with_budgets())
    return with_time_left(plain, {"infobatch": study}, lambda run: (took or {}).get(run.path), at_a_time)


def test_the_time_left_is_that_of_finished_runs_of_the_same_kind_at_as_many_at_a_time():
    took = {DONE[0].path: 90.0, DONE[1].path: 110.0}
    again = RunStatus(f"{GROUND}/full/seed-2", "waiting")
    assert state(*DONE, again, took=took).seconds_left == 100
    quarter = RunStatus(f"{GROUND}/full@0.25/seed-0", "waiting")
    assert state(*DONE, quarter, took=took).seconds_left == 25, "a budget is a share of it"
    half_done = RunStatus(f"{GROUND}/full/seed-2", "stopped", 5, 10)
    assert state(*DONE, half_done, took=took).seconds_left == 50, "it goes on from its checkpoint"
    assert state(*DONE, RUNNING, *[again] * 3, took=took, at_a_time=2).seconds_left == 330 / 2
    assert state(*DONE, RUNNING, took=took, at_a_time=4).seconds_left == 30, "one run is no faster for others"
    behind = RunStatus(f"{GROUND}/random-subset/seed-0", "waiting", why="not run: it follows infobatch, which failed")
    assert state(*DONE, FAILED, behind, took=took).time_left() == "nothing goes on: 2 not done"
    by_its_own_pace = state(RUNNING, RunStatus(f"{GROUND}/infobatch/seed-1", "waiting"))
    assert by_its_own_pace.seconds_left == pytest.approx(30 + 40)


def test_what_nothing_is_known_of_is_unknown():
    known = state(RUNNING)
    assert known.time_left() == "about 30 s left, 1 run at a time"
    elsewhere = RunStatus("runs/infobatch/cifar/vit/full/seed-0", "waiting")
    assert "unknown yet, no run of infobatch on cifar, vit has told" in state(RUNNING, elsewhere).time_left()
    assert state(elsewhere).time_left().startswith("time left: unknown yet")


def test_the_page_loads_itself_again_until_all_is_done(tmp_path):
    page = page_of(state(*DONE, RUNNING, FAILED), tmp_path / "status.html", watched=True)
    assert '<meta http-equiv="refresh" content="5">' in page
    assert "epoch 3 of 10, 30 s left" in page
    assert "the loss is &lt;NaN&gt; &amp; &quot;gone&quot;" in page
    assert f'{GROUND}/orderdp/seed-0/train.log">log</a>' in page
    for over, watched in ((state(*DONE), True), (state(RUNNING), False)):
        write_page(over, tmp_path / "status.html", watched)
        assert "refresh" not in (tmp_path / "status.html").read_text()


@pytest.mark.parametrize("terminal", [True, False])
def test_watching_ends_with_the_last_run_or_an_interrupt_and_clears_the_terminal(tmp_path, monkeypatch, terminal):
    out, page = io.StringIO(), tmp_path / "status.html"
    console = Console(file=out, force_terminal=terminal, width=100, highlight=False)
    monkeypatch.setattr(status.time, "sleep", lambda _: None)
    looks = iter([state(*DONE[:1], RUNNING), state(*DONE)])
    assert status.watch(lambda: next(looks), state(RUNNING), console, page).over
    shown = out.getvalue()
    assert ("epoch 3 of 10" in shown) == terminal
    assert (shown.count("\x1b[?1049h"), shown.count("\x1b[?1049l")) == (terminal, terminal), (
        "the screen of before is back"
    )

    def interrupted():
        raise KeyboardInterrupt

    assert status.watch(interrupted, state(RUNNING), console, page) == state(RUNNING)
    assert out.getvalue().endswith("\x1b[?25h\x1b[?1049l" if terminal else ""), "the cursor and the screen are back"


def test_runs_that_wait_for_a_data_set_that_cannot_be_prepared_say_so_and_are_not_waited_for(tmp_path):
    study = study_of(factory.with_budgets())
    runs = [RunStatus(study.folder(*run).as_posix(), "waiting") for run in study.runs()]
    told = _with_reasons(study, runs, tmp_path, {study.datasets[0]: "no folder; prepare.log"})
    assert {run.why for run in told} == {
        f"not run: data set {study.datasets[0]} can't be prepared: no folder; prepare.log"
    }
    assert all(run.why == "" for run in _with_reasons(study, runs, tmp_path, {}))
