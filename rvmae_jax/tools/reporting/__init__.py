"""What `tools/report` is made of: sections and tables of a page."""
