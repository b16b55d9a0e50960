"""Configurations of hooks, and facts about public hooks."""
