"""What is no test here."""

#: Programs of several processes, which import for a second what no other test needs.
collect_ignore = ["sharded.py", "together.py"]
