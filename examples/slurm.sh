#!/usr/bin/env bash
# A study in 16 shares on Slurm, without Ray: each share is a process of its own, and they meet in the store only.
#   sbatch examples/slurm.sh study.toml
# Give the study a folder that all nodes see, or features in an object store (features = "s3://bucket/features").
#SBATCH --job-name=isomorph
#SBATCH --array=1-16
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=04:00:00
#SBATCH --requeue
set -euo pipefail
study=${1:?which study file?}
export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK

# Ranges of items first, then steps. A share that finds features of others missing says so and ends with 0: the array
# is submitted a second time for the steps (sbatch --dependency=afterany:$SLURM_ARRAY_JOB_ID), and whatever is still
# missing then is done by the run without a share, which writes the page:
#   isomorph run study.toml
isomorph run "$study" --shard "$SLURM_ARRAY_TASK_ID/16"
