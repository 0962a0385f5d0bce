"""`devices` in the config: the run's identity, and what starts it."""

import re


def test_several_devices_are_started_by_torchrun_and_one_is_not(fresh):
    for devices, launcher in (
        (2, "torchrun --standalone --nproc-per-node 2 --signals-to-handle \\S+ scripts/train.py"),
        (1, "python scripts/train.py"),
    ):
        done = fresh.snakemake("-n", "-p", config=(f"devices={devices}", "studies=[compression]"))
        assert done.returncode == 0, done.stderr
        assert re.search(f"Shell command: exec {launcher} --spec", done.stdout + done.stderr)
