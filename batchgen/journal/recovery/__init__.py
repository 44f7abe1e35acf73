"""Journal and receipts compared at each opening, and one rebuilt from the other."""
