-- Whose request a job came from, and in which trace: for log lines and spans alone, NULL where nobody
-- said. Older programs leave them empty.
ALTER TABLE job_data ADD COLUMN request_id text, ADD COLUMN traceparent text, ADD COLUMN tracestate text;
