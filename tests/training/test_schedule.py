import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frugal.errors import FrugalError
from frugal.models import cnn
from frugal.recipe import Recipe
from frugal.spec import parse
from frugal.training.optimizer import make_optimizer, rate_at, rate_of, set_rate


def test_one_cycle_is_torchs():
    steps = 1000
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.2, total_steps=steps, pct_start=0.3)
    recipe = Recipe(epochs=1, batch_size=1, learning_rate=0.2, warmup=0.3)
    for step in range(steps):
        assert rate_at(step / steps, recipe) == pytest.approx(theirs.get_last_lr()[0], abs=0.2 * 4e-3)
        optimizer.step()
        theirs.step()


@given(
    progress=st.floats(0, 1),
    schedule=st.sampled_from(["constant", "one_cycle", "cosine", "triangular", "step"]),
    warmup=st.floats(0, 0.9),
)
def test_the_rate_never_exceeds_its_peak_nor_falls_below_zero(progress, schedule, warmup):
    own = {"milestones": [0.92, 0.95]} if schedule == "step" else {}
    recipe = Recipe(epochs=1, batch_size=1, learning_rate=0.3, schedule=schedule, warmup=warmup, **own)
    assert -1e-12 <= rate_at(progress, recipe) <= 0.3 + 1e-12


def recipe(**keys):
    return parse(Recipe, {"epochs": 1, "batch_size": 1, "learning_rate": 0.5, **keys}, "recipe")


@pytest.mark.parametrize(
    ("progress", "share"),
    [(0, 0.2), (0.115, 0.6), (0.23, 1), (0.23 + 0.77 / 2, 0.535), (1, 0.07)],
)
def test_a_triangle_goes_straight_through_its_three_points(progress, share):
    wanted = recipe(schedule="triangular", warmup=0.23, start_share=0.2, end_share=0.07)
    assert rate_at(progress, wanted) == pytest.approx(0.5 * share)


def test_a_triangle_may_begin_at_its_peak():
    assert rate_at(0, recipe(schedule="triangular", warmup=0)) == 0.5


def test_multipliers_reach_the_parameters_of_their_kind_and_leave_the_decay_as_it_was():
    model = cnn.build((1, 8, 8), 3, channels=[4, 4])
    norm = {id(m.bias) for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)}
    optimizer = make_optimizer(model, recipe(weight_decay=0.01, rates={"norm_bias": 64, "bias": 2}))
    set_rate(optimizer, 0.25)
    assert rate_of(optimizer) == 0.25
    found = {id(p): (g["lr"], g["lr"] * g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    assert len(found) == len(list(model.parameters()))
    for parameter in model.parameters():
        rate = 0.25 * (64 if id(parameter) in norm else 2 if parameter is model[-1].bias else 1)
        assert found[id(parameter)] == (rate, pytest.approx(0.25 * 0.01))


@pytest.mark.parametrize("schedule", ["cosine", "step"])
def test_cosine_and_step_after_a_warm_up_are_torchs(schedule):
    steps, warm = 200, 40
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    of_torch = torch.optim.lr_scheduler
    if schedule == "cosine":
        then = of_torch.CosineAnnealingLR(optimizer, steps - warm, eta_min=0.5 * 0.01)
    else:
        then = of_torch.MultiStepLR(optimizer, [100 - warm, 150 - warm], gamma=0.2)
    first = of_torch.LinearLR(optimizer, start_factor=0.1, total_iters=warm)
    theirs = of_torch.SequentialLR(optimizer, [first, then], [warm])
    own = {"end_share": 0.01} if schedule == "cosine" else {"milestones": [0.5, 0.75], "factor": 0.2}
    wanted = recipe(schedule=schedule, warmup=0.2, start_share=0.1, **own)
    for step in range(steps):
        assert rate_at(step / steps, wanted) == pytest.approx(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_norms_and_biases_are_spared_the_decay_and_nothing_else(optimizer):
    class ALibrarysNorm2d(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(4))

    model = cnn.build((1, 8, 8), 3, channels=[4, 4]).append(ALibrarysNorm2d())
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    made = make_optimizer(model, recipe(optimizer=optimizer, weight_decay=0.1, decay_norm_and_bias=False, momentum=0))
    set_rate(made, 0.5)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    made.step()
    for name, value in model.named_parameters():
        assert torch.allclose(value, before[name] * (0.95 if value.dim() > 1 else 1), atol=0), name


def test_a_multiplier_of_nothing_is_refused():
    with pytest.raises(FrugalError, match="rates.norm_bias is 64, and the model trains no parameter of that kind"):
        make_optimizer(torch.nn.Linear(3, 3), recipe(rates={"norm_bias": 64}))


def test_without_the_new_keys_sgd_is_what_it_was():
    optimizer = make_optimizer(cnn.build((1, 8, 8), 3), recipe(momentum=0.8, weight_decay=0.1))
    assert len(optimizer.param_groups) == 1
    group = {key: optimizer.param_groups[0][key] for key in ("lr", "momentum", "nesterov", "weight_decay", "fused")}
    assert group == {"lr": 0.5, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1, "fused": True}
    plain = make_optimizer(cnn.build((1, 8, 8), 3), recipe(nesterov=False))
    assert plain.param_groups[0]["nesterov"] is False


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        (
            {"start_share": 0.2},
            "start_share belongs to schedule cosine or triangular or step, and schedule is one_cycle",
        ),
        (
            {"schedule": "step", "end_share": 0.2},
            "end_share belongs to schedule cosine or triangular, and schedule is st",
        ),
        ({"milestones": [0.5]}, "milestones belongs to schedule step"),
        ({"batch_size": 30, "accumulate": 4}, "accumulate is 4, which cuts batches of 30 into no equal parts"),
        ({"schedule": "step"}, "schedule step needs milestones"),
        ({"schedule": "step", "milestones": [0.6, 0.5]}, "shares of the training that rise"),
        ({"schedule": "step", "milestones": [0.2, 0.5]}, "begin at 0.2 and the rate rises up to 0.25.*lower warmup"),
        ({"schedule": "step", "milestones": [30, 60]}, "milestones.0 is 30; .*less than 1"),
        (
            {"nesterov": False, "optimizer": "adam"},
            "nesterov is a kind of sgd's and muon's momentum, and optimizer is adam",
        ),
        ({"average": {}, "early_stopping": 3}, "set one of them"),
        ({"average": {"decay": 1}}, "average.decay is 1; .*less than 1"),
        ({"average": {"evry": 5}}, "did you mean every"),
        ({"rates": {"norm_bias": 0}}, "rates.norm_bias is 0; .*greater than 0"),
        ({"rates": {"biases": 2}}, "unknown key 'rates.biases'; did you mean bias"),
        ({"test_time": "flip"}, "test_time is 'flip'"),
        ({"augment": {"flip": "alternate"}}, "augment.flip.* is 'alternate'"),
    ],
)
def test_what_makes_no_sense_is_refused_when_the_config_is_read(keys, says):
    with pytest.raises(FrugalError, match=says):
        recipe(**keys)
