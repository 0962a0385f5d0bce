#!/bin/sh
# What became of a job: running, success or failed, as the executor asks. A job that its scheduler has forgotten, failed.
set -u
if command -v squeue > /dev/null; then
    case $(squeue --noheader --states=all --jobs="$1" --format=%T 2> /dev/null) in
        COMPLETED) echo success ;;
        PENDING | CONFIGURING | RUNNING | COMPLETING | SUSPENDED | STOPPED | REQUEUED | PREEMPTED) echo running ;;
        *) echo failed ;;
    esac
elif command -v bjobs > /dev/null; then
    case $(bjobs -noheader -o stat "$1" 2> /dev/null) in
        DONE) echo success ;;
        PEND | RUN | PSUSP | USUSP | SSUSP | PROV | WAIT | UNKWN) echo running ;;
        *) echo failed ;;
    esac
else
    job=$(qstat -x -f "$1" 2> /dev/null)
    case $job in
        *"job_state = F"*"Exit_status = 0"* | *"Exit_status = 0"*"job_state = F"*) echo success ;;
        *"job_state = F"* | "") echo failed ;;
        *) echo running ;;
    esac
fi
