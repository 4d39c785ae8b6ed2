"""Whether this machine and this home are fit for a night: checks that look, and change nothing."""
