"""What runs once a session or row of an experiment, compiled. numba notices changes of a function's own file alone."""
