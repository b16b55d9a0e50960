"""What a repository says, read and understood, one subject a folder; knows no rule."""
