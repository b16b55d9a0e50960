"""Finds secrets in text: patterns of our own, and scanners of others. Never shows one."""
