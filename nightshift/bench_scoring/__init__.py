"""How fast the scoring kernel is, next to its peers and to what the machine can multiply at all."""
