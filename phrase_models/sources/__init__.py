"""Where songs come from: one source a folder."""
