"""Studies of many samples: statistics that respect animals, tables, figures and words for a report."""
