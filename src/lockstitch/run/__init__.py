"""Runs what an image runs, from the lock, on this machine or in the image."""
