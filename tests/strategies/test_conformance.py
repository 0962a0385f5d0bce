"""What every strategy promises, for each file in scripts/frugal/strategies: a new one is tested by being there."""

import os
import signal
from functools import cache

import pytest
import torch

import tiny
from frugal import registry
from frugal.errors import FrugalError
from frugal.training.scoring import as_file
from frugal.training.signals import Interrupted
from frugal.training.writer import metrics
from memory import Memory

# Where defaults are meant for longer trainings than three epochs of ten steps, or a parameter has none.
FITTING = {
    "combined": {"parts": [{"use": "infobatch"}, {"use": "compression", "k_lo": 3, "k_hi": 6, "decode": "spectral"}]},
    "compression": {"k_lo": 3, "k_hi": 6, "rule": "median"},
    "dynamic_pruning": {"target_flops": 0.6, "every": 2, "round_to": 1, "step": 0.2, "events": 4, "until": 0.8},
    "frequency_curriculum": {"stages": [[4, 0.35], [6, 0.7], [8, 1]], "ahead": 0.25},
    "interpolated_curriculum": {"stages": [[4, 0.35], [6, 0.7], [8, 1]], "ahead": 0.25},
    "gradual_magnitude": {"every": 4},
    "lawa": {"every": 0.5},
    "prune_train": {"ratio": 0.3, "every": 0.3, "threshold": 0.2},
    "rho": {"pool": 2},
    "rigl": {"sparsity": 0.5, "every": 4, "kernel": "scatter"},  # auto measures, and may choose differently each time
    "set": {"sparsity": 0.5, "kernel": "scatter"},
    "sparse": {"kernel": "scatter"},
    "token_drop": {"initial": 0.25, "increment": 4},
}
# Set so that nothing is left out, a strategy costs what the full training costs.
IDLE = {
    "ast": {"target": 1.0, "scoring": "remembered", "controller": "quantile"},
    "combined": {
        "parts": [{"use": "infobatch", "prune_ratio": 0}, {"use": "sparse", "sparsity": 0, "kernel": "scatter"}]
    },
    "fixed_subset": {"share": 1},
    "freeze": {"t_0": 1},
    "full": {},
    "ies": {"delta": 0},
    "interpolated_curriculum": {"stages": [[8, 1]]},
    "gradual_magnitude": {"sparsity": 0},
    "infobatch": {"prune_ratio": 0},
    "infobatch_exact": {"prune_ratio": 0},
    "lawa": {"window": 1},
    "layer_drop": {"survival": 1},
    "narrow": {"match": 0},
    "orderdp": {"pool": 1, "top": 1},
    "patch_drop": {"share": 0},
    "prune_train": {"ratio": 0},
    "rs2": {"share": 1},
    "selective_backprop": {"primed": 3},
    "set": {"sparsity": 0, "kernel": "scatter"},
    "seta": {"prune_ratio": 0, "window": 1},
    "sparse": {"sparsity": 0, "kernel": "scatter"},
    "token_drop": {"initial": 1},
}
# Nets for those that can do nothing with the small one of all others.
MODELS = {
    "layer_drop": {"name": "resnet", "use": "resnet", "parameters": {"depth": 8, "width": 4}},
    "patch_drop": tiny.VIT,
    "token_drop": tiny.VIT,
}
SEED = 5


def parameters(use):
    """Those that fit; else the defaults, and a level where one has to be given."""
    known = registry.parameters("strategy", use).values()
    return FITTING.get(use, {p.name: 4 for p in known if p.required and p.is_level})


def spec(use, seed=SEED, like=None, **given):
    """A run of a strategy, on the net that it, or another one, is tried on."""
    model = MODELS.get(like or use)
    made = tiny.spec(use, seed, **given)
    return made.model_copy(update={"model": made.model.model_validate(model)}) if model else made


