"""Commands around training: prepare, doctor, benchmark, report."""
