"""Registries: what the OCI distribution spec 1.1 says, read and written.

`Repository(Client(), Reference.parse("python:3.11-slim"))` is where to start.
"""
