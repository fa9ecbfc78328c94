"""Tasks introduce the science to the disk, a module a stage; MLflow is met in tracking.py only."""
