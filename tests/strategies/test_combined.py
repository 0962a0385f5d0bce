"""Combined strategies save what their parts save, and what doesn't go together is refused."""

import pytest
import torch

import tiny
from frugal import registry
from frugal.costs import held_equal
from frugal.errors import FrugalError
from frugal.measure.flops import decoding_flops
from frugal.parameters import split
from frugal.strategies.base import Run, Strategy, make
from frugal.strategies.combined import Combined
from frugal.training.history import read_followed

INFOBATCH = {"use": "infobatch", "prune_ratio": 0.5, "delta": 0.8}
SPECTRAL = {"use": "compression", "k_lo": 3, "k_hi": 6, "rule": "ema", "decode": "spectral"}
BLOCKS = {"use": "sparse", "pattern": "block-4x4", "sparsity": 0.5, "kernel": "scatter"}
PRUNING = {
    "use": "dynamic_pruning",
    "target_flops": 0.5,
    "every": 2,
    "round_to": 1,
    "step": 0.2,
    "events": 5,
    "until": 0.8,
}


def trained(cache, *parts, epochs=5):
    trainer = tiny.trainer(cache, tiny.spec("combined", recipe={"epochs": epochs}, parts=list(parts)))
    trainer.run()
    return trainer


def work(trainer, pixels):
    """FLOPs of one sample, forward and backward."""
    flops = trainer.flops_at(pixels)
    return flops.forward + flops.backward


def test_bytes_and_flops_are_those_of_the_samples_one_part_keeps_at_the_levels_the_other_gives(digits):
    trainer = trained(digits, INFOBATCH, SPECTRAL)
    flops = decoded = 0
    for row in trainer.history.rows:
        assert row["samples"] == pytest.approx(300 * (1 - row["pruned_share"]))
        read = {level: round(row[f"share_k{level}"] * row["samples"]) for level in (3, 6)}
        assert sum(read.values()) == row["samples"]
        assert row["bytes_read"] == read[3] * 9 + read[6] * 36
        flops += sum(count * work(trainer, level) for level, count in read.items())
        decoded += sum(count * decoding_flops(1, level, level) for level, count in read.items())
    ledger = trainer.ledger
    assert ledger.flops_forward + ledger.flops_backward == flops
    assert ledger.flops_decoding == decoded
    assert ledger.samples_backpropagated == sum(row["samples"] for row in trainer.history.rows) < 5 * 300
    assert {"threshold_infobatch", "threshold_compression"} <= set(trainer.history.rows[0])


def test_samples_are_saved_of_a_net_with_fewer_weights(digits):
    trainer, sparse = trained(digits, INFOBATCH, BLOCKS), tiny.trainer(digits, tiny.spec(**BLOCKS))
    assert trainer.flops_at(8) == sparse.flops_at(8)
    assert trainer.ledger.flops_executed == trainer.ledger.samples_backpropagated * work(sparse, 8)
    assert trainer.ledger.samples_backpropagated < 5 * 300
    assert trainer.history.rows[-1]["kept_weights"] == sparse.strategy.evidence()["kept_weights"]


def test_a_net_that_shrinks_while_samples_are_left_out_is_half_as_dear_at_last(digits):
    trainer, whole = trained(digits, PRUNING, INFOBATCH), tiny.trainer(digits)
    last = trainer.history.rows[-1]
    assert trainer.flops_at(8).forward == last["flops_per_sample"] <= 0.55 * whole.flops_at(8).forward
    assert trainer.ledger.flops_executed < trainer.ledger.samples_backpropagated * work(whole, 8)
    assert any(row["pruned_share"] > 0 for row in trainer.history.rows)
    removed, masked = trainer.strategy.left_out()
    assert removed > 0 == masked


@pytest.mark.parametrize("smaller", [SPECTRAL, {"use": "frequency_curriculum", "stages": [[3, 0.5], [6, 1]]}])
def test_selected_samples_wait_for_others_of_their_size(digits, smaller):
    chosen = {"use": "ast", "target": 0.6, "warmup": 0.2, "scoring": "fresh", "controller": "quantile"}
    trainer = trained(digits, chosen, smaller)
    visited = trainer.ledger.samples_backpropagated
    assert 0 < visited < 5 * 300
    assert trainer.ledger.flops_forward < visited * trainer.flops_at(6).forward


def test_every_hook_is_answered_for_the_parts():
    public = {name for name, value in vars(Strategy).items() if not name.startswith("_") and callable(value)}
    hooks = public | {name for name, value in vars(Strategy).items() if isinstance(value, property)}
    # The loop calls `select_from` in place of `select`; a scoring run is refused as a part, so that none has scores.
    assert hooks - {"select", "sample_scores"} <= set(vars(Combined))


