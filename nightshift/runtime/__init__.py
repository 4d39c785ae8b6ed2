"""The set-up of Spark, Airflow and MLflow, the environment that they run in, and runs of the DAGs from a terminal."""
