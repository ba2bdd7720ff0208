-- Workers that take no more runs because an operator said so. A version before knows nothing of it.
ALTER TABLE worker_sessions ADD COLUMN IF NOT EXISTS draining boolean NOT NULL DEFAULT false;
