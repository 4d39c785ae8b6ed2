"""The model of Nightshift: item tower, user encoder, ranker, and the scoring kernel. No Spark in here."""
