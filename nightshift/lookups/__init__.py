"""What the tables answer: one module a question, each from the settings to a frozen dataclass. Needs no Spark."""
