"""Programs for other interpreters: in images and in bases. Standard library only."""
