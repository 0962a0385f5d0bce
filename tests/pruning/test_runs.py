"""Whole runs with pruning: the work really shrinks, the guards hold, and a run that was stopped ends with the same bits."""

import csv
import os
import signal
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tiny
from frugal.errors import FrugalError
from frugal.pruning.choice import Guards
from frugal.pruning.groups import Group
from frugal.strategies.dynamic_pruning import DynamicPruning, Events
from frugal.training.checkpoint import Checkpoints
from frugal.training.history import History, read_followed
from frugal.training.signals import Interrupted
from frugal.training.writer import manifest, metrics, write_record
from frugal.yamlfile import read_yaml

EVERYTHING = settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
HALF = {"target_flops": 0.5, "every": 2, "round_to": 1, "step": 0.2, "events": 5, "until": 0.8}
EAGER = {"threshold": 0.5, "checks": 2, "every": 2, "round_to": 1, "step": 0.1, "until": 0.9, "connections": 0.3}
ADAM = {"optimizer": "adam", "learning_rate": 0.003, "weight_decay": 1e-4, "grad_clip": 1.0}


def pruned(recipe=None, model=None, **parameters):
    run = tiny.spec("dynamic_pruning", recipe=recipe, **parameters)
    if model is None:
        return run
    return run.model_copy(update={"model": run.model.model_validate({"name": "m", **model})})


RESNET = {"use": "resnet", "parameters": {"depth": 8, "width": 8}}
RUNS = {
    "target": pruned(**HALF),
    "threshold": pruned(recipe=ADAM, **EAGER),
    "resnet": pruned(recipe={"epochs": 2, **ADAM}, model=RESNET, **HALF),
}

UNDISTURBED = {}


def widths(row):
    return {key: value for key, value in row.items() if key.startswith("width_")}


def followed_by(trainer, folder, use, digits, **options):
    """A control that follows a finished run, through its record on disk."""
    write_record(folder, metrics(trainer, ""), manifest(trainer, "", {}, {}, []), trainer)
    return tiny.trainer(digits, tiny.spec(use), followed=read_followed(folder / "history.csv", "another"), **options)


@pytest.fixture(scope="module")
def half(digits):
    trainer = tiny.trainer(digits, RUNS["target"])
    trainer.run()
    return trainer


def test_a_net_pruned_to_half_its_flops_executes_fewer_and_the_record_says_so(digits, half):
    full = tiny.trainer(digits, tiny.spec("full"))
    full.run()
    one, other = metrics(half, ""), metrics(full, "")
    share = one["flops_forward_per_sample"] / other["flops_forward_per_sample"]
    assert 0.3 < share <= 0.5
    assert half.history.rows[-1]["flops_per_sample"] == one["flops_forward_per_sample"]
    assert other["parameters"] == one["parameters"]
    assert one["live_parameters"] == sum(p.numel() for p in half.model.parameters()) < other["live_parameters"]
    assert one["model_bytes"] < other["model_bytes"]
    passes = one["samples_forwarded"]
    assert one["flops_forward"] < other["flops_forward"]
    assert one["flops_forward"] > passes * one["flops_forward_per_sample"]  # it was not that small from the start
    assert half.model[0].weight.shape[0] < 8
    assert any("0." in note and "target 0.5" in note for note in manifest(half, "", {}, {}, [])["notes"])


def test_the_optimizer_of_a_pruned_run_holds_the_models_parameters(half):
    held = [p for group in half.optimizer.param_groups for p in group["params"]]
    assert [id(p) for p in held] == [id(p) for p in half.model.parameters()]
    assert all(half.optimizer.state[p]["momentum_buffer"].shape == p.shape for p in held)


@pytest.mark.parametrize("name", RUNS)
@EVERYTHING
@given(data=st.data())
def test_a_pruning_run_continued_from_any_step_is_the_undisturbed_run(digits, tmp_path_factory, name, data):
    if name not in UNDISTURBED:
        UNDISTURBED[name] = tiny.trainer(digits, RUNS[name])
        UNDISTURBED[name].run()
    undisturbed = UNDISTURBED[name]
    assert undisturbed.history.rows[-1]["removals"] > 1
    checkpoints = Checkpoints(tmp_path_factory.mktemp("checkpoints"), "f" * 64)
    stop_after = data.draw(st.integers(1, undisturbed.ledger.steps - 1))
    stopped = tiny.trainer(digits, RUNS[name], checkpoints=checkpoints, checkpoint_seconds=1e9)
    after_step = stopped.strategy.after_step
    stopped.strategy.after_step = lambda t: (
        t.ledger.steps == stop_after and os.kill(os.getpid(), signal.SIGTERM) or after_step(t)
    )
    with pytest.raises(Interrupted):
        stopped.run()
    torch.manual_seed(data.draw(st.integers(0, 99)))
    continued = tiny.trainer(digits, RUNS[name], checkpoints=checkpoints)
    continued.run()
    assert continued.ledger.resumes == 1
    continued.ledger.resumes = 0
    assert tiny.outcome(metrics(continued, "")) == tiny.outcome(metrics(undisturbed, ""))
    assert continued.ledger == undisturbed.ledger
    assert torch.equal(torch.cat(continued.history.curve), torch.cat(undisturbed.history.curve))
    states = continued.model.state_dict(), undisturbed.model.state_dict()
    assert all(torch.equal(a, b) for a, b in zip(*(s.values() for s in states), strict=True))


