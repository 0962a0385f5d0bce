"""Run as one of several ranks or alone: trains a spec and leaves what this rank ended with in <out>/<rank>.pt."""

import sys
from dataclasses import asdict
from pathlib import Path

import torch

from frugal.data.cache import open_cache
from frugal.spec import RunSpec
from frugal.training.distributed import join_team
from frugal.training.trainer import Trainer
from frugal.training.writer import metrics

if __name__ == "__main__":
    spec, cache, out = RunSpec.model_validate_json(sys.argv[1]), open_cache(Path(sys.argv[2])), Path(sys.argv[3])
    torch.set_num_threads(1)
    team, device, _ = join_team(spec.devices, torch.device("cpu"))
    trainer = Trainer(spec, cache, device, team=team)
    levels, plan = [], trainer.strategy.plan_epoch
    trainer.strategy.plan_epoch = lambda *a: (p := plan(*a), levels.append(p.level))[0]
    trainer.run()
    out.mkdir(parents=True, exist_ok=True)
    ended = {
        "losses": trainer.losses,
        "levels": levels,
        "model": trainer.model.state_dict(),
        "ledger": asdict(trainer.ledger),
        "curve": torch.cat(trainer.history.curve),
        "scores": trainer.strategy.sample_scores(),
        "metrics": metrics(trainer, "") if team.is_main else None,
    }
    torch.save(ended, out / f"{team.rank}.pt")
