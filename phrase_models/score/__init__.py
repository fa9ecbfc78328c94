"""Songs as frozen values, their files, their time grid and their key; no torch."""
