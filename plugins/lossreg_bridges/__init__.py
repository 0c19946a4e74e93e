"""What the bridges to other packages have in common: their indexes, and how these are made."""
