-- Instants are nanoseconds since the Unix epoch on the ledger's clock; states are the numbers of RecipientState.

CREATE TABLE ledger (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    notifications_delivered INTEGER NOT NULL DEFAULT 0,     -- of all broadcasts
    notifications_failed INTEGER NOT NULL DEFAULT 0,
    cluster TEXT                        -- the uid of the one it serves; NULL before the first operator
) STRICT;

CREATE TABLE account (
    id INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    provider TEXT NOT NULL,
    account TEXT NOT NULL,
    host TEXT NOT NULL,
    rate_messages INTEGER NOT NULL,
    rate_period_seconds INTEGER NOT NULL,
    next_slot INTEGER NOT NULL DEFAULT 0,
    virtual_time REAL NOT NULL DEFAULT 0,
    seen_at INTEGER NOT NULL DEFAULT 0, -- the latest instant of a commit: shows a clock that was set back
    brake_factor INTEGER NOT NULL,
    brake_since INTEGER NOT NULL DEFAULT 0,
    brake_hold_until INTEGER NOT NULL DEFAULT 0,
    brake_lowered_at INTEGER NOT NULL DEFAULT 0,
    brake_recent INTEGER NOT NULL DEFAULT 0,
    brake_footing INTEGER NOT NULL DEFAULT 0,
    brake_usage_percent INTEGER NOT NULL DEFAULT 0,    -- of its own limit, as the provider last said; 0 for never
    brake_usage_at INTEGER NOT NULL DEFAULT 0,
    labels_free_at INTEGER NOT NULL DEFAULT 0,        -- when the next call that labels somebody may be made
    class_rate_messages INTEGER,         -- the provider's ceiling for requests of its rate class; NULL where it has none
    class_rate_period_seconds INTEGER,
    class_next_slot INTEGER NOT NULL DEFAULT 0,
    class_virtual_time REAL NOT NULL DEFAULT 0,
    stopped_message TEXT,               -- credentials refused: why; NULL while the account may send
    UNIQUE (namespace, provider, account, host)
) STRICT;

