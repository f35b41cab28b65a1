"""What counting costs: a Prefect server with a database of our own making, measured on it."""
