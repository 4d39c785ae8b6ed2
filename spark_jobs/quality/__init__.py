"""The gates: expectations of the data before a night is scored, and the audit of its lists before it is published.

Here lives what measures tables, what judges the measures, and what keeps the results. The steps are `validate` and
`publish`.
"""
