-- The number of the latest change. In the same transaction as the change: never used twice.
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL,
    -- Counts how often it was tried whether the file can be written again.
    proofs INTEGER NOT NULL DEFAULT 0
);
INSERT INTO meta (id, seq) VALUES (1, 0);

-- Numbers that were given after the copy was made from which this store was restored.
CREATE TABLE lost (
    after_seq INTEGER NOT NULL,
    until_seq INTEGER NOT NULL
);

-- What is filtered by comes first, what can be long comes last.
CREATE TABLE plays (
    -- The number of the change that made it: never used again, even where what was the play's is
    -- swept away long after the play itself.
    id INTEGER PRIMARY KEY,
    sid TEXT NOT NULL UNIQUE,
    seq INTEGER NOT NULL,
    status TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    created_at REAL NOT NULL,
    started_at REAL,
    completed_at REAL,
    duration_ms REAL,
    workflow_sid TEXT NOT NULL,
    version_sid TEXT NOT NULL,
    parent_play_sid TEXT,
    parent_span_id TEXT NOT NULL,
    retry_of TEXT,
    origin TEXT NOT NULL,
    depth INTEGER NOT NULL,
    pid INTEGER,
    process_started INTEGER,
    workflow_name TEXT NOT NULL,
    flow_name TEXT,
    idempotency_key TEXT,
    usage TEXT,
    skipped TEXT,
    -- Of the cause what lists show and are searched by: the rest of it can be long.
    cause_kind TEXT,
    cause_message TEXT,
    launch TEXT NOT NULL,
    cause TEXT,
    -- How often its process or its server died since anything was kept.
    recoveries INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX plays_by_status ON plays (status, sid);
-- What lists are filtered by, and counts are made of, is all in these two: no row is read that is not shown.
CREATE INDEX plays_by_workflow ON plays (workflow_sid, sid, depth, status, created_at, duration_ms);
CREATE INDEX plays_listed ON plays (sid, depth, status, created_at, duration_ms);
-- For whoever follows the list, and comes back to it.
CREATE INDEX plays_by_change ON plays (seq);
CREATE INDEX plays_by_parent ON plays (parent_play_sid, sid) WHERE parent_play_sid IS NOT NULL;
CREATE INDEX plays_by_end ON plays (completed_at, sid)
    WHERE parent_play_sid IS NULL AND completed_at IS NOT NULL;
CREATE UNIQUE INDEX plays_by_key ON plays (idempotency_key) WHERE idempotency_key IS NOT NULL;

-- Apart from the plays, so that a change of status does not rewrite megabytes. Either the text, or
-- the number of a value in parts.
CREATE TABLE play_inputs (
    play_id INTEGER PRIMARY KEY REFERENCES plays (id) ON DELETE CASCADE,
    value INTEGER,
    data TEXT,
    CHECK ((value IS NULL) <> (data IS NULL))
);
CREATE TABLE play_outputs (
    play_id INTEGER PRIMARY KEY REFERENCES plays (id) ON DELETE CASCADE,
    value INTEGER,
    data TEXT,
    CHECK ((value IS NULL) <> (data IS NULL))
);

-- What is too long for one transaction, in parts: written in several, before what refers to it.
CREATE TABLE parts (
    value INTEGER NOT NULL,
    ord INTEGER NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (value, ord)
);
-- Values to which rows refer, by their content: what is the same is kept once.
CREATE TABLE blobs (
    value INTEGER PRIMARY KEY,
    -- BLAKE3 of the text, 32 bytes.
    hash BLOB NOT NULL UNIQUE
);
-- Values to which no row refers: not yet, or no more. What is left of them is swept away.
CREATE TABLE loose (value INTEGER PRIMARY KEY);
CREATE INDEX inputs_by_value ON play_inputs (value) WHERE value IS NOT NULL;
CREATE INDEX outputs_by_value ON play_outputs (value) WHERE value IS NOT NULL;

-- Spans and logs are the bulk; their play_id is always read from plays in the same transaction, so
-- no foreign key is checked for each row.
CREATE TABLE spans (
    play_id INTEGER NOT NULL,
    ord INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    span_id TEXT NOT NULL,
    parent_id TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    start_ms REAL NOT NULL,
    end_ms REAL,
    tags TEXT,
    error TEXT,
    source_file TEXT,
    source_line INTEGER,
    rpc_service TEXT,
    rpc_method TEXT,
    child_play_sid TEXT,
    PRIMARY KEY (play_id, ord)
) WITHOUT ROWID;
CREATE INDEX spans_by_change ON spans (play_id, seq);

CREATE TABLE logs (
    play_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    span_id TEXT NOT NULL,
    ts_ms REAL NOT NULL,
    stream TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (play_id, seq)
) WITHOUT ROWID;
CREATE INDEX logs_by_span ON logs (play_id, span_id, seq);

-- Durable steps: begun, and what they came to. Each play's are read as a whole, before its next attempt.
CREATE TABLE steps (
    play_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    parent TEXT NOT NULL,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    args TEXT NOT NULL,
    function TEXT NOT NULL,
    span_id TEXT NOT NULL,
    start_ms REAL NOT NULL,
    end_ms REAL,
    raised INTEGER,
    -- Either the text, or the number of a value in parts, once it has come to its end.
    value INTEGER,
    data TEXT,
    PRIMARY KEY (play_id, key)
) WITHOUT ROWID;
CREATE INDEX steps_by_value ON steps (value) WHERE value IS NOT NULL;

-- What refers to values: one that is gone from it is loose.
CREATE VIEW referred (value) AS
    SELECT value FROM play_inputs WHERE value IS NOT NULL
    UNION ALL SELECT value FROM play_outputs WHERE value IS NOT NULL
    UNION ALL SELECT value FROM steps WHERE value IS NOT NULL;
CREATE TRIGGER blob_deleted AFTER DELETE ON blobs
BEGIN INSERT INTO loose (value) VALUES (old.value); END;
CREATE TRIGGER input_deleted AFTER DELETE ON play_inputs
WHEN old.value IS NOT NULL AND NOT EXISTS (SELECT 1 FROM referred WHERE value = old.value)
BEGIN DELETE FROM blobs WHERE value = old.value; END;
CREATE TRIGGER output_deleted AFTER DELETE ON play_outputs
WHEN old.value IS NOT NULL AND NOT EXISTS (SELECT 1 FROM referred WHERE value = old.value)
BEGIN DELETE FROM blobs WHERE value = old.value; END;
CREATE TRIGGER output_replaced AFTER UPDATE ON play_outputs
WHEN old.value IS NOT NULL AND old.value IS NOT new.value
    AND NOT EXISTS (SELECT 1 FROM referred WHERE value = old.value)
BEGIN DELETE FROM blobs WHERE value = old.value; END;
CREATE TRIGGER step_deleted AFTER DELETE ON steps
WHEN old.value IS NOT NULL AND NOT EXISTS (SELECT 1 FROM referred WHERE value = old.value)
BEGIN DELETE FROM blobs WHERE value = old.value; END;
CREATE TRIGGER step_replaced AFTER UPDATE ON steps
WHEN old.value IS NOT NULL AND old.value IS NOT new.value
    AND NOT EXISTS (SELECT 1 FROM referred WHERE value = old.value)
BEGIN DELETE FROM blobs WHERE value = old.value; END;

-- Steps that wait for a result from outside. Of plays that have not ended.
CREATE TABLE waits (
    play_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    span_id TEXT NOT NULL,
    created_at REAL NOT NULL,
    wake_at REAL,
    -- Whoever has it may answer.
    token TEXT,
    schema TEXT,
    ui TEXT,
    answer TEXT,
    -- The play whose end is waited for.
    child TEXT,
    PRIMARY KEY (play_id, key)
) WITHOUT ROWID;
CREATE INDEX waits_by_child ON waits (child) WHERE child IS NOT NULL;
-- Whoever looks through the open questions does it from the oldest on.
CREATE INDEX waits_asked ON waits (created_at) WHERE kind = 'ask';
CREATE INDEX waits_by_time ON waits (wake_at) WHERE wake_at IS NOT NULL;
CREATE UNIQUE INDEX waits_by_token ON waits (token) WHERE token IS NOT NULL;

-- Signals that came before anybody waited for them.
CREATE TABLE signals (
    play_id INTEGER NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (play_id, id)
) WITHOUT ROWID;

-- How many bytes the directory of a play that has ended holds; without a row it was not measured yet.
CREATE TABLE artifacts (
    play_id INTEGER PRIMARY KEY REFERENCES plays (id) ON DELETE CASCADE,
    bytes INTEGER NOT NULL
);

-- Plays that are gone, until what was theirs is swept away: first the spans and logs (emptied), then
-- the directory.
CREATE TABLE forgotten (
    play_id INTEGER PRIMARY KEY,
    sid TEXT NOT NULL UNIQUE,
    emptied INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX forgotten_by_state ON forgotten (emptied, play_id);

CREATE TABLE workflows (
    sid TEXT PRIMARY KEY NOT NULL,
    seq INTEGER NOT NULL UNIQUE,
    created_seq INTEGER NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    tags TEXT NOT NULL,
    current_version_sid TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);
CREATE UNIQUE INDEX workflows_by_name ON workflows (name) WHERE deleted = 0;

CREATE TABLE versions (
    sid TEXT PRIMARY KEY NOT NULL,
    workflow_sid TEXT NOT NULL REFERENCES workflows (sid) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    created_at REAL NOT NULL,
    source_file TEXT,
    flow_name TEXT,
    timeout_ms INTEGER,
    limits TEXT NOT NULL,
    on_interrupt TEXT NOT NULL,
    env TEXT NOT NULL,
    signature TEXT,
    inputs TEXT NOT NULL,
    outputs TEXT NOT NULL,
    nodes TEXT NOT NULL,
    edges TEXT NOT NULL,
    python_source TEXT NOT NULL,
    UNIQUE (workflow_sid, number)
);
