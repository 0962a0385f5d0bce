"""Dropped blocks cost nothing and stay as they are; kept ones are scaled so that the sum is what it was, on average."""

import math

import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

import tiny
from frugal import registry
from frugal.models import resnet, transformer
from frugal.strategies.layer_drop import LayerDrop

SMALL = {"name": "resnet", "use": "resnet", "parameters": {"depth": 8, "width": 4}}


def run(digits, watch=None, recipe=None, **parameters):
    made = tiny.spec("layer_drop", recipe=recipe, **parameters)
    trainer = tiny.trainer(digits, made.model_copy(update={"model": made.model.model_validate(SMALL)}))
    if watch:
        trainer.strategy.before_step = watch
    trainer.run()
    return trainer


def nets():
    torch.manual_seed(0)
    for depth in (18, 50):
        yield resnet, resnet.build((3, 8, 8), 4, depth=depth, width=4), torch.randn(5, 3, 8, 8)
    sizes = {"layers": 3, "heads": 2, "hidden": 8, "feed_forward": 16, "dropout": 0.0}
    yield transformer, transformer.build((7,), 4, 11, **sizes), torch.randint(1, 11, (5, 7))


def test_with_all_blocks_kept_a_net_is_bit_for_bit_the_one_it_was():
    for module, net, inputs in nets():
        before = net.train()(inputs)
        blocks = module.droppable(net)
        assert len(blocks) == {resnet: len(blocks), transformer: 3}[module] >= 3
        assert torch.equal(net(inputs), before)


def test_a_net_without_any_of_its_blocks_is_what_its_shortcuts_compute():
    for module, net, inputs in nets():
        blocks = module.droppable(net)
        for block in blocks:
            block.kept = False
        net.train()
        if module is transformer:
            embedded = net.tokens(inputs) + net.positions
            expected = net.head(net.norm(embedded).mean(1))
        else:
            hidden = net.relu(net.bn1(net.conv1(inputs)))
            for name in net.stages:
                hidden = getattr(net, name)[0].downsample(hidden).relu() if getattr(net, name)[0].downsample else hidden
            expected = net.fc(hidden.mean((2, 3)))
        torch.testing.assert_close(net(inputs), expected)
        net(inputs).sum().backward()
        left_out = [p for b in blocks for name, p in b.named_parameters() if not name.startswith("downsample")]
        assert len(left_out) > 10
        assert all(p.grad is None for p in left_out)


def test_a_branch_is_multiplied_by_its_factor_in_training_and_in_test_alone():
    for module, net, inputs in nets():
        blocks = module.droppable(net)
        net.eval()
        whole = net(inputs)
        for block in blocks:
            block.in_training = 0.0
        assert torch.equal(net(inputs), whole)
        for block in blocks:
            block.in_training, block.in_test = 1.0, 0.0
        without = net(inputs)
        assert not torch.allclose(without, whole)
        if module is transformer:
            torch.testing.assert_close(without, net.head(net.norm(net.tokens(inputs) + net.positions).mean(1)))


def test_probabilities_are_those_of_the_papers():
    strategy = LayerDrop(survival=0.4)
    strategy.blocks = [None] * 6
    expected = [1 - place / 6 * 0.6 for place in range(1, 7)]
    assert strategy.probabilities(0.3) == pytest.approx(expected)
    assert expected[-1] == pytest.approx(0.4)
    strategy = LayerDrop(survival=0.4, schedule="progressive", gamma=5)
    strategy.blocks = [None] * 6
    assert strategy.probabilities(0) == [1] * 6
    theta = 0.6 * math.exp(-5 * 0.3) + 0.4
    assert strategy.probabilities(0.3) == pytest.approx([1 - place / 6 * (1 - theta) for place in range(1, 7)])