def test_a_finished_run_of_prune_after_gives_the_same_record_again_from_its_checkpoint(digits, half, tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints", "f" * 64)
    records = []
    for _ in range(2):
        control = followed_by(half, tmp_path, "prune_after", digits, checkpoints=checkpoints)
        control.run()
        records.append((tiny.outcome(metrics(control, "")), widths(control.history.rows[-1])))
    assert records[0] == records[1]
    assert records[0][1] == widths(half.history.rows[-1])


def test_prune_after_pays_for_the_full_net_and_is_evaluated_as_the_narrow_one(digits, half, tmp_path):
    control, full = followed_by(half, tmp_path, "prune_after", digits), tiny.trainer(digits, tiny.spec("full"))
    control.run(), full.run()
    after, dense, during = metrics(control, ""), metrics(full, ""), metrics(half, "")
    assert after["flops_executed"] == dense["flops_executed"] > during["flops_executed"]
    assert after["live_parameters"] == during["live_parameters"] < after["parameters"] == dense["parameters"]
    assert after["flops_forward_per_sample"] == during["flops_forward_per_sample"]
    assert control.history.rows[0]["val_loss"] == full.history.rows[0]["val_loss"]
    assert control.history.rows[-1]["val_loss"] != full.history.rows[-1]["val_loss"]
    assert control.history.rows[-1]["val_loss"] == control.evaluate(control.validation_data).loss


def test_narrow_as_trains_a_dense_net_of_the_final_widths(digits, half, tmp_path):
    control = followed_by(half, tmp_path, "narrow_as", digits)
    control.run()
    narrow, during = metrics(control, ""), metrics(half, "")
    assert widths(control.history.rows[0]) == widths(half.history.rows[-1])
    assert narrow["parameters"] == narrow["live_parameters"] == during["live_parameters"]
    assert narrow["flops_forward_per_sample"] == during["flops_forward_per_sample"]
    assert narrow["flops_executed"] < during["flops_executed"]


@pytest.mark.parametrize("use", ["narrow_as", "prune_after"])
def test_a_control_without_a_pruned_run_to_follow_says_so(digits, use):
    with pytest.raises(FrugalError, match="name that strategy with `follows:`"):
        tiny.trainer(digits, tiny.spec(use))
    with pytest.raises(FrugalError, match="no columns width_"):
        tiny.trainer(digits, tiny.spec(use), followed=[{"epoch": 1.0, "samples": 300.0}])
    with pytest.raises(FrugalError, match="don't fit this model's .*follow a run of the same model"):
        tiny.trainer(digits, tiny.spec(use), followed=[{"width_0": 8.0, "width_9": 8.0}])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"target_flops": 0.1, "every": 2, "round_to": 1, "step": 0.3, "floor": 0.5},
            "target_flops is 0.1, but with floor",
        ),
        ({"target_flops": 0.5, "every": 2, "round_to": 8}, "no less than 1.000 of the FLOPs can be reached; raise"),
        ({"target_flops": 0.5, "every": 1000}, "a check every 1000 of 27 steps leaves none"),
        ({"warmup": 0.7, "until": 0.5}, "until is 0.5 and warmup 0.7"),
    ],
)
def test_a_target_that_no_guard_allows_is_an_error_before_the_first_step(digits, parameters, message):
    with pytest.raises(FrugalError, match=message):
        tiny.trainer(digits, tiny.spec("dynamic_pruning", **parameters))


def test_as_many_steps_as_the_study_for_ones_own_data_asks_for_are_never_too_few():
    """In its comment: 30, or ten times `every`. Two removals at least, since one of a quarter of each layer leaves 0.56 of it."""
    own = read_yaml(Path("config/studies/own.yaml"))["strategies"]["dynamic-pruning"]
    used = DynamicPruning(**{name: own[name] for name in ("every", "events", "step", "target_flops")})

    def removals(steps, every):
        return Events(every, used.warmup, used.until, used.events).possible(steps)

    assert all(removals(steps, used.every) >= 2 for steps in range(30, 500))
    assert all(removals(steps, every) >= 2 for every in range(1, 50) for steps in range(10 * every, 500))
    for steps in (9, 29):
        with pytest.raises(
            FrugalError, match=f"a check every 10 of {steps} steps leaves none .*; lower every or until"
        ):
            removals(steps, used.every)


def test_a_layer_at_its_floor_is_left_as_it_is_and_noted(digits):
    everything = {"threshold": 1e6, "checks": 1, "every": 1, "round_to": 1, "step": 0.5, "floor": 0.3, "warmup": 0.0}
    trainer = tiny.trainer(digits, tiny.spec("dynamic_pruning", **everything))
    trainer.run()
    assert list(widths(trainer.history.rows[-1]).values()) == [3, 5]  # 30 % of 8 and 16, rounded up
    assert trainer.history.rows[-1]["layers_at_floor"] == 2
    assert any("left at their floor: 0 (3 wide)" in note for note in trainer.strategy.notes)


