"""What looks at another shop's files and writes a first `mapping.toml` and `nightshift.toml` for them.

Here lives guessing, on a sample, without Spark: what it says is a proposal, which `nightshift check` tries on the logs.
"""
