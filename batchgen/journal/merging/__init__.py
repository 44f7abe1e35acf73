"""Several journals made into one, and the marks that keep the ones that went into it from buying on."""
