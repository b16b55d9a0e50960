"""Which of the things that moved between two environments moves a number: by experiment."""
