"""Turns the remote hooks of an existing configuration into local ones, or pins them."""
