"""What runs stages: looked up, done on a miss, tracked; plainly or as Prefect tasks."""
