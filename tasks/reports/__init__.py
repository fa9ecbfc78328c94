"""What a store has measured, in tables, sweeps and releases."""
