"""Flows say when: the order and the gates of the stages. They import prefect and tasks only."""
