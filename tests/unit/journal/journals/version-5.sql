CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- Every item that was ever requested, as it was bought. (id, digest) is its identity: an edited item is another row.
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
  position  INTEGER,                     -- in the order of buying; NULL: not in the manifest that was read last
  blocked   INTEGER NOT NULL DEFAULT 0,  -- how many outputs of other items it still needs
  reason    TEXT,                        -- why it is skipped, or stays pending
  expect    TEXT,                        -- the checks of what is delivered, a JSON object; NULL: none
  variables TEXT,                        -- those of matrix and row that it uses, a JSON object; NULL: none
  UNIQUE (id, digest)
);
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
  catalog_version TEXT NOT NULL,
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
  purchase      TEXT NOT NULL,     -- random: its name in the receipts
  reserved      TEXT NOT NULL,     -- what is counted while it is on its way or in doubt, USD
  price_key     TEXT NOT NULL DEFAULT '',  -- the model and the parameters that price it
  named_price   TEXT,              -- the last price that the API itself named, USD
  surplus       TEXT NOT NULL DEFAULT '0',     -- by how much it named a higher price before, USD
  confirmed     INTEGER NOT NULL DEFAULT 0,    -- whether an answer has confirmed what it costs
  misses        INTEGER NOT NULL DEFAULT 0,  -- answers that said it is unknown, since it was last seen
  missed_ms     INTEGER NOT NULL DEFAULT 0,  -- for how long it was polled while they came
  inputs        TEXT NOT NULL DEFAULT '[]',  -- the outputs of other items that were sent, see `chains`
  scale         TEXT,  -- the size that a simulator draws in, as a part of what was ordered; NULL: no simulator says so
  UNIQUE (item, number)
);

CREATE INDEX attempt_job ON attempt (job_id) WHERE job_id IS NOT NULL;
CREATE UNIQUE INDEX attempt_purchase ON attempt (purchase);
CREATE INDEX attempt_lost ON attempt (key) WHERE state = 'lost';
CREATE INDEX attempt_fewer ON attempt (key) WHERE error_type = 'fewer_outputs';


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

-- Which receipts there were, and how many bytes of them, at this commit (one row). Generation 0: none yet.
CREATE TABLE vouched (
  run_id     TEXT NOT NULL,     -- random: the same in copies of one run folder only
  generation INTEGER NOT NULL,
  bytes      INTEGER NOT NULL,
  sha256     TEXT NOT NULL,
  -- How many attempts there are, and how many with a job: shows whether two copies were mixed (`integrity`).
  attempts   INTEGER NOT NULL,
  accepted   INTEGER NOT NULL
);
INSERT INTO vouched SELECT lower(hex(randomblob(8))), 0, 0, '', COUNT(*), COUNT(job_id) FROM attempt;
CREATE TRIGGER attempt_begun AFTER INSERT ON attempt BEGIN
  UPDATE vouched SET attempts = attempts + 1, accepted = accepted + (NEW.job_id IS NOT NULL);
END;
CREATE TRIGGER attempt_accepted AFTER UPDATE OF job_id ON attempt BEGIN
  UPDATE vouched SET accepted = accepted + (NEW.job_id IS NOT NULL) - (OLD.job_id IS NOT NULL);
END;
CREATE TRIGGER attempt_dropped AFTER DELETE ON attempt BEGIN
  UPDATE vouched SET attempts = attempts - 1, accepted = accepted - (OLD.job_id IS NOT NULL);
END;


-- Files that are to be moved, since their purchase was given to another item (`renames`).
CREATE TABLE move (
  attempt INTEGER NOT NULL REFERENCES attempt (key),
  number  INTEGER NOT NULL,
  target  TEXT NOT NULL,  -- relative to the run folder
  PRIMARY KEY (attempt, number)
) WITHOUT ROWID;


-- Which outputs of other items (`source`) requested items need: derived from their `inputs`, see `chains`.
CREATE TABLE dependency (
  dependant INTEGER NOT NULL REFERENCES item (key) ON DELETE CASCADE,
  parameter TEXT NOT NULL,
  source    INTEGER REFERENCES item (key) ON DELETE SET NULL,  -- NULL: it is not in this run folder
  output    INTEGER NOT NULL,  -- from 1; 0: the one that a person picks
  PRIMARY KEY (dependant, parameter)
) WITHOUT ROWID;
CREATE INDEX dependency_source ON dependency (source);
CREATE INDEX item_chained ON item (key) WHERE inputs <> '[]';
CREATE INDEX item_blocked ON item (key) WHERE blocked <> 0;
CREATE INDEX item_skipped ON item (id, digest) WHERE state = 'skipped';
CREATE INDEX item_pending ON item (position) WHERE state = 'pending' AND position IS NOT NULL AND blocked = 0;


-- What a file is, and what was found about it (`delivered`); a file that is not here was never looked at.
CREATE TABLE delivered (
  attempt     INTEGER NOT NULL REFERENCES attempt (key),
  number      INTEGER NOT NULL,  -- of the output
  sha256      TEXT NOT NULL,     -- of the file that was looked at; the output may have another one by now
  width       INTEGER,
  height      INTEGER,
  duration_ms INTEGER,
  frame_rate  TEXT,              -- frames per second, as in 25 or 30000/1001
  codec       TEXT,
  sound       INTEGER,           -- NULL: not a video
  c2pa        INTEGER,
  look        TEXT,              -- perceptual hash, hexadecimal; NULL until it is decoded
  judged      INTEGER NOT NULL DEFAULT 0,
  flags       TEXT NOT NULL DEFAULT '',  -- separated by ;
  PRIMARY KEY (attempt, number)
) WITHOUT ROWID;
CREATE INDEX delivered_unjudged ON delivered (attempt, number) WHERE judged = 0;
CREATE INDEX delivered_flagged ON delivered (attempt, number) WHERE flags <> '';
-- What is expected of an item has changed: what it got is judged anew.
CREATE TRIGGER expect_changed AFTER UPDATE OF expect ON item WHEN OLD.expect IS NOT NEW.expect BEGIN
  UPDATE delivered SET judged = 0 WHERE attempt IN (SELECT key FROM attempt WHERE item = NEW.key);
END;

