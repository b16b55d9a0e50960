"""Runs an image's command, from the lock, on this machine or in the image."""
