"""Inputs from files, tables and pictures: read in the same way for training and for predictions."""
