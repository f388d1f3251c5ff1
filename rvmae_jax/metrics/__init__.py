"""Numbers of the evaluations, in numpy."""
