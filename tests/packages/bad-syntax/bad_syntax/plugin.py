"""A plugin with a fault."""

def lossreg_losses(:
