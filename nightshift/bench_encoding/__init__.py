"""How fast texts become vectors: the tower of the night next to its peers, on the same texts."""
