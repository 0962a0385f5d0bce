"""Energy of a run in joules, measured by zeus. Without a meter it is null with the reason, never 0 and never a partial sum."""

import io
from contextlib import redirect_stdout
from typing import Any

import torch

from frugal.errors import in_one_line
from frugal.measure.meters import Meter, meters_of

NONE = "no meter"  # how `source` begins where there are no joules


class Energy:
    """Joules used between `start` and `stop`, summed over several such windows.

    joules: None without a meter; source: the parts that are metered and by what, or why there is nothing; host: whether
    meters of CPU and DRAM count here, or in another process of the same run. A meter that fails ends the measurement and
    never the training: joules are None from then on.
    """

    def __init__(self, device: torch.device, host: bool = True):
        self.joules: float | None = None
        self.open = False
        self.monitor, self.meters, self.source = _monitor(device, host)
        self._here = self.source  # of this machine, where `source` may be that of an earlier one until training goes on

    def start(self) -> None:
        """Open a window. Where other meters measured before, or none, the sum would be of different things: no joules then."""
        if self._here != self.source:
            self._give_up(f"the run was resumed under other meters (before: {self.source}; then: {self._here})")
        if self.monitor:
            try:
                self.monitor.begin_window("training")
                self.open = True
            except Exception as error:
                self._give_up(f"zeus failed to open a window ({in_one_line(error)})")

    def pause(self) -> bool:
        """Close the window if one is open, for what is measured so far to be saved; returns whether to start again."""
        was_open = self.open
        self.stop()
        return was_open

    def stop(self) -> None:
        """Close the window, where one is open, and add its joules."""
        if not self.open:
            return
        self.open = False
        try:
            window = self.monitor.end_window("training")
            parts = {meter.name: meter.read(window) for meter in self.meters}
        except Exception as error:
            self._give_up(f"zeus failed to close a window ({in_one_line(error)})")
            return
        if missing := [name for name, joules in parts.items() if joules is None]:
            self._give_up(f"{missing[0]} gave no reading")
            return
        self.joules = (self.joules or 0.0) + float(sum(parts.values()))

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, and what ranks tell each other."""
        return {"joules": self.joules, "source": self.source}

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from what was measured before."""
        if state["joules"] is not None or state["source"].startswith(NONE):
            self.joules, self.source = state["joules"], state["source"]

    def together(self, ranks: list[dict[str, Any]]) -> float | None:
        """Joules of all ranks of a run, by the state of each, the leader's first: only it has meters of CPU and DRAM.

        None where one of them has no reading of its GPU and the leader has.
        """
        leader, *others = ranks
        gpus = [rank for rank in others if "GPU" in leader["source"]]
        if leader["joules"] is not None and any(rank["joules"] is None for rank in gpus):
            self._give_up(next(rank["source"] for rank in gpus if rank["joules"] is None).removeprefix(f"{NONE}: "))
            return None
        return None if leader["joules"] is None else sum(rank["joules"] or 0.0 for rank in ranks)

    def _give_up(self, why: str) -> None:
        self.monitor, self.joules, self.open = None, None, False
        self.source = self._here = f"{NONE}: {why}"


def _monitor(device: torch.device, host: bool) -> tuple[Any, list[Meter], str]:
    """A zeus monitor, the meters of it that count and their names; or None, none and the reason."""
    try:
        found = meters_of(device, host)
    except ImportError as error:
        return None, [], f"{NONE}: zeus can't be imported ({error})"
    except Exception as error:
        return None, [], f"{NONE}: zeus failed to look for one ({in_one_line(error)})"
    if not found.meters:
        return None, [], f"{NONE} on this machine: " + ("; ".join(found.why) or "another process of this run has it")
    try:
        with redirect_stdout(io.StringIO()):
            from zeus.monitor import ZeusMonitor  # slow to import, so only where it will be used

            monitor = ZeusMonitor(gpu_indices=found.gpus, cpu_indices=found.cpus)
    except Exception as error:
        return None, [], f"{NONE}: zeus failed to open it ({in_one_line(error)})"
    return monitor, found.meters, "zeus: " + ", ".join(meter.name for meter in found.meters)