CREATE TABLE broadcast (
    id INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    key_is_given INTEGER NOT NULL DEFAULT 0,        -- the owner chose the key
    name TEXT NOT NULL,
    owner_uid TEXT NOT NULL,
    generation INTEGER NOT NULL,
    account_id INTEGER NOT NULL REFERENCES account (id),
    identity_hash TEXT NOT NULL,        -- of account, audience and content: what the key stands for
    content TEXT NOT NULL,
    content_hash TEXT NOT NULL DEFAULT '',
    parts INTEGER NOT NULL DEFAULT 1,      -- in so many requests a message is sent
    class_parts TEXT,                   -- which of them are of the account's rate class: JSON, of numbers; NULL for none
    audience_hash TEXT NOT NULL DEFAULT '',
    suppression_hash TEXT NOT NULL DEFAULT '',      -- of the lists of people whom the account sends nothing
    sent_tags TEXT NOT NULL DEFAULT '[]',       -- what whoever is sent to is tagged with: JSON, of tags
    reply_window INTEGER,               -- so long after a recipient was last active the provider takes a message; NULL for always
    orders TEXT,                        -- what senders of other processes work by
    released INTEGER NOT NULL DEFAULT 0,        -- the owner is gone
    trouble_reason TEXT,                -- why senders cannot work, as they told
    trouble_message TEXT,
    trouble_at INTEGER,
    held_up_at INTEGER,                 -- when a sender last said that the provider is slow
    request_timeout INTEGER NOT NULL,
    rate_messages INTEGER,
    rate_period_seconds INTEGER,
    batch_size_wish INTEGER,
    plan_limit INTEGER,               -- the most recipients the plan may hold
    start_at INTEGER,
    end_at INTEGER,
    start_by INTEGER,                   -- the first attempt may not come after this
    quiet_hours TEXT,                   -- JSON; NULL for none
    notifications TEXT,                 -- the endpoints that are told how it goes: JSON; NULL for none
    notified TEXT NOT NULL DEFAULT '{}',        -- what they were told last: JSON
    write_backs TEXT,                   -- to which targets whoever is sent is owed: JSON, of names; NULL for none
    suspended INTEGER NOT NULL,
    cancelled INTEGER NOT NULL,         -- latched
    declared_at INTEGER NOT NULL,       -- first
    duplicate_of INTEGER,               -- the broadcast that it may be under another name; NULL for none
    loss TEXT,                          -- what the ledger has forgotten of it; NULL while nobody knows more
    loss_revision INTEGER NOT NULL DEFAULT 0,       -- the highest revision that somebody knew then
    loss_approval TEXT,                 -- the approval that stood then; NULL until its owner was heard
    risk_from INTEGER,                  -- approved: from this recipient on, whoever is not settled becomes unknown
    block_reason TEXT,                  -- what the provider's answers have closed until a person has looked
    block_message TEXT,
    block_generation INTEGER,           -- the wish that was blocked: a later one may lift it
    refusals TEXT,                      -- of the message itself, in a row, by part: JSON; NULL for none
    failed_fault TEXT,                  -- the last of the requests in a row that did not get through
    failed_in_a_row INTEGER NOT NULL DEFAULT 0,
    failed_at INTEGER,
    retry_max_tries INTEGER NOT NULL DEFAULT 1,
    retry_initial_backoff INTEGER NOT NULL DEFAULT 0,
    retry_max_backoff INTEGER NOT NULL DEFAULT 0,
    resend_unknown INTEGER NOT NULL DEFAULT 0,
    flow_weight INTEGER NOT NULL,
    flow_virtual_time REAL NOT NULL DEFAULT 0,
    flow_hungry_until INTEGER NOT NULL DEFAULT 0,
    own_next_slot INTEGER NOT NULL DEFAULT 0,
    class_flow_virtual_time REAL NOT NULL DEFAULT 0,     -- of the rate class
    class_hungry_until INTEGER NOT NULL DEFAULT 0,
    plan_epoch INTEGER NOT NULL DEFAULT 0,
    plan_touched_at INTEGER,                    -- by the planner of this epoch, while it is at work
    dead_planners INTEGER NOT NULL DEFAULT 0,       -- in a row, of this object as it is
    plan_failed_at INTEGER,                         -- when there were too many of them; NULL until then
    plan_chunk INTEGER NOT NULL DEFAULT 0,      -- the last chunk taken of this epoch
    plan_receipt TEXT,                          -- what was answered to it
    plan_digest BLOB NOT NULL DEFAULT (zeroblob(32)),
    plan_duplicates INTEGER NOT NULL DEFAULT 0,
    plan_excluded INTEGER NOT NULL DEFAULT 0,
    plan_samples TEXT NOT NULL DEFAULT '[]',
    plan_warnings TEXT NOT NULL DEFAULT '[]',
    plan_zones TEXT NOT NULL DEFAULT '[]',     -- the time zones that recipients have of their own: JSON, of names
    plan_sealed_at INTEGER,
    batch_size INTEGER NOT NULL DEFAULT 0,
    planned INTEGER NOT NULL DEFAULT 0,
    pending INTEGER NOT NULL DEFAULT 0,
    inflight INTEGER NOT NULL DEFAULT 0,
    sent INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0,
    unknown INTEGER NOT NULL DEFAULT 0,
    receipts_delivered INTEGER NOT NULL DEFAULT 0,     -- what providers told of messages that they took
    receipts_read INTEGER NOT NULL DEFAULT 0,
    receipts_undelivered INTEGER NOT NULL DEFAULT 0,
    pace TEXT,                          -- what happened when: JSON of PaceHistory; NULL before anything did
    latency TEXT,                       -- how long answers took: JSON of Histogram
    first_attempt_at INTEGER,
    finished_at INTEGER,
    revision INTEGER NOT NULL DEFAULT 0,        -- grows with every commit that changes it or a delivery
    UNIQUE (namespace, idempotency_key)
) STRICT;

CREATE INDEX broadcast_owner ON broadcast (owner_uid) WHERE owner_uid <> '';

CREATE INDEX broadcast_said ON broadcast (account_id, content_hash, plan_sealed_at) WHERE plan_sealed_at IS NOT NULL;

