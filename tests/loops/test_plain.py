"""A strategy in a plain loop of PyTorch: as in our trainer, exact to resume, and nothing of it left out in silence."""

import copy
import io

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import frugal
import tiny
from frugal import Frugal, registry
from frugal.errors import FrugalError
from frugal.strategies.base import make
from frugal.training.forward import laid_out
from frugal.training.setup import make_model

EPOCHS, BATCH, CPU = 4, 32, torch.device("cpu")
GIVEN = {
    "ast": {"warmup": 0.25},
    "combined": {"parts": [{"use": "infobatch"}, {"use": "sparse", "kernel": "scatter"}]},
    "dynamic_pruning": {"target_flops": 0.6, "every": 2, "round_to": 1, "step": 0.2, "events": 4, "until": 0.8},
    "gradual_magnitude": {"every": 4},
    "ies": {"delta": 10.0, "window": 1},
    "lawa": {"every": 0.5},
    "prune_train": {"ratio": 0.3, "every": 0.3, "threshold": 0.2},
    "rho": {"pool": 2},
    "rigl": {"sparsity": 0.5, "every": 4, "kernel": "scatter"},
    "set": {"sparsity": 0.5, "kernel": "scatter"},
    "sparse": {"kernel": "scatter"},
}
REFUSED = {  # and what it says
    "compression": "how samples are read",
    "equal_cost": "how long the training is",
    "error_norm": "how long the training is",
    "forgetting": "how long the training is",
    "frequency_curriculum": "how samples are read",
    "held_out_loss": "how long the training is",
    "interpolated_curriculum": "how samples are read",
    "layer_drop": "blocks of frugal's own models",
    "narrow": "in another size",
    "narrow_as": "widths of another run",
    "patch_drop": "patches in frugal's own models",
    "proxy": "in another size",
    "prune_after": "widths of another run",
    "token_drop": "tokens in frugal's own models",
}
OFFERED = sorted(set(registry.names("strategy")) - set(REFUSED))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tiny.digits_cache(tmp_path_factory)


@pytest.fixture(scope="module")
def data(cache):
    """Images as our trainer normalises them, labels, and indices."""
    split = tiny.trainer(cache).train_data
    everything = torch.arange(len(split))
    return TensorDataset(split.read(everything), split.labels, everything)


def net(cache):
    torch.manual_seed(0)
    return make_model(tiny.spec(), cache, CPU)


class Loop:
    """A loop as somebody writes it."""

    def __init__(self, strategy, model, data, **given):
        known = {"samples": len(data), "epochs": EPOCHS, "batch_size": BATCH, "example": data.tensors[0][:2]}
        use = frugal.loops.fitting.overrides(strategy, "begin") and type(strategy).__name__ == "Freeze"
        known |= {"schedule": lambda progress: 0.05 * (1 - progress)} if use else {}
        self.training = Frugal(strategy, model, **known | given)
        self.model = model
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, fused=True)
        self.training.attach(self.optimizer)
        self.loader = DataLoader(data, batch_sampler=self.training.sampler)
        self.visited, self.told = [], []

    def run(self, steps=None, after_step=lambda: None):
        """To the end, or for so many steps; the samples of each are in `visited`, the losses in `told`."""
        self.model.train()
        for _ in range(self.training.epoch, self.training.epochs):
            for inputs, labels, indices in self.training.select(self.loader):
                logits = self.model(laid_out(inputs))
                losses = cross_entropy(logits, labels, reduction="none")
                self.optimizer.zero_grad()
                self.training.weigh(losses, indices, logits=logits, labels=labels).backward()
                self.training.step()
                self.visited.append(indices)
                self.told.append(losses.detach())
                after_step()
                if len(self.visited) == steps:
                    return self
        return self

    def state(self):
        parts = self.training, self.model, self.optimizer
        return copy.deepcopy([part.state_dict() for part in parts])

    def load(self, states):
        for part, state in zip((self.training, self.model, self.optimizer), states, strict=True):
            part.load_state_dict(state)
        return self


def loop(use, cache, data):
    given = {}
    if use == "random_subset":
        given["followed"] = [{"samples": 100 + 10 * epoch} for epoch in range(EPOCHS)]
    if use in ("static_scores", "proxy_filter", "rho"):
        given["scores"] = torch.rand(len(data), EPOCHS, generator=torch.Generator().manual_seed(0))
    return Loop(make(use, GIVEN.get(use, {})), net(cache), data, **given)


