"""The command `nightshift`: one module a command or group; what it tells comes from `nightshift.lookups`.

The modules import nothing heavy: Arrow, Spark and torch come inside the commands, so that `--help` takes a moment.
"""
