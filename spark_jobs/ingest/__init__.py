"""How logs become rows: what has landed, raw records, the rules for events and for items.

Here lives what turns a shop's files into `events`, `items` and their quarantine; the steps are `land_events` and
`clean_events`.
"""
