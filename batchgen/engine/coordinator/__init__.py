"""What runs beside the run folder: it grants, records what workers tell, and takes over from those that are gone."""
