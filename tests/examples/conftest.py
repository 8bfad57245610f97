"""What pytest leaves alone: programs for other interpreters."""

collect_ignore = ["run_dags.py"]
