"""What runs jobs: this machine, Slurm, Ray."""
