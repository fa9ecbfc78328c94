"""The disk: our own formats. Knows no model and no music."""
