"""Configurations of hooks, and what is known of public hooks."""
