"""The fault campaign: a small grid is disturbed in every way that we know of, and its records held against undisturbed ones."""