@pytest.fixture(scope="module")
def trained(digits):
    """An undisturbed run of each strategy, trained once; controls follow the first one that has what they ask for."""

    @cache
    def run(use, seed=SEED, like=None):
        for leader in (None, "infobatch", "dynamic_pruning", "error_norm"):
            given = tiny.following(run(leader, seed)) if leader else {}
            try:
                trainer = tiny.trainer(digits, spec(use, seed, like, **parameters(use)), **given)
                trainer.run()
                trainer.given = given
                return trainer
            except (FrugalError, KeyError) as error:
                reason = error
        raise AssertionError(f"{use} can't be run: {reason}; give it parameters in FITTING") from reason

    return run


def outcome(trainer):
    """All that two runs of one spec must share, to the last bit."""
    rows = [tiny.outcome(row) for row in trainer.history.rows]
    weights = {name: value.tolist() for name, value in trainer.model.state_dict().items()}
    scores = as_file(trainer.strategy.sample_scores())
    return tiny.outcome(metrics(trainer, "")), rows, torch.cat(trainer.history.curve).tolist(), weights, scores


@pytest.mark.parametrize("use", registry.names("strategy"))
def test_a_stopped_run_goes_on_as_if_nothing_had_happened(digits, trained, use):
    whole = trained(use)
    wanted, stop_after = spec(use, **parameters(use)), whole.ledger.steps * 2 // 3
    stopped = tiny.trainer(digits, wanted, **whole.given, checkpoints=Memory(), checkpoint_seconds=1e9)
    after_step = stopped.strategy.after_step
    stopped.strategy.after_step = lambda t: (
        t.ledger.steps == stop_after and os.kill(os.getpid(), signal.SIGTERM) or after_step(t)
    )
    with pytest.raises(Interrupted):
        stopped.run()
    torch.manual_seed(99)  # whatever the new process did before
    saved = Memory(stopped.checkpoints.content)
    continued = tiny.trainer(digits, wanted, **whole.given, checkpoints=saved)
    continued.run()
    continued.ledger.resumes = 0
    assert outcome(continued) == outcome(whole)


@pytest.mark.parametrize("use", registry.names("strategy"))
def test_the_seed_decides_everything(trained, use):
    one, other = trained(use), trained(use, SEED + 1)
    assert outcome(one)[2] != outcome(other)[2], "another seed, another run"


@pytest.mark.parametrize("use", registry.names("strategy"))
def test_what_is_said_to_be_left_out_is_what_was_not_done(digits, trained, use):
    trainer, whole = trained(use), trained("full", like=use)
    ledger, history = trainer.ledger, trainer.history.rows
    assert sum(row["samples"] for row in history) == ledger.samples_backpropagated
    assert sum(row["bytes_read"] for row in history) == ledger.bytes_read
    assert history[-1]["flops_executed"] == ledger.flops_executed
    own = [row[name] for row in history for name in row.keys() - whole.history.rows[0].keys()]
    assert all(value is None or abs(value) < float("inf") for value in own)
    saves = {
        "samples_backpropagated": ledger.samples_backpropagated < whole.ledger.samples_backpropagated,
        "bytes_read": ledger.bytes_read < whole.ledger.bytes_read,
        "flops_executed": ledger.flops_executed < whole.ledger.flops_executed,
    }
    if any(saves.values()):
        assert any(value is not None for value in own), "a saving needs evidence in history.csv"
    if saves["bytes_read"] or saves["samples_backpropagated"] or saves["flops_executed"]:
        assert registry.decides(use) or use == "combined", "who saves says what it decides"
    if "pruned_share" in history[0]:
        assert [row["samples"] for row in history] == [pytest.approx(300 * (1 - r["pruned_share"])) for r in history]


@pytest.mark.parametrize("use", [use for use in registry.names("strategy") if use in IDLE])
def test_a_strategy_that_leaves_nothing_out_costs_what_the_full_training_costs(digits, trained, use):
    trainer = tiny.trainer(digits, spec(use, **IDLE[use]))
    trainer.run()
    assert trainer.ledger == trained("full", like=use).ledger
