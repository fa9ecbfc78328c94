"""Binomial diffusion (Atassi 2023): songs as piano rolls of noised cells."""
