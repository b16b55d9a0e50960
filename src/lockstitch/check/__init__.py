"""The audit of a repository that trains or serves models: its rules, and the readers they use."""
