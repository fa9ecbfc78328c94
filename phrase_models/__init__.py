"""The science: scores, tokens, networks, metrics. Knows no prefect, mlflow, pyarrow or storage."""
