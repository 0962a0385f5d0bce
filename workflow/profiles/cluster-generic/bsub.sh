#!/bin/sh
# LSF's bsub, printing the number of the job alone, as the executor wants it.
bsub "$@" | sed -n 's/^Job <\([0-9]*\)>.*/\1/p'
