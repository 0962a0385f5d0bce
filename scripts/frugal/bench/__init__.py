"""What `make bench` measures on the machine it runs on: ratios within one run, next to the target each has to meet."""
