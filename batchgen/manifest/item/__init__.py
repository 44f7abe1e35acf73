"""From a request to an item: checked, named, priced, given a digest and a path."""
