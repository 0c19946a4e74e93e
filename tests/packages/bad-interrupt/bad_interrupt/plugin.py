"""A plugin at whose import somebody presses Ctrl-C."""

raise KeyboardInterrupt
