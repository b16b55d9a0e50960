"""What layers hold, one kind a module."""
