"""The local stack: PostgreSQL, an S3 store and MLflow, started and kept running without Docker."""
