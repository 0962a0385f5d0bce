"""Followed strategies: which one a control follows, and that there can be such a run."""

from frugal.errors import FrugalError
from frugal.spec import StudyConfig


def check_followed(study: StudyConfig, strategies: list[str], one_job: bool, where: str) -> None:
    """Raise FrugalError for a control that follows itself, or a strategy that isn't there.

    strategies: those of the scale; one_job: whether all of them are trained by one job, which makes no others; where: in the
    config, for the message. A followed strategy that the study doesn't know is told elsewhere.
    """
    for name in strategies:
        followed, path = study.strategies[name].follows, [name]
        if one_job and followed in study.strategies and followed not in strategies:
            raise FrugalError(
                f"{where}: {name} follows {followed}, which is not among the strategies; add it, or set grouped: false"
            )
        while followed in study.strategies:
            path.append(followed)
            if followed in path[:-1]:
                raise FrugalError(
                    f"{where}: {' follows '.join(path)}; a control follows a strategy that doesn't follow it"
                )
            followed = study.strategies[followed].follows
