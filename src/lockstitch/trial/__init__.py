"""Starts an image on this machine without a container engine, and says what it lacks."""
