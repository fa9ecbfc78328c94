"""Binomial diffusion (Atassi 2023): songs as binary piano rolls, whose cells are noised by chance."""
