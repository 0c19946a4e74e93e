"""Configurations of other programs, read as settings of lossreg and written from them; no name in them is imported."""
