"""Several runs side by side: which differ in what, and what that shows. The function is `lossreg.compare`."""
