"""Reports: what a notebook uses as `from frugal import report`, loaded at first use.

Tables are made by other files of this folder, which need neither matplotlib nor seaborn.
"""

from importlib import import_module

from frugal.errors import needs_extra

_HOME = {
    "load": ["history", "losses", "means", "notes", "panels", "read_study_of", "read_table"]
    + ["runs", "smooth", "summary", "trace"],
    "statistics": ["intervals", "paired", "t_interval"],
    "reported": ["exchange_rates", "read_reported", "savings", "setting", "strategies"],
    "sentences": [
        "against_controls",
        "exchanged",
        "headline",
        "realised_in_time",
        "reaching_the_target",
        "tell",
        "verdicts",
    ],
    "caveats": ["doubts"],
    "sweep_curves": ["sweeps"],
    "figures": ["clock", "curves", "differences", "stretched"],
    "cost_figures": ["exchange_curve", "exchange_forest", "line_of", "tradeoff"],
    "crossover": ["crossover_map", "what_it_holds", "where_it_pays"],
    "theme": ["KINDS", "lines", "palette", "save", "set_theme"],
    "display": ["say", "table"],
    "overview": ["Overview", "show_claims"],
    "known_outcomes": ["claim_verdicts"],
}
VEGA_LITE = "application/vnd.vegalite.v6+json"  # an output that is a chart to explore, as Jupyter names its kind
VEGA_LITE_VERSION = "6.4"
_MODULE = {name: module for module, names in _HOME.items() for name in names}
MODULES = tuple(f"frugal.report.{module}" for module in _HOME)  # all that the rendering of a notebook depends on
__all__ = sorted(_MODULE)  # noqa: PLE0605


def __getattr__(name: str) -> object:
    """A function for notebooks, from the file of this folder that has it. Raises FrugalError where a library is missing."""
    if name not in _MODULE:
        raise AttributeError(f"frugal.report has no {name!r}; it has {', '.join(__all__)}")
    with needs_extra("report", "reports"):
        return getattr(import_module(f"frugal.report.{_MODULE[name]}"), name)
