"""The audit of a repository: rules, the engine that runs them, and the forms of its report."""
