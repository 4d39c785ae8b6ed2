"""What the DAGs share: operators, assets, retries, parameters. Imports nothing heavy, reads only the settings."""
