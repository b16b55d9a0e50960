"""Reads Dockerfiles, and tells what the images that they build hold and start."""
