"""The steps of a night: one module per step, named after it."""
