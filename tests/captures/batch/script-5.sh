#!/usr/bin/env bash

#SBATCH -J dask-worker
#SBATCH -e /data/joblogs/dask-worker-%J.err
#SBATCH -o /data/joblogs/dask-worker-%J.out
#SBATCH -p regular
#SBATCH -n 1
#SBATCH --cpus-per-task=1
#SBATCH --mem=287M
#SBATCH -t 00:30:00
#SBATCH --begin=now+1hour

/data/venv/bin/python -m distributed.cli.dask_worker tcp://127.0.0.1:34513 --name queued-0 --nthreads 1 --memory-limit 286.10MiB --nanny --death-timeout 60
