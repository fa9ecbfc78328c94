"""A small composer of songs shaped like POP909's."""
