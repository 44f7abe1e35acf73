CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- Every item that was ever asked for, as it was bought. (id, digest) is its identity: an edited item is another row.
CREATE TABLE item (
  key       INTEGER PRIMARY KEY,
  id        TEXT NOT NULL,
  digest    TEXT NOT NULL,
  model     TEXT NOT NULL,
  body      TEXT NOT NULL,
  tags      TEXT NOT NULL,
  path      TEXT NOT NULL,
  source    TEXT NOT NULL,
  estimated TEXT NOT NULL,
  inputs    TEXT NOT NULL,
  state     TEXT NOT NULL DEFAULT 'pending',
  attempts  INTEGER NOT NULL DEFAULT 0,  -- the number of the last attempt
  listed    INTEGER,                     -- position in the manifest that was read last; NULL: asked for no longer
  UNIQUE (id, digest)
);
CREATE INDEX item_pending ON item (listed) WHERE state = 'pending' AND listed IS NOT NULL;
CREATE INDEX item_unsettled ON item (state) WHERE state IN ('submitting', 'processing', 'ready', 'in_doubt');

-- One row for each POST that cost money, may have done so, or was refused for good; it is there before the POST leaves.
CREATE TABLE attempt (
  key           INTEGER PRIMARY KEY,
  item          INTEGER NOT NULL REFERENCES item (key),
  number        INTEGER NOT NULL,
  state         TEXT NOT NULL DEFAULT 'submitting',
  estimated     TEXT NOT NULL,
  charged       TEXT,
  refunded      TEXT,
  job_id        TEXT,
  account       TEXT NOT NULL,
  tables        TEXT NOT NULL,
  submitted_at  INTEGER NOT NULL,
  accepted_at   INTEGER,
  completed_at  INTEGER,
  refunded_at   INTEGER,
  expires_at    INTEGER,
  took_ms       INTEGER,  -- from acceptance to the end of the job, by the provider's clock where it says so
  inference_ms  INTEGER,
  polls         INTEGER NOT NULL DEFAULT 0,
  error_type    TEXT,
  error_message TEXT,
  answer        BLOB,     -- the bytes of the answer to the POST, bounded
  UNIQUE (item, number)
);

CREATE TABLE output (
  attempt INTEGER NOT NULL REFERENCES attempt (key),
  number  INTEGER NOT NULL,
  url     TEXT NOT NULL,
  path    TEXT,      -- NULL until the file is renamed, fsynced and hashed
  bytes   INTEGER,
  sha256  TEXT,
  PRIMARY KEY (attempt, number)
) WITHOUT ROWID;
CREATE INDEX output_path ON output (path) WHERE path IS NOT NULL;
