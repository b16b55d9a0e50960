"""Compose files and the services in them."""
