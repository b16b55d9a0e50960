"""Adds to a project of somebody else what lockstep needs."""
