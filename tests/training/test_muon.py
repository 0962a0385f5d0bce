"""The muon of a recipe: torch's for matrices and filters, AdamW for all else, with its products counted."""

import pytest
import torch
from torch import nn

import tiny
from frugal.errors import FrugalError
from frugal.models import cnn
from frugal.recipe import Recipe
from frugal.spec import parse
from frugal.training.muon import as_matrix, products_of
from frugal.training.optimizer import make_optimizer, set_rate


def recipe(**keys):
    given = {"epochs": 1, "batch_size": 1, "learning_rate": 0.02, "optimizer": "muon", "momentum": 0.95, **keys}
    return parse(Recipe, given, "recipe")


def with_gradients(model, seed):
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    return model


def test_matrices_are_stepped_as_torchs_muon_and_the_rest_as_its_adamw():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 9), nn.LayerNorm(9), nn.Linear(9, 4), nn.Linear(4, 3))
    hidden = [model[0].weight, model[2].weight]
    copies = {id(p): nn.Parameter(p.detach().clone()) for p in model.parameters()}
    others = [p for p in model.parameters() if all(p is not one for one in hidden)]
    muon = torch.optim.Muon(
        [copies[id(p)] for p in hidden], lr=0.02, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw"
    )
    adamw = torch.optim.AdamW([copies[id(p)] for p in others], lr=0.02, weight_decay=0.1)
    made = make_optimizer(model, recipe(weight_decay=0.1))
    for seed in range(3):
        with_gradients(model, seed)
        for parameter in model.parameters():
            copies[id(parameter)].grad = parameter.grad.clone()
        for optimizer in (made, muon, adamw):
            set_rate(optimizer, 0.02 / (seed + 1))
            optimizer.step()
        assert all(torch.equal(p, copies[id(p)]) for p in model.parameters())


def test_filters_are_stepped_alike_in_both_orders_of_memory():
    stepped = []
    for order in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        model = cnn.build((3, 8, 8), 4, channels=[5, 6]).to(memory_format=order)
        optimizer = make_optimizer(model, recipe())
        for seed in range(2):
            with_gradients(model, seed)
            optimizer.step()
        stepped.append(list(model.parameters()))
    for plain, last in zip(*stepped, strict=True):
        assert torch.allclose(plain, last, atol=2e-3)  # orthogonal in bfloat16, whose sums differ by the order


def test_a_weight_that_is_no_view_is_refused_in_place_of_a_copy_that_nobody_sees():
    with pytest.raises(RuntimeError, match="view"):
        as_matrix(torch.zeros(4, 6, 3).transpose(1, 2))


def test_a_net_trains_with_it_and_its_products_are_counted(digits):
    run = tiny.spec("full", recipe={"optimizer": "muon", "learning_rate": 0.1, "momentum": 0.95, "epochs": 4})
    trainer = tiny.trainer(digits, run)
    trainer.run()
    assert trainer.history.rows[-1]["val_accuracy"] > 0.7
    filters = [m.weight.shape for m in trainer.model.modules() if isinstance(m, nn.Conv2d)]
    ledger = trainer.ledger
    assert ledger.flops_optimizer == ledger.steps * sum(map(products_of, filters)) > 0
    parts = ledger.flops_forward + ledger.flops_backward + ledger.flops_decoding + ledger.flops_optimizer
    assert ledger.flops_executed == parts


def test_products_are_what_torch_counts():
    from torch.optim._muon import DEFAULT_A, DEFAULT_B, DEFAULT_C, EPS, _zeropower_via_newtonschulz
    from torch.utils.flop_counter import FlopCounterMode

    for shape in ((5, 12), (12, 5)):
        with FlopCounterMode(display=False) as counter:
            _zeropower_via_newtonschulz(torch.randn(shape), (DEFAULT_A, DEFAULT_B, DEFAULT_C), 5, EPS)
        assert counter.get_total_flops() == products_of(torch.Size(shape))


def test_a_net_without_such_a_weight_is_refused():
    with pytest.raises(FrugalError, match="the model trains none; choose adamw or sgd"):
        make_optimizer(nn.Sequential(nn.Flatten(), nn.Linear(3, 3)), recipe())


def test_a_weight_that_a_step_leaves_alone_costs_nothing():
    model = with_gradients(nn.Sequential(nn.Linear(6, 9), nn.Linear(9, 4), nn.Linear(4, 3)), 0)
    optimizer = make_optimizer(model, recipe())
    optimizer.step()
    assert optimizer.flops == products_of(model[0].weight.shape) + products_of(model[1].weight.shape)
    model[0].weight.grad = None  # as of a layer that was dropped
    optimizer.step()
    assert optimizer.flops == products_of(model[1].weight.shape)
