"""Secrets in files, history and images of a repository."""
