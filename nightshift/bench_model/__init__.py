"""Benchmarks of the model by production code: protocols over data, what takes part, one table."""
