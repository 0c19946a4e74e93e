"""Loss, optimizer, parameter groups and schedule for other trainers: `lossreg.parts`."""
