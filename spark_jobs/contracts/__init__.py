"""What the parts agree on: columns, tables, settings, intervals, errors. Imports nothing heavy."""
