"""What else knows of purchases, beside a run folder's own books: other run folders and ledgers, the register of runs,
the folder's ledger and files.
"""
