"""Projects made of a model that MLflow saved: where it is, what it says, what serves it."""
