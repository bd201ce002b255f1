"""The tables of accounts.db. A script, once released, is never changed: add the next one."""

from typing import Final

from posthouse.telemetry.database import Kind

# Addresses are folded text. Targets keep their spelling (a foreign local-part may need its case);
# `target_key` is the folded target without its plus tag, what `sources` is asked for.
_FIRST: Final = """
CREATE TABLE accounts (
    name TEXT PRIMARY KEY,
    local_part TEXT NOT NULL,
    disabled INTEGER NOT NULL DEFAULT 0,
    created TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX accounts_by_local_part ON accounts (local_part);

CREATE TABLE credentials (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    label TEXT NOT NULL,
    kind TEXT NOT NULL,
    hash TEXT NOT NULL,
    created TEXT NOT NULL,
    last_used TEXT,
    UNIQUE (account, label)
);

CREATE TABLE alias_targets (
    address TEXT NOT NULL,
    target TEXT NOT NULL,
    target_key TEXT NOT NULL,
    target_domain TEXT NOT NULL,
    PRIMARY KEY (address, target)
) WITHOUT ROWID;
CREATE INDEX aliases_by_target ON alias_targets (target_key);
CREATE INDEX aliases_by_domain ON alias_targets (target_domain);

CREATE TABLE grants (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    networks TEXT NOT NULL,
    name TEXT NOT NULL,
    until TEXT,
    because TEXT NOT NULL,
    by_whom TEXT NOT NULL,
    created TEXT NOT NULL
);
"""

# SCRAM keeps something else of a password, and all salts are made of one key.
_SECOND: Final = """
ALTER TABLE credentials ADD COLUMN scram TEXT NOT NULL DEFAULT '';

CREATE TABLE keys (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO keys VALUES ('salts', lower(hex(randomblob(32))));
"""

# In which language a person reads reports.
_THIRD: Final = """
ALTER TABLE accounts ADD COLUMN language TEXT NOT NULL DEFAULT '';
"""

ACCOUNTS: Final = Kind(
    application_id=0x50486163,  # "PHac"
    upgrades=(_FIRST, _SECOND, _THIRD),
    wal=False,
    remedy="restore it from a backup (accounts, aliases and passwords are in it)",
)
