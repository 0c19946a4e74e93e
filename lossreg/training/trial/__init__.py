"""One component by itself: built with its defaults and used once, outside of a run."""
