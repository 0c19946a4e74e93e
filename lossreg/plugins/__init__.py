"""How plugins are found, checked and loaded: from installed distributions, and from files that a user names."""
