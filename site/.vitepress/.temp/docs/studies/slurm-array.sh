#!/bin/bash
#SBATCH --job-name=pmoe-study
#SBATCH --cpus-per-task=2
#SBATCH --mem=4G
#SBATCH --time=04:00:00
#SBATCH --output=pmoe-%A_%a.log
# One cell a task. `pmoe study plan NAME` says how many there are:
#   sbatch --array=0-299%40 slurm-array.sh fig4 /shared/fig4 --backend tensorflow
set -euo pipefail
name=$1
out=$2
shift 2
export TF_NUM_INTRAOP_THREADS=${SLURM_CPUS_PER_TASK:-1}
# A failed cell is recorded in the folder; the array goes on either way.
npx pmoe study run "$name" --cell "$SLURM_ARRAY_TASK_ID" --out "$out" "$@"
