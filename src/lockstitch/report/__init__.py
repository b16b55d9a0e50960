"""One page of all that is known of a project's environment."""
