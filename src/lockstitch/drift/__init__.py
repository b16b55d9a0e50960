"""What an environment is, what moved between two of them, and what that can change."""