def test_a_step_costs_what_torch_counts_in_it(digits):
    counted, kept, sets = [], [], set()

    def watch(training):
        blocks = training.strategy.blocks
        assert [all(p.grad is None for p in b.bn2.parameters()) for b in blocks] == [not b.kept for b in blocks]
        buffers = [b.clone() for b in training.model.buffers()]
        with FlopCounterMode(display=False) as forward:
            loss = functional.cross_entropy(training.model(torch.rand(2, 1, 8, 8)), torch.tensor([0, 1]))
        with FlopCounterMode(display=False) as backward:
            torch.autograd.grad(loss, [p for p in training.model.parameters() if p.grad is not None])
        for buffer, before in zip(training.model.buffers(), buffers, strict=True):
            buffer.copy_(before)
        counted.append((forward.get_total_flops() // 2, backward.get_total_flops() // 2))
        kept.append([b.kept for b in blocks])
        sets.add(tuple(kept[-1]))

    trainer = run(digits, watch, {"epochs": 6})
    sizes = ([32] * 8 + [44]) * 6
    ledger = trainer.ledger
    assert len(counted) == ledger.steps == 54
    assert ledger.flops_forward == sum(size * flops for size, (flops, _) in zip(sizes, counted, strict=True))
    assert ledger.flops_backward == sum(size * flops for size, (_, flops) in zip(sizes, counted, strict=True))
    assert len(trainer.flops_of_size) == len(sets | {(True, True, True)}) < 9, "one count per set, not per step"
    told = [row["kept_block_passes"] for row in trainer.history.rows]
    assert told == pytest.approx([sum(map(sum, kept[at : at + 9])) / 27 for at in range(0, 54, 9)])


def test_blocks_are_kept_as_often_as_their_probabilities_say(digits):
    strategy, kept = run(digits, recipe={"epochs": 1}).strategy, []
    for _ in range(4000):
        strategy.before_forward(None)
        kept.append([float(block.kept) for block in strategy.blocks])
    shares = torch.tensor(kept, dtype=torch.float64).mean(0).tolist()
    assert shares == pytest.approx([5 / 6, 4 / 6, 3 / 6], abs=4 * 0.5 / 4000**0.5)


def test_a_dropped_block_is_not_moved_in_its_step(digits):
    def watch(training):
        for block in training.strategy.blocks:
            if not block.kept:
                held.append((training.ledger.steps, block, [p.detach().clone() for p in branch(block)]))

    def branch(block):
        return [*block.conv1.parameters(), *block.bn1.parameters(), *block.conv2.parameters(), *block.bn2.parameters()]

    def after(training):
        for _, block, values in held:
            moved.extend(not torch.equal(p, v) for p, v in zip(branch(block), values, strict=True))
        held.clear()
        after_step(training)

    held, moved = [], []
    made = tiny.spec("layer_drop", recipe={"weight_decay": 0.1, "momentum": 0.9}, survival=0.3)
    trainer = tiny.trainer(digits, made.model_copy(update={"model": made.model.model_validate(SMALL)}))
    after_step, trainer.strategy.before_step, trainer.strategy.after_step = trainer.strategy.after_step, watch, after
    trainer.run()
    assert len(moved) > 50
    assert not any(moved)


def test_scaled_in_test_or_in_training_and_the_net_that_comes_out_is_whole(digits):
    constant = run(digits, survival=0.4)
    assert [b.in_test for b in constant.strategy.blocks] == pytest.approx([0.8, 0.6, 0.4])
    assert {b.in_training for b in constant.strategy.blocks} == {1.0}
    scales = []
    progressive = run(
        digits, lambda t: scales.append([b.in_training for b in t.strategy.blocks]), schedule="progressive", gamma=5
    )
    assert scales[0] == [1, 1, 1]
    theta = 0.5 * math.exp(-5 * 26 / 27) + 0.5
    assert scales[-1] == pytest.approx([1 / (1 - place / 3 * (1 - theta)) for place in (1, 2, 3)], rel=1e-3)
    assert {b.in_test for b in progressive.strategy.blocks} == {1.0}
    for trainer in (constant, progressive):
        assert all(block.kept for block in trainer.strategy.blocks)
        assert trainer.flops_at(8).forward == trainer.history.rows[-1]["flops_per_sample"]


def test_a_model_that_says_it_has_blocks_has_them():
    assert [use for use in registry.names("model") if registry.blocks(use)] == ["resnet", "transformer", "vit"]
    assert all(hasattr(registry.load("model", use), "droppable") for use in ("resnet", "transformer", "vit"))


def test_a_net_whose_steps_differ_is_never_compiled(digits):
    trainer = run(digits, recipe={"compile": True, "epochs": 1})
    assert trainer.forward.compiled is None
    assert "compile true: off, since each step may execute another part of the net" in trainer.notes