def test_masked_connections_count_as_parameters_and_never_as_flops(digits):
    mask_only = {"threshold": 0.0, "every": 2, "connections": 0.5}
    trainer = tiny.trainer(digits, tiny.spec("dynamic_pruning", **mask_only))
    trainer.run()
    full = tiny.trainer(digits, tiny.spec("full"))
    full.run()
    one, other = metrics(trainer, ""), metrics(full, "")
    for layer in (trainer.model[0], trainer.model[4]):
        assert (layer.weight == 0).float().mean() == pytest.approx(0.5, abs=0.02)
    zeros = sum(int((p == 0).sum()) for p in trainer.model.parameters() if p.dim() > 1)
    assert other["live_parameters"] - one["live_parameters"] == zeros
    assert one["parameters"] == other["parameters"]
    assert one["flops_executed"] == other["flops_executed"]


@given(
    units=st.integers(1, 600),
    size=st.sampled_from([1, 4, 64]),
    step=st.floats(0.01, 0.5),
    floor=st.floats(0.01, 0.9),
    round_to=st.sampled_from([1, 4, 8]),
    events=st.integers(1, 60),
)
def test_no_event_takes_more_than_the_guards_allow(units, size, step, floor, round_to, events):
    group = Group("g", units, size, ())
    guards = Guards(step, floor, round_to, [group])
    multiple, width = guards.multiple(group), units
    for event in range(1, events + 1):
        guards.grant()
        allowed = guards.narrower(group, width)
        for new in allowed:
            assert new * size % round_to == 0
            assert new >= max(1, floor * units - 1e-6)
            assert width - new <= max(multiple, step * units) + 1e-6
        if allowed:
            guards.spend(group, width - allowed[-1])
            width = allowed[-1]
        assert units - width <= event * step * units + 1e-6  # what was saved up is no more than the share per event
    assert guards.reachable(events) == {"g": width}


@given(losses=st.lists(st.floats(0, 10), max_size=30), patience=st.integers(1, 6), removed=st.integers(0, 10))
def test_early_stopping_counts_after_the_last_removal(losses, patience, removed):
    history = [{"val_loss": loss} for loss in losses]
    late = losses[removed:]
    wanted = any(min(late[: i + 1]) <= min(late[i:]) and len(late) - 1 - i >= patience for i in range(len(late)))
    assert History(history).stalled(removed, patience) == wanted
    assert not History(history).stalled(None, patience)


def test_an_early_stopped_run_waits_for_the_last_removal_and_ends_the_same_when_it_is_continued(digits, tmp_path):
    recipe = {"epochs": 30, "learning_rate": 1e-9, "early_stopping": 2, "schedule": "constant"}
    runs = []
    for name in ("one", "two"):
        checkpoints = Checkpoints(tmp_path / name, "f" * 64)
        full = tiny.trainer(digits, tiny.spec("full", recipe=recipe | {"weight_decay": 0.0}), checkpoints=checkpoints)
        run = pruned(recipe=recipe, **HALF | {"until": 0.4})
        trainer = tiny.trainer(digits, run, checkpoints=Checkpoints(tmp_path / name / "pruned", "f" * 64))
        trainer.run(), full.run()
        runs.append((trainer.epoch, full.epoch))
    last = trainer.strategy.last_removal
    assert 10 < last <= 13
    assert last + 2 < trainer.epoch < 30
    assert runs[0] == runs[1]
    again = tiny.trainer(digits, run, checkpoints=Checkpoints(tmp_path / "one" / "pruned", "f" * 64))
    again.run()
    assert again.epoch == trainer.epoch
    assert again.ledger.resumes == 0


def test_the_history_of_a_run_is_a_table_with_the_widths_in_it(half, tmp_path):
    write_record(tmp_path, metrics(half, ""), manifest(half, "", {}, {}, []), half)
    rows = list(csv.DictReader((tmp_path / "history.csv").open()))
    assert [int(r["width_0"]) for r in rows] == sorted((int(r["width_0"]) for r in rows), reverse=True)
    assert int(rows[-1]["width_0"]) == half.model[0].out_channels


@pytest.mark.slow
def test_a_compiled_run_is_compiled_anew_after_a_removal_and_learns_what_the_eager_one_does(digits):
    runs = {}
    for compiled in (True, False):
        recipe = {"epochs": 2, "compile": compiled}
        runs[compiled] = tiny.trainer(digits, pruned(recipe=recipe, **HALF | {"events": 1, "step": 0.4}))
        runs[compiled].run()
    one, other = runs[True], runs[False]
    assert one.strategy.removals == 1
    assert one.forward.shapes == {(32, 1, 8, 8)}
    assert one.strategy.neurons.widths == other.strategy.neurons.widths
    assert one.history.rows[-1]["train_loss"] == pytest.approx(other.history.rows[-1]["train_loss"], rel=1e-3)
    assert one.clock.seconds["compile"] > 0
