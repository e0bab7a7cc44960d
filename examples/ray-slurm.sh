#!/usr/bin/env bash
# A study on a cluster of Ray that Slurm starts: one head, and a worker on every other node.
#   sbatch examples/ray-slurm.sh study.toml
#SBATCH --job-name=isomorph-ray
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=04:00:00
set -euo pipefail
study=${1:?which study file?}
head=$(hostname)
port=6379

ray start --head --node-ip-address="$head" --port=$port --num-cpus="$SLURM_CPUS_PER_TASK" --include-dashboard=false
trap 'ray stop' EXIT
if [ "$SLURM_NNODES" -gt 1 ]; then
  srun --nodes=$((SLURM_NNODES - 1)) --ntasks=$((SLURM_NNODES - 1)) --exclude="$head" \
    ray start --address="$head:$port" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
  sleep 20 # nodes report themselves
fi
RAY_ADDRESS="$head:$port" isomorph run "$study" --on ray
