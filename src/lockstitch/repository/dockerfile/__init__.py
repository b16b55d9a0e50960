"""Dockerfiles and the images that they build."""
