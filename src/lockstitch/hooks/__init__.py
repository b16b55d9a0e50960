"""Hooks of repositories: what is known of them, and what their revisions name."""
