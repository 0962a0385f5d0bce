#!/bin/sh
# properties = {properties}
# A scheduler ends a job with SIGTERM to all of its processes; a shell that died of it would take the job with it.
trap : TERM
{exec_job}
