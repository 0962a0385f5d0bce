"""Fault campaign: a small grid of runs is disturbed in many ways, and compared with an undisturbed one."""
