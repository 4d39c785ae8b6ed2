"""`nightshift plan`: how long a night of any shop would take, with how much memory, and what it would cost."""
