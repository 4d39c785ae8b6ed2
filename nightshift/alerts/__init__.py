"""What people are told of the nights, in words: messages, and the banner on Airflow's home page."""
