"""A page to look at and listen to: piano rolls, similarity matrices, a small synthesiser."""
