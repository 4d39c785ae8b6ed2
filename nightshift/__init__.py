"""How people start things: whatever prepares, runs or shows the system, and nothing that a night's step needs."""
