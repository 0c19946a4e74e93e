"""From a batch to the number that training minimises, and the checks that its parts fit."""
