"""How a name becomes an object: registries of components, their parameters, and the way to build one."""
