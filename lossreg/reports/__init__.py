"""Pages on past runs: one HTML file that needs nothing else. The command is `lossreg report`."""
