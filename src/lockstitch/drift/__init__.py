"""What changed between two environments, and what that can change."""
