"""Runs images on clusters through their own engines: Slurm, Ray and Kubernetes."""
