"""The plugin `builtin` of lossreg: the components that come with it."""
