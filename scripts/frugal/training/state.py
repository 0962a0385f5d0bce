"""The state of a run as plain content for a checkpoint, and back: the next step is the one that would have come."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from frugal.measure.ledger import Ledger
from frugal.training.batches import Epoch
from frugal.training.sums import EpochSums

if TYPE_CHECKING:
    from frugal.training.loop import Trainer


def state_of(trainer: "Trainer") -> dict[str, Any]:
    """All that the rest of the run depends on, and all that its record will say; every rank has to ask for it."""
    cuda = trainer.device.type == "cuda"
    own = {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(trainer.device) if cuda else None,
        "energy": trainer.energy.state(),
    }
    return {
        "epoch": trainer.epoch,
        "step": trainer.step,
        "model": trainer.model.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "strategy": trainer.strategy.state_dict(),
        "losses": trainer.losses,
        "batches": None if trainer.batches is None else trainer.batches.state_dict(),
        "sums": None if trainer.batches is None else asdict(trainer.sums),
        "waiting": trainer.gathering.waiting,
        "history": trainer.history,
        "curve": trainer.curve,
        "traces": trainer.traces,
        "ledger": asdict(trainer.ledger),
        "seconds": trainer.clock.seconds,
        "precision": trainer.precision,
        "flops_sources": list(trainer.flops_sources),
        "read_from": sorted(trainer.read_from),
        "sampler": trainer.sampler.get_state(),
        "augmenter": trainer.augmenter.get_state(),
        "ranks": trainer.team.gather(own),  # what differs between them: dropout draws its own mask on each
    }


def restore(trainer: "Trainer", state: dict[str, Any]) -> None:
    """The counterpart of `state_of`."""
    device = trainer.device
    trainer.epoch, trainer.step = state["epoch"], state["step"]
    trainer.strategy.rebuild(trainer, state["strategy"])  # shapes before weights
    trainer.model.load_state_dict(state["model"])
    trainer.optimizer.load_state_dict(state["optimizer"])
    trainer.strategy.load_state_dict(state["strategy"])
    trainer.losses.copy_(state["losses"])
    if state["batches"] is not None:
        trainer.batches = Epoch(**state["batches"]).to(device)
        sums = state["sums"]
        trainer.sums = EpochSums(**{k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in sums.items()})
    trainer.gathering.waiting = [[part.to(device) for part in parts] for parts in state["waiting"]]
    trainer.traces = state["traces"]
    trainer.history, trainer.curve = state["history"], state["curve"]
    trainer.ledger = Ledger(**state["ledger"])
    trainer.clock.seconds = dict(state["seconds"])
    trainer.precision = state["precision"]
    trainer.flops_sources = dict.fromkeys(state["flops_sources"]) | trainer.flops_sources
    trainer.read_from |= set(state["read_from"])
    if len(trainer.read_from) > 1:
        trainer.notes.append("bytes_read: of image files and of the cache, since residency changed within this run")
    trainer.sampler.set_state(state["sampler"])
    trainer.augmenter.set_state(state["augmenter"])
    own = state["ranks"][trainer.team.rank]
    torch.set_rng_state(own["torch"])
    if own["cuda"] is not None:
        torch.cuda.set_rng_state(own["cuda"], device)
    trainer.energy.resume(own["energy"])
