"""Tasks introduce the science to the disk: one module a stage. MLflow is met in tracking.py only."""
