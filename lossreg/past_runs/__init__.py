"""What pictures, pages and comparisons have in common: finding past runs, and telling them apart."""
