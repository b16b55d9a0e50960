"""Adds to a project of somebody else what lockstitch needs."""
