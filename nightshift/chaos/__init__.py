"""Nights that go wrong on purpose: generated logs, the real scheduler, and a table of what came of each."""
