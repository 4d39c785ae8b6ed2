"""How work reaches Spark: the one session, its environment, what is sent to the executors, and a step's entry point."""
