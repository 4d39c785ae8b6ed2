"""What scoring and embedding do on the executors, and what travels there.

Here lives what a night and an evaluation share: histories from events, the package of a worker, and the functions that
run inside pandas UDFs. The steps are `embed_items`, `score_users` and `evaluate`.
"""
