"""A person's own files as data sets: folders of pictures, tables and archives of arrays."""
