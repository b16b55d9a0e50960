"""Differences between two environments, and what each can change."""