@pytest.mark.parametrize("use", OFFERED)
def test_a_resumed_loop_ends_with_the_same_weights_and_history(cache, data, use):
    if use != "ast":  # which needs more to fill a batch
        data = TensorDataset(*(tensor[:160] for tensor in data.tensors))
    whole = loop(use, cache, data).run()
    cut = loop(use, cache, data).run(steps=len(whole.visited) * 5 // 8)
    again = loop(use, cache, data).load(cut.state()).run()
    assert again.training.history == whole.training.history
    assert len(whole.training.history) == EPOCHS
    assert torch.equal(torch.cat(cut.visited + again.visited), torch.cat(whole.visited))
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name


@pytest.mark.parametrize("samples", [192, 300])  # two sets of three batches, and three of which the last is longer
@pytest.mark.parametrize(
    "threshold", [0.25, None]
)  # importance sampling from the second set of the training on, or never
def test_a_loop_resumes_after_every_step_of_a_strategy_that_reads_several_batches_at_once(
    cache, data, samples, threshold
):
    data = TensorDataset(*(tensor[:samples] for tensor in data.tensors))
    given = {"epochs": 2, "schedule": lambda progress: 0.05 * (1 - progress)}
    states = []

    def made():
        return Loop(frugal.GradientNorm(threshold=threshold), net(cache), data, **given)

    def save():
        torch.save(whole.state(), file := io.BytesIO())
        states.append(file)

    whole = made()
    whole.run(after_step=save)
    for done, file in enumerate(states, 1):
        file.seek(0)
        again = made().load(torch.load(file, weights_only=True)).run()
        visited = [indices.tolist() for indices in again.visited]
        assert visited == [indices.tolist() for indices in whole.visited[done:]], done
        assert again.training.history == whole.training.history
        assert len(again.training.history) == 2
        assert torch.equal(again.training.losses, whole.training.losses)
        for name, value in whole.model.state_dict().items():
            assert torch.equal(value, again.model.state_dict()[name]), (done, name)


def test_a_loop_that_resumes_without_select_is_told_that_batches_wait(cache, data):
    saved = Loop(frugal.GradientNorm(), net(cache), data).run(steps=8).state()
    with pytest.raises(FrugalError, match=r"holds batches that gradient_norm chose .*training\.select\(loader\)"):
        next(iter(Loop(frugal.GradientNorm(), net(cache), data).load(saved).loader))


@pytest.mark.parametrize("use", ["infobatch", "ast", "set"])
def test_a_loop_visits_the_samples_that_our_trainer_visits_with_the_same_losses(cache, data, use):
    recipe = {"epochs": EPOCHS, "learning_rate": 0.05, "schedule": "constant", "momentum": 0.9, "weight_decay": 0}
    recipe |= {"nesterov": False, "label_smoothing": 0.0, "precision": "float32", "compile": False, "grad_clip": None}
    trainer = tiny.trainer(cache, tiny.spec(use, recipe=recipe, **GIVEN.get(use, {})))
    model = net(cache)
    mine = Loop(make(use, GIVEN.get(use, {})), model, data)
    trainer.model.load_state_dict(model.state_dict())
    trainer.run()
    mine.run()
    assert len(mine.visited) == trainer.ledger.steps
    ours = [row["samples"] for row in trainer.history.rows]
    assert [row["samples"] for row in mine.training.history] == ours
    assert torch.equal(mine.training.losses, trainer.losses)
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name


@pytest.mark.parametrize("use", sorted(REFUSED))
def test_what_only_our_trainer_can_do_is_refused_at_once(cache, data, use):
    needed = {"compression": {"k_lo": 4, "k_hi": 6}}
    needed |= dict.fromkeys(("frequency_curriculum", "interpolated_curriculum"), {"stages": [[4, 0.5], [8, 1]]})
    with pytest.raises(FrugalError, match=REFUSED[use]):
        Loop(make(use, needed.get(use, {})), net(cache), data)


def test_a_combination_takes_strategies_as_well_as_their_names(cache, data):
    named = {"parts": [{"use": "infobatch", "prune_ratio": 0.3}, {"use": "sparse", "kernel": "scatter"}]}
    whole = Loop(frugal.Combined(**named), net(cache), data).run()
    half = Loop(frugal.Combined(**named), net(cache), data).run(steps=12)
    parts = [frugal.InfoBatch(prune_ratio=0.3), frugal.Sparse(kernel="scatter")]
    again = Loop(frugal.Combined(parts), net(cache), data).load(half.state()).run()
    assert again.training.history == whole.training.history
    assert torch.equal(again.training.losses, whole.training.losses)


class OfOnesOwn(frugal.RS2):
    pass


@pytest.mark.parametrize("part", [frugal.InfoBatch, "infobatch", {"prune_ratio": 0.3}, OfOnesOwn()])
def test_a_part_of_a_combination_that_is_none_is_told_with_the_form_that_is(part):
    with pytest.raises(FrugalError, match=r"no part; give .* Combined\(\[InfoBatch\(\), RigL\(sparsity=0\.5\)\]\)"):
        frugal.Combined([part, frugal.Sparse()])


# What a loop leaves out is an error.


def plain(cache, data, strategy=None, **given):
    """Training, loader, model, optimizer, of a loop that is about to do something wrong."""
    made = Loop(strategy or frugal.InfoBatch(), net(cache), data, **given)
    return made.training, made.loader, made.model, made.optimizer


def losses_of(model, batch):
    return cross_entropy(model(batch[0]), batch[1], reduction="none")


def never_weighs(training, loader, model, optimizer):
    for batch in loader:
        losses_of(model, batch).mean().backward()
        optimizer.step()


def never_weighs_nor_steps(training, loader, model, optimizer):
    for _ in range(2):
        for _batch in loader:
            pass


def weighs_and_ignores_it(training, loader, model, optimizer):
    for batch in loader:
        losses = losses_of(model, batch)
        training.weigh(losses)
        losses.mean().backward()
        training.step()


def gives_a_mean(training, loader, model, optimizer):
    for batch in loader:
        training.weigh(losses_of(model, batch).mean())


def uses_another_loader(training, loader, model, optimizer):
    for batch in DataLoader(loader.dataset, batch_size=BATCH, shuffle=True):
        training.weigh(losses_of(model, batch))


def mixes_up_batches(training, loader, model, optimizer):
    first, second, *_ = loader
    training.weigh(losses_of(model, second), second[2])


def leaves_an_epoch(training, loader, model, optimizer):
    for _ in range(2):
        for batch in loader:
            training.weigh(losses_of(model, batch)).backward()
            training.step()
            break


def steps_another_optimizer(training, loader, model, optimizer):
    other = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        for batch in loader:
            training.weigh(losses_of(model, batch)).backward()
            other.step()


def never_steps(training, loader, model, optimizer):
    for _ in range(2):
        for batch in loader:
            training.weigh(losses_of(model, batch)).backward()


def two_schedules(training, loader, model, optimizer):
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    for batch in loader:
        training.weigh(losses_of(model, batch)).backward()
        training.step()
        scheduler.step()


def goes_on_after_the_end(training, loader, model, optimizer):
    for _ in range(EPOCHS + 1):
        for batch in loader:
            training.weigh(losses_of(model, batch)).backward()
            training.step()


def diverges(training, loader, model, optimizer):
    for batch in loader:
        training.weigh(losses_of(model, batch) * float("nan")).backward()
        training.step()


def doesnt_select(training, loader, model, optimizer):
    for batch in loader:
        logits = model(batch[0])
        training.weigh(losses_of(model, batch), logits=logits, labels=batch[1])


def selects_without_logits(training, loader, model, optimizer):
    for batch in training.select(loader):
        training.weigh(losses_of(model, batch))


def selects_without_weighing(training, loader, model, optimizer):
    for _ in training.select(loader):
        pass


AST, SCHEDULED = frugal.AdaptiveSparseTraining, {"schedule": lambda progress: 0.1}


@pytest.mark.parametrize(
    ("loop", "strategy", "given", "says"),
    [
        (never_weighs, None, {}, "no batch was weighed"),
        (never_weighs_nor_steps, None, {}, "epoch 1 ended without a batch that was weighed; call training.weigh"),
        (weighs_and_ignores_it, None, {}, "wasn't back-propagated"),
        (gives_a_mean, None, {}, "reduction='none'"),
        (uses_another_loader, None, {}, r"batch_sampler=training\.sampler"),
        (mixes_up_batches, None, {}, "aren't those of the batch that is due"),
        (leaves_an_epoch, None, {}, "epoch 1 was left after 1 of 9 batches"),
        (steps_another_optimizer, None, {}, "took no step in epoch 1"),
        (never_steps, None, {}, r"or training\.step\(\) was not called"),
        (two_schedules, None, SCHEDULED, "by `schedule` and by somebody else"),
        (goes_on_after_the_end, None, {}, "all 4 epochs are done"),
        (diverges, None, {}, "a loss of epoch 1 is no number"),
        (doesnt_select, AST, {}, r"ast chooses within a batch: .* training\.select\(loader\)"),
        (selects_without_logits, AST, {}, "ast judges logits: call weigh"),
        (selects_without_weighing, AST, {}, "a batch wasn't weighed"),
        (never_weighs, frugal.Freeze, {"schedule": None}, "give schedule="),
        (never_weighs, frugal.DynamicPruning, {"example": None}, "give example="),
        (never_weighs, frugal.InfoBatch, {"batch_size": 301}, "visits at most 300 of 300"),
        (never_weighs, frugal.RS2, {"device": "meta"}, "Frugal was made for meta"),
        (never_weighs, lambda: frugal.InfoBatch(prune_ratio=1.5), {}, "prune_ratio is 1.5"),
        (
            never_weighs,
            frugal.RandomSubset,
            {},
            "random_subset repeats the sample counts of another run; give followed=",
        ),
        (never_weighs, frugal.RandomSubset, {"followed": [{"samples": 99}]}, "followed has rows for 1 of 4 epochs"),
        (
            never_weighs,
            frugal.StaticScores,
            {},
            "static_scores chooses samples by the scores of another run; give scores=",
        ),
        (
            never_weighs,
            frugal.ProxyFilter,
            {},
            "proxy_filter chooses samples by the scores of another run; give scores=",
        ),
        (never_weighs, frugal.Rho, {}, "rho subtracts the losses that another run found; give scores="),
        (never_weighs, frugal.Rho, {"scores": torch.zeros(299)}, r"scores is of shape \(299,\) for 300 samples"),
    ],
)
def test_what_a_loop_leaves_out_is_told_in_one_line(cache, data, loop, strategy, given, says):
    with pytest.raises(FrugalError, match=says) as told:
        loop(*plain(cache, data, strategy and strategy(), **given))
    assert "\n" not in str(told.value)


def test_more_samples_than_the_data_set_has_are_refused_before_the_first_batch(cache, data):
    made = Loop(frugal.InfoBatch(), net(cache), data, samples=350)
    with pytest.raises(FrugalError, match=r"samples is 350, and the data set has 300; give samples=len\(data\)$"):
        made.training.select(made.loader)
    made.training.select([])  # of a length that nobody knows


def test_an_optimizer_made_too_early_lacks_the_sparse_layers(cache, data):
    model = net(cache)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(FrugalError, match="make it after that, and give it to attach"):
        Frugal(frugal.Sparse(), model, optimizer, samples=300, epochs=1, batch_size=32)


def test_a_state_of_another_training_is_refused(cache, data):
    one, other = (Loop(frugal.RS2(share=share), net(cache), data).training for share in (0.5, 0.3))
    with pytest.raises(FrugalError, match="strategy was RS2"):
        other.load_state_dict(one.state_dict())


def test_a_copy_or_a_pickle_of_the_model_tells_nobody(cache, data, tmp_path):
    made = Loop(frugal.Freeze(), net(cache), data)
    torch.save(copy.deepcopy(made.model), tmp_path / "model.pt")
    torch.load(tmp_path / "model.pt", weights_only=False)(made.training.losses.new_ones(2, 1, 8, 8))


def test_looking_at_a_batch_changes_nothing_and_loaders_may_read_ahead(cache, data):
    one, other = (Loop(frugal.InfoBatch(), net(cache), data) for _ in range(2))
    other.loader = DataLoader(data, batch_sampler=other.training.sampler, num_workers=1)
    assert len(other.loader) == 9
    next(iter(one.loader))
    one.run()
    other.run()
    assert torch.equal(torch.cat(one.visited), torch.cat(other.visited))
    assert torch.equal(torch.cat(one.told), torch.cat(other.told))


def test_every_strategy_that_a_loop_can_use_is_offered_by_its_name():
    offered = {name: getattr(frugal, name) for name in frugal.OWN_LOOP}
    modules = {type_.__module__.rpartition(".")[2] for type_ in offered.values() if type_ is not Frugal}
    assert modules == set(OFFERED)
    assert all(type_.__name__ == name for name, type_ in offered.items())
    assert frugal.meter.__module__ == "frugal.loops.meter"
    with pytest.raises(ImportError, match="InfoBatsh"):
        from frugal import InfoBatsh  # noqa: F401
