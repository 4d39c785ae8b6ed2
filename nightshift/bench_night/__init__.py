"""`nightshift bench-night`: a seeded shop, a night of it by the steps of the DAG without Airflow, time and memory."""