@pytest.mark.parametrize("cost", ["samples_backpropagated", "flops_executed", "train_seconds"])
def test_a_part_of_equal_cost_ends_the_training_where_the_cost_is_reached(digits, tmp_path, monkeypatch, cost):
    """Of the run it follows, as `train` reads its record: seconds are there where they are what is held equal."""
    parts = [{"use": "equal_cost", "cost": cost}, BLOCKS]
    leader = tiny.trainer(digits)
    leader.run()
    half = {"samples": 450, "flops_executed": leader.ledger.flops_executed // 4, "train_seconds": 1.5}
    (tmp_path / "history.csv").write_text(",".join(half) + "\n" + ",".join(map(str, half.values())) + "\n")
    followed = read_followed(tmp_path / "history.csv", "full", held_equal("combined", {"parts": parts}))
    trainer = tiny.trainer(digits, tiny.spec("combined", parts=parts), followed=followed)
    monkeypatch.setattr(trainer.clock, "so_far", lambda name: (0.1 * trainer.ledger.steps, 9.0))
    trainer.run()
    found = {
        "samples_backpropagated": trainer.ledger.samples_backpropagated / 450,
        "flops_executed": trainer.ledger.flops_executed / half["flops_executed"],
        "train_seconds": trainer.ledger.steps / 15,
    }
    assert found[cost] == pytest.approx(1, abs=0.1)
    assert any(note.startswith("control of equal cost: ") for note in trainer.strategy.notes)


def test_each_part_plans_what_it_would_plan_alone():
    losses, run = torch.rand(200), Run(200, 10, 3, torch.device("cpu"))
    whole, selection, fidelity = (
        Combined(parts=[INFOBATCH, SPECTRAL]),
        *(make(*split(p)) for p in (INFOBATCH, SPECTRAL)),
    )
    for strategy in (whole, selection, fidelity):
        strategy.start(run)
    plan, chosen, read = (strategy.plan_epoch(2, losses) for strategy in (whole, selection, fidelity))
    assert torch.equal(plan.keep, chosen.keep)
    assert torch.equal(plan.weight, chosen.weight)
    assert torch.equal(plan.level, read.level)


def test_a_lone_visited_sample_is_no_spectral_batch_of_its_own():
    both = Combined(parts=[{"use": "infobatch"}, {**SPECTRAL, "rule": "fixed", "threshold": 1.0}])
    both.start(Run(20, 10, 0, torch.device("cpu")))
    losses = torch.full((20,), 0.5)
    losses[3] = 5
    losses[4:8] = 0.6
    plan = both.plan_epoch(1, losses)
    assert plan.level[plan.keep].unique().tolist() == [3]
    assert both.shares == {"share_k3": 1.0, "share_k6": 0.0}


@pytest.mark.parametrize(
    "part",
    [
        {"use": "rs2"},
        {"use": "selective_backprop", "beta": 1},
        {"use": "gradient_norm", "threshold": 0.5},
        {"use": "ies", "delta": 0.1, "window": 1},
        {"use": "ast", "controller": "quantile"},
    ],
)
@pytest.mark.parametrize("other", [SPECTRAL, PRUNING])
def test_a_selection_of_samples_goes_with_images_of_two_sizes_and_with_a_net_that_shrinks(digits, part, other):
    trainer, sizes = tiny.trainer(digits, tiny.spec("combined", recipe={"epochs": 5}, parts=[part, other])), set()
    optimize = trainer._optimize
    trainer._optimize = lambda batch: (sizes.add(batch.inputs.shape[-1]), optimize(batch))
    trainer.run()
    assert sizes == ({3, 6} if other is SPECTRAL else {8})
    assert trainer.ledger.samples_backpropagated < 5 * 300


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        (
            [INFOBATCH, {"use": "orderdp"}],
            "infobatch and orderdp both decide which samples are left out; keep one of them",
        ),
        ([{"use": "ies"}, {"use": "gradient_norm"}], "ies and gradient_norm both decide which samples are left out"),
        ([{"use": "rs2"}, {"use": "selective_backprop"}], "rs2 and selective_backprop both decide which samples"),
        ([BLOCKS, PRUNING], "sparse and dynamic_pruning both decide which weights are left out; keep one of them"),
        ([INFOBATCH], "a combination takes at least two parts, there are 1"),
        ([INFOBATCH, {"prune_ratio": 0.5}], "here.parts[1]: the key 'use' is missing"),
        ([INFOBATCH, {"use": "compresion"}], "unknown strategy 'compresion'; did you mean compression?"),
        ([{**INFOBATCH, "prune_ratio": 2}, BLOCKS], "here.parts[0]: prune_ratio is 2; input should be less than 1"),
        ([INFOBATCH, {"use": "combined", "parts": [BLOCKS, SPECTRAL]}], "combined is a combination itself"),
        ([{"use": "forgetting"}, BLOCKS], "here.parts[0]: forgetting is a scoring run, which does nothing else"),
        ("infobatch", "parts is 'infobatch'; input should be a valid list"),
    ],
)
def test_parts_that_do_not_go_together_are_refused_in_one_line(parts, line):
    with pytest.raises(FrugalError) as error:
        registry.check("strategy", "combined", {"parts": parts}, "here")
    assert line in str(error.value)
    assert "\n" not in str(error.value)