-- Broadcasts are kept for ever; an exchange and upkeep look only at those of one account, and at those with work left.
CREATE INDEX broadcast_account ON broadcast (account_id, flow_hungry_until);
CREATE INDEX broadcast_class ON broadcast (account_id, class_hungry_until) WHERE class_parts IS NOT NULL;
CREATE INDEX broadcast_open ON broadcast (id) WHERE pending > 0 AND plan_sealed_at IS NOT NULL;
CREATE INDEX broadcast_resending ON broadcast (id) WHERE resend_unknown AND unknown > 0;

CREATE INDEX broadcast_at_risk ON broadcast (id) WHERE risk_from IS NOT NULL;

-- Plans of one account and content that have mostly people of another one; each holds for its epochs alone. Without
-- references: they would lock the other broadcast.
CREATE TABLE likeness (
    broadcast_id INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    other_id INTEGER NOT NULL,
    other_epoch INTEGER NOT NULL,
    shared INTEGER NOT NULL,               -- of those of its recipients that were looked up
    compared INTEGER NOT NULL,             -- so many were
    PRIMARY KEY (broadcast_id, other_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX likeness_other ON likeness (other_id);

-- Objects that are gone for good, by uid: nothing is declared in their name any more.
CREATE TABLE departed (
    owner_uid TEXT PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE batch (
    broadcast_id INTEGER NOT NULL REFERENCES broadcast (id),
    idx INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    epoch INTEGER NOT NULL DEFAULT 0,   -- grows with every claim
    sender_id INTEGER,
    claimed_at INTEGER,
    renewed_at INTEGER,
    lease_until INTEGER NOT NULL DEFAULT 0,
    probation INTEGER NOT NULL DEFAULT 0,   -- taken from a lost sender: one recipient until one outcome
    pending INTEGER NOT NULL,
    inflight INTEGER NOT NULL DEFAULT 0,
    sent INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0,
    skipped_by_cancel INTEGER NOT NULL DEFAULT 0,      -- of those skipped
    unknown INTEGER NOT NULL DEFAULT 0,
    retries INTEGER NOT NULL DEFAULT 0,
    requests INTEGER NOT NULL DEFAULT 0,    -- that the provider was asked
    latency TEXT,                       -- how long answers took: JSON of Histogram
    reclaims INTEGER NOT NULL DEFAULT 0,
    error_reason TEXT,
    error_code TEXT,
    error_message TEXT,
    error_at INTEGER,
    started_at INTEGER,
    completed_at INTEGER,
    PRIMARY KEY (broadcast_id, idx)
) STRICT, WITHOUT ROWID;

-- One process that sends. Its random name is made at process start, so a restarted one is another sender.
CREATE TABLE sender (
    id INTEGER PRIMARY KEY,
    broadcast_id INTEGER NOT NULL REFERENCES broadcast (id),
    holder TEXT NOT NULL UNIQUE,
    display TEXT NOT NULL,
    last_number INTEGER NOT NULL DEFAULT 0,
    proven INTEGER NOT NULL DEFAULT 0,      -- has recorded an outcome
    closed INTEGER NOT NULL DEFAULT 0       -- has left, or is known to be dead
) STRICT;

CREATE TABLE delivery (
    broadcast_id INTEGER NOT NULL REFERENCES broadcast (id),
    seq INTEGER NOT NULL,
    recipient TEXT NOT NULL,
    vars TEXT NOT NULL,
    zone INTEGER NOT NULL DEFAULT 0,     -- its place in plan_zones, from 1 on; 0 for the broadcast's own
    active_at INTEGER,                   -- when the recipient was last active, as far as is known
    state INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0,     -- a token that only grows; outcomes match on it
    tries INTEGER NOT NULL DEFAULT 0,       -- what the retry policy counts
    setbacks INTEGER NOT NULL DEFAULT 0,    -- what the wait before the next attempt grows by
    parts_done INTEGER NOT NULL DEFAULT 0,  -- of the message the provider has taken so many; never falls
    epoch INTEGER NOT NULL DEFAULT 0,
    sender_id INTEGER,
    request INTEGER,
    not_before INTEGER NOT NULL DEFAULT 0,
    slot INTEGER,
    start_by INTEGER,
    deadline INTEGER,
    resend INTEGER NOT NULL DEFAULT 0,    -- pending, and nobody knows the outcome of its latest attempt
    resend_barred INTEGER NOT NULL DEFAULT 0,    -- attempted, and opted out or on a list since: no further attempt, also after an opt-in
    provider_id TEXT,
    reason TEXT,
    code TEXT,
    heard INTEGER NOT NULL DEFAULT 0,         -- the attempt that the provider itself has told of
    delivered_at INTEGER,
    read_at INTEGER,
    undelivered_at INTEGER,
    undelivered_reason TEXT,
    undelivered_code TEXT,
    PRIMARY KEY (broadcast_id, seq)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX delivery_recipient ON delivery (broadcast_id, recipient);
-- By zone first: where it is quiet for most, nobody walks over them to find the others.
-- Whoever may not be taken yet, or any more, is passed over in the index, without a look at the row.
CREATE INDEX delivery_pending ON delivery (broadcast_id, zone, seq, not_before, active_at) WHERE state = 0;
-- When the first of a zone may be taken, found without a walk over all who are in backoff.
CREATE INDEX delivery_due ON delivery (broadcast_id, zone, not_before) WHERE state = 0;
CREATE INDEX delivery_active ON delivery (broadcast_id, zone, active_at, not_before)
    WHERE state = 0 AND active_at IS NOT NULL;
-- Few: whoever has got a part of the message and waits for the next one.
CREATE INDEX delivery_between_parts ON delivery (broadcast_id, zone, seq, not_before) WHERE state = 0 AND parts_done > 0;
CREATE INDEX delivery_inflight ON delivery (broadcast_id, deadline) WHERE state = 1;
CREATE INDEX delivery_unknown ON delivery (broadcast_id, tries) WHERE state = 5 AND NOT resend_barred;
CREATE INDEX delivery_resend ON delivery (broadcast_id) WHERE resend;
CREATE INDEX delivery_given_up ON delivery (broadcast_id, sender_id)
    WHERE reason = 'SenderLost' AND (state = 5 OR resend);

-- Who has opted out before the plan was sealed, so that the seal need not look at everybody.
CREATE INDEX delivery_opted_out ON delivery (broadcast_id, seq) WHERE state = 4 AND reason = 'OptedOut';

-- Whom an unsealed plan leaves out; emptied by the seal.
CREATE TABLE exclusion (
    broadcast_id INTEGER NOT NULL REFERENCES broadcast (id),
    recipient TEXT NOT NULL,
    PRIMARY KEY (broadcast_id, recipient)
) STRICT, WITHOUT ROWID;

-- Whom an unsealed plan takes for opted out because a list of the account names them; emptied by the seal.
CREATE TABLE suppression (
    broadcast_id INTEGER NOT NULL REFERENCES broadcast (id),
    recipient TEXT NOT NULL,
    PRIMARY KEY (broadcast_id, recipient)
) STRICT, WITHOUT ROWID;

-- How many recipients stand in a state for a reason.
CREATE TABLE tally (
    broadcast_id INTEGER NOT NULL REFERENCES broadcast (id),
    state INTEGER NOT NULL,
    reason TEXT NOT NULL,
    code TEXT NOT NULL,                 -- the provider's own, '' where it gave none or too many are told apart
    count INTEGER NOT NULL,
    PRIMARY KEY (broadcast_id, state, reason, code)
) STRICT, WITHOUT ROWID;

-- Whom an account knows. Written only under a lock of the account, as are the tags.
CREATE TABLE contact (
    account_id INTEGER NOT NULL,
    recipient TEXT NOT NULL,
    vars TEXT NOT NULL,
    vars_at INTEGER NOT NULL,            -- of which time the variables are: a message that was planned earlier changes none
    met_at INTEGER NOT NULL,
    active_at INTEGER,                   -- when last heard of, as far as is known: only grows
    opted_out_at INTEGER,
    opted_out_reason TEXT,
    wished_at INTEGER,                   -- when they last opted in or out, as far as is known: what is told of earlier changes nothing
    unswept INTEGER NOT NULL DEFAULT 0,    -- opted out, and still pending somewhere perhaps
    PRIMARY KEY (account_id, recipient)
) STRICT;

CREATE INDEX contact_unswept ON contact (account_id, recipient) WHERE unswept;

-- Opt-ins and opt-outs that a provider told without a time, by the messages that said so: told again, they change nothing.
CREATE TABLE wish (
    account_id INTEGER NOT NULL,
    recipient TEXT NOT NULL,
    message TEXT NOT NULL,              -- the provider's id of it
    told_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, recipient, message)
) STRICT;

CREATE INDEX wish_told ON wish (told_at, account_id);

CREATE TABLE tag (
    account_id INTEGER NOT NULL,
    recipient TEXT NOT NULL,
    tag TEXT NOT NULL,
    PRIMARY KEY (account_id, tag, recipient)
) STRICT;

-- What providers keep for an account: uploaded once, and named by its handle in each message.
CREATE TABLE kept_attachment (
    account_id INTEGER NOT NULL,
    attachment TEXT NOT NULL,           -- a digest of what it is and where it comes from
    handle TEXT NOT NULL,               -- the provider's
    ends_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, attachment)
) STRICT, WITHOUT ROWID;

-- What a sender is uploading, so that no other one does; or has given up, so that others do not go through it again.
CREATE TABLE attachment_upload (
    account_id INTEGER NOT NULL,
    attachment TEXT NOT NULL,
    holder TEXT,                        -- NULL: given up
    ends_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, attachment)
) STRICT, WITHOUT ROWID;

CREATE INDEX tag_recipient ON tag (account_id, recipient);

-- What providers told of messages before their senders did, as JSON: kept for some minutes. Without a reference: it would lock
-- the account.
CREATE TABLE early_receipt (
    account_id INTEGER NOT NULL,
    digest TEXT NOT NULL,               -- of the event: what is told twice is kept once
    event TEXT NOT NULL,
    kept_at INTEGER NOT NULL,
    next_at INTEGER NOT NULL,           -- when it is looked at again
    PRIMARY KEY (account_id, digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX early_receipt_due ON early_receipt (next_at);

-- What endpoints are told: a row for each event and endpoint, written with what causes it and kept.
CREATE TABLE outbox (
    broadcast_id INTEGER NOT NULL REFERENCES broadcast (id),
    event TEXT NOT NULL,
    occurrence INTEGER NOT NULL,        -- of batches their index; otherwise which time it is
    endpoint TEXT NOT NULL,
    at INTEGER NOT NULL,
    reason TEXT,
    message TEXT,
    pending INTEGER NOT NULL,           -- of the batch, or of the broadcast, then
    inflight INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    skipped INTEGER NOT NULL,
    unknown INTEGER NOT NULL,
    holder TEXT,                        -- the sender that is at it
    lease_until INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,        -- how often it was taken
    not_before INTEGER NOT NULL DEFAULT 0,
    error TEXT,                         -- why it was last not taken
    error_code TEXT,
    error_at INTEGER,
    settled_at INTEGER,                 -- delivered, or given up
    delivered INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (broadcast_id, event, occurrence, endpoint)
) STRICT, WITHOUT ROWID;

CREATE INDEX outbox_pending ON outbox (broadcast_id, not_before) WHERE settled_at IS NULL;
CREATE INDEX outbox_waiting ON outbox (at) WHERE settled_at IS NULL;

-- Where it is written elsewhere who was sent to, and how far that has come. One sender at a time is at a target.
CREATE TABLE write_back (
    broadcast_id INTEGER NOT NULL REFERENCES broadcast (id),
    target TEXT NOT NULL,
    definition TEXT NOT NULL,          -- as it is named now, or was last: JSON
    owed INTEGER NOT NULL DEFAULT 0,    -- so many people in all
    done INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,  -- refused for themselves, and given up
    moved_at INTEGER NOT NULL,          -- when somebody was last written, or became owed
    holder TEXT,                        -- the sender that is at it
    lease_until INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,        -- in a row that failed for everybody
    not_before INTEGER NOT NULL DEFAULT 0,
    in_vain INTEGER,                     -- refused for the first time since it last took somebody, a few at most; NULL: it never has
    given_up INTEGER NOT NULL DEFAULT 0,   -- until it is named otherwise
    error TEXT,                         -- why somebody was last not written: JSON of Fault
    PRIMARY KEY (broadcast_id, target)
) STRICT, WITHOUT ROWID;

-- Who is still to be written there. Entered with the outcome, and gone once it is done or given up.
CREATE TABLE owed (
    broadcast_id INTEGER NOT NULL,
    target TEXT NOT NULL,
    seq INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (broadcast_id, target, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX owed_due ON owed (broadcast_id, target, not_before, seq);
