"""Proof that a run which is broken off goes on as the same run; the function is `lossreg.verify_resume`."""
