"""Data parallel: several processes, one per device, train one model on shares of the same batches.

The global batch is the recipe's. Every rank holds the same order of the epoch and takes every n-th position of each batch,
so shares differ by one sample at most and hold the same mix of levels. Gradients and per-sample losses are summed in one
message, so that all ranks take the same step and hold the same losses, and a strategy decides the same everywhere.
torchrun starts the processes; without it a run is a team of one, for which nothing here costs anything. One rank that torchrun
started sends its messages to itself, so that a machine with one GPU can try all of this.
"""

import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn

from frugal.errors import FrugalError
from frugal.training.batches import Epoch
from frugal.training.signals import die_with_parent

PATIENCE = timedelta(minutes=30)  # with a rank that is slow, such as one that waits for a disk


@dataclass(frozen=True)
class Team:
    """This process's place among those of its run. control: the group for messages between hosts, beside the devices'."""

    rank: int = 0
    size: int = 1
    control: Any = None

    @property
    def is_main(self) -> bool:
        """Whether this rank writes checkpoints and records."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there is nobody to talk to: one process that torchrun did not start."""
        return self.size == 1 and self.control is None

    def share(self, epoch: Epoch) -> Epoch:
        """This rank's part of every batch of an epoch; raises FrugalError where a batch has fewer samples than ranks."""
        if self.alone:
            return epoch
        smallest = min(stop - start for start, stop in epoch.bounds)
        if smallest < self.size:
            raise FrugalError(
                f"a batch of {smallest} samples can't be shared by {self.size} devices; lower devices or keep more samples"
            )
        picked, bounds, at = [], [], 0
        for start, stop in epoch.bounds:
            picked.append(torch.arange(start + self.rank, stop, self.size))
            bounds.append((at, at + len(picked[-1])))
            at += len(picked[-1])
        places = torch.cat(picked).to(epoch.order.device)
        segments = epoch.segments and [self._segments(batch) for batch in epoch.segments]
        weight = None if epoch.weight is None else epoch.weight[places]
        return Epoch(epoch.order[places], weight, bounds, segments, epoch.observed)

    def _segments(self, batch: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
        def mine(before: int) -> int:  # how many of this rank's positions come before that one
            return max(0, -(-(before - self.rank) // self.size))

        return [(k, mine(a), mine(b)) for k, a, b in batch if mine(b) > mine(a)]

    def combine(
        self, parameters: Iterable[nn.Parameter], seen: Tensor, correct: Tensor, whole: int
    ) -> tuple[Tensor, Tensor]:
        """Sum the gradients of the ranks in place; returns losses and hits (0 or 1) of the whole batch, (whole,) each.

        seen, correct: of this rank's share. The ranks' losses are divided by the whole batch's size before they are
        back-propagated, so this sum is the mean's gradient exactly, however the shares differ.
        """
        if self.alone:
            return seen, correct
        with_gradient = [p for p in parameters if p.grad is not None]
        both = seen.new_zeros(2, whole)
        both[0, self.rank :: self.size] = seen
        both[1, self.rank :: self.size] = correct.to(seen.dtype)
        message = torch.cat([*(p.grad.flatten() for p in with_gradient), both.flatten()])
        distributed.all_reduce(message)
        at = 0
        for parameter in with_gradient:
            parameter.grad.copy_(message[at : at + parameter.numel()].view_as(parameter))
            at += parameter.numel()
        losses, hits = message[at:].view(2, whole)
        return losses, hits

    def total(self, *numbers: float) -> list[float]:
        """Each number summed over the ranks; integers stay exact up to 2**53."""
        if self.alone:
            return list(numbers)
        message = torch.tensor(numbers, dtype=torch.float64)
        distributed.all_reduce(message, group=self.control)
        return [type(n)(total) for n, total in zip(numbers, message.tolist(), strict=True)]

    def agree(self, number: int | None, due: bool) -> tuple[int | None, bool]:
        """What every rank does after this step: the signal that any of them got, and whether the leader's save is due."""
        if self.alone:
            return number, due
        message = torch.tensor([number or 0, int(due and self.is_main)])
        distributed.all_reduce(message, distributed.ReduceOp.MAX, group=self.control)
        number, due = message.tolist()
        return number or None, bool(due)

    def gather(self, own: Any) -> list[Any]:
        """Every rank's object, in their order."""
        if self.alone:
            return [own]
        everyone = [None] * self.size
        distributed.all_gather_object(everyone, own, group=self.control)
        return everyone

    def from_main(self, own: Any) -> Any:
        """The leader's object."""
        return own if self.alone else self.gather(own)[0]

    def prepare(self, model: nn.Module, device: torch.device) -> tuple[nn.Module, str | None]:
        """Batch normalisation over the whole batch on GPUs; a note for the record where it is over the shares."""
        if self.alone or not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules()):
            return model, None
        if device.type == "cuda":
            return nn.SyncBatchNorm.convert_sync_batchnorm(model), "batch normalisation: over the whole batch"
        return model, "batch normalisation: each rank over its share of a batch; running averages are those of rank 0"


def join_team(devices: int, device: torch.device) -> tuple[Team, torch.device, list[str]]:
    """Join the processes that torchrun started; returns the team, this rank's device, and notes for the record.

    Raises FrugalError where the number of processes is not the run's number of devices, or exceeds the machine's GPUs.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != devices:
        raise FrugalError(
            f"the run has devices: {devices}, but {started} process(es) were started; start it with "
            f"torchrun --standalone --nproc-per-node {devices} scripts/train.py ..., or through snakemake"
        )
    if devices == 1 and not distributed.is_torchelastic_launched():
        return Team(), device, []
    die_with_parent(signal.SIGKILL)  # where torchrun is killed, they must not go on writing into a run started again
    local = int(os.environ["LOCAL_RANK"])
    if device.type == "cuda":
        if local >= torch.cuda.device_count():
            raise FrugalError(
                f"devices is {devices}, but this machine has {torch.cuda.device_count()} GPU(s); lower it"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)
    control = distributed.new_group(backend="gloo", timeout=PATIENCE)
    team = Team(distributed.get_rank(), devices, control)
    return team, device, [f"devices {devices}: each batch is shared among them, through {backend}"]
