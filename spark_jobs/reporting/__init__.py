"""What people read of a night: the sections of its page, example users and hindsight, made from the tables."""
