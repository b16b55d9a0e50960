"""What rules of more than one family know of projects and images."""
