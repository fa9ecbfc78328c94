"""Flows say when: which stages run, and in which order. They import prefect and tasks only."""
