"""Fault campaign: a small grid of runs is disturbed in every way that we know of, and compared with an undisturbed one."""
