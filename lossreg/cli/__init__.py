"""The command line: one module per command. torch is imported only inside the commands that train or build."""
