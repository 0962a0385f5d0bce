"""Widths that a followed run ended with, from the columns `width_<group>` of its history.csv."""

from frugal.errors import FrugalError
from frugal.pruning.groups import Group

COLUMN = "width_"


def final_widths(strategy: str, followed: list[dict[str, float]] | None, groups: list[Group]) -> dict[str, int]:
    """By group; raises FrugalError where no run is followed, it pruned nothing, or it pruned another model than this."""
    if not followed:
        raise FrugalError(f"{strategy} repeats the widths of another run; name that strategy with `follows:`")
    widths = {key.removeprefix(COLUMN): int(n) for key, n in followed[-1].items() if key.startswith(COLUMN)}
    if not widths:
        raise FrugalError(
            f"{strategy} repeats the widths of a run that prunes, but the one it follows has no columns {COLUMN}* in its "
            "history.csv; follow a strategy that uses dynamic_pruning"
        )
    full = {group.name: group.units for group in groups}
    if widths.keys() != full.keys() or any(not 1 <= widths[name] <= full[name] for name in full):
        raise FrugalError(
            f"{strategy}: the followed run has widths {widths}, which don't fit this model's {full}; follow a run of the same "
            "model"
        )
    return widths
