-- Sessions, revocations and redeemed nonces. A database of the original has user_sessions already,
-- with text ids and json columns; its rows stay as they are.
CREATE TABLE IF NOT EXISTS user_sessions (
    user_id text PRIMARY KEY,
    token_data json,
    selected_scopes json,
    granted_scopes json,
    authenticated boolean DEFAULT false,
    user_data json,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

-- The original's times may lack a zone (they are UTC), its ids and JSON be of another type.
DO $$
BEGIN
    PERFORM pg_temp.take_down('user_sessions', NULL);
    PERFORM pg_temp.relax('user_sessions', ARRAY['user_id']);
    PERFORM pg_temp.set_types('user_sessions', ARRAY[['user_id', 'text'], ['token_data', 'json'],
        ['selected_scopes', 'json'], ['granted_scopes', 'json'], ['authenticated', 'boolean'],
        ['user_data', 'json'], ['created_at', 'timestamp with time zone'],
        ['updated_at', 'timestamp with time zone']]);
    PERFORM pg_temp.make_key('user_sessions', 'user_id', 'updated_at DESC NULLS LAST');
END $$;
ALTER TABLE user_sessions
    ALTER COLUMN authenticated SET DEFAULT false,
    ALTER COLUMN created_at SET DEFAULT now(),
    ALTER COLUMN updated_at SET DEFAULT now(),
    ADD COLUMN IF NOT EXISTS google_sub text,
    ADD COLUMN IF NOT EXISTS generation bigint NOT NULL DEFAULT 0;
DO $$ BEGIN PERFORM pg_temp.put_up('user_sessions'); END $$;

CREATE UNIQUE INDEX IF NOT EXISTS user_sessions_google_sub ON user_sessions (google_sub);
-- Rows of the original whose account has not signed in here yet.
CREATE INDEX IF NOT EXISTS user_sessions_unadopted ON user_sessions (user_id)
    WHERE google_sub IS NULL;

-- One row: its lock makes the order of commits the order of the numbers, so that a reader who goes
-- on behind the last number it saw never misses one.
CREATE TABLE IF NOT EXISTS token_revocation_counter (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    seq bigint NOT NULL
);
INSERT INTO token_revocation_counter (seq) VALUES (0) ON CONFLICT DO NOTHING;

CREATE TABLE IF NOT EXISTS token_revocations (
    seq bigint PRIMARY KEY,
    user_id text NOT NULL,
    generation bigint NOT NULL,
    revoked_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS token_revocations_user ON token_revocations (user_id);
CREATE INDEX IF NOT EXISTS token_revocations_age ON token_revocations (revoked_at);

CREATE TABLE IF NOT EXISTS oauth_nonces (
    nonce text PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS oauth_nonces_age ON oauth_nonces (expires_at);
