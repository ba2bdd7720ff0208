-- What taking over tables of the original Python system needs: functions of the session that
-- migrates, made anew in each run. Tables there may carry whatever their owner added since: views,
-- policies, triggers, constraints, columns, other types.

-- A connection pooler may give the session of an earlier run.
DROP TABLE IF EXISTS pg_temp.kept;
CREATE TEMP TABLE kept (
    rel text NOT NULL,
    n bigint GENERATED ALWAYS AS IDENTITY,
    kind text NOT NULL, -- view, trigger, policy
    name text NOT NULL,
    head text NOT NULL DEFAULT '',
    body text, -- a view's query: on the table's own name, which is a view's by then
    fallback text, -- the same on the table
    more text[] NOT NULL DEFAULT '{}',
    drop_it text NOT NULL
) ON COMMIT DROP;

-- To tell what the migrations make from what was there.
DROP TABLE IF EXISTS pg_temp.there_before;
CREATE TEMP TABLE there_before ON COMMIT DROP AS SELECT oid FROM pg_class;

-- JSON that can be read by everyone: the json type takes escapes that stand for no character, and
-- one of them would end every query that looks into the column. JSON within a text is unpacked.
CREATE OR REPLACE FUNCTION pg_temp.clean_json(value json) RETURNS json LANGUAGE plpgsql AS $$
BEGIN
    IF value IS NULL OR json_typeof(value) = 'null' THEN
        RETURN NULL;
    END IF;
    IF position('\u' IN value::text) > 0 THEN
        BEGIN
            PERFORM value::jsonb;
        EXCEPTION WHEN OTHERS THEN
            value := regexp_replace(value::text,
                '(?<!\\)((?:\\\\)*)\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2})', '\1\\ufffd', 'g');
        END;
    END IF;
    IF json_typeof(value) = 'string' THEN
        BEGIN
            RETURN (value #>> '{}')::json;
        EXCEPTION WHEN OTHERS THEN
            RETURN value;
        END;
    END IF;
    RETURN value;
END $$;

CREATE OR REPLACE FUNCTION pg_temp.clean_json(value text) RETURNS json LANGUAGE plpgsql AS $$
BEGIN
    RETURN pg_temp.clean_json(value::json);
EXCEPTION WHEN OTHERS THEN
    RETURN to_json(value);
END $$;

-- The names of a run's variables, out of what the original kept: an object with their values, maybe
-- within a JSON string. Values are secrets and must go.
CREATE OR REPLACE FUNCTION pg_temp.env_names(env json) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
    names json;
BEGIN
    IF json_typeof(env) = 'string' THEN
        env := (env #>> '{}')::json;
    END IF;
    IF json_typeof(env) = 'object' THEN
        SELECT coalesce(json_agg(k), '[]') INTO names FROM json_object_keys(env) k;
        RETURN names;
    END IF;
    RETURN CASE WHEN env IS NULL THEN NULL ELSE '[]'::json END;
EXCEPTION WHEN OTHERS THEN
    RETURN '[]';
END $$;

CREATE OR REPLACE FUNCTION pg_temp.env_names(env text) RETURNS json LANGUAGE plpgsql AS $$
BEGIN
    RETURN pg_temp.env_names(env::json);
EXCEPTION WHEN OTHERS THEN
    RETURN '[]';
END $$;

CREATE OR REPLACE FUNCTION pg_temp.role_name(role oid) RETURNS text LANGUAGE sql AS
    $$ SELECT CASE WHEN role = 0 THEN 'PUBLIC' ELSE role::regrole::text END $$;

-- The statements that give a relation these rights and no other.
CREATE OR REPLACE FUNCTION pg_temp.rights(rel text, owner oid, wanted aclitem[])
    RETURNS text[] LANGUAGE sql AS $$
    SELECT coalesce(array_agg(format('GRANT %s ON %s TO %s%s', privilege_type, rel,
                                     pg_temp.role_name(grantee),
                                     CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)),
                    '{}')
    FROM aclexplode(wanted) WHERE grantee <> owner
$$;

CREATE OR REPLACE FUNCTION pg_temp.take_rights(rel regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    item record;
BEGIN
    FOR item IN SELECT DISTINCT a.grantee FROM pg_class c, aclexplode(c.relacl) a
                WHERE c.oid = rel AND a.grantee <> c.relowner LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', rel, pg_temp.role_name(item.grantee));
    END LOOP;
END $$;

-- The table, and the views above it, the nearest first.
CREATE OR REPLACE FUNCTION pg_temp.views_of(rel regclass)
    RETURNS TABLE (view regclass, depth integer) LANGUAGE sql AS $$
    WITH RECURSIVE above AS (
        SELECT rel::oid AS oid, 0 AS depth
        UNION
        SELECT r.ev_class, a.depth + 1 FROM above a
        JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = a.oid
            AND d.classid = 'pg_rewrite'::regclass
        JOIN pg_rewrite r ON r.oid = d.objid AND r.ev_class <> a.oid
    ) SELECT oid::regclass, max(depth) FROM above WHERE depth > 0 GROUP BY oid ORDER BY 2, 1
$$;

CREATE OR REPLACE FUNCTION pg_temp.keep_views(rel regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    item record;
    name text;
    what text;
    more text[];
BEGIN
    FOR item IN SELECT c.*, n.nspname FROM pg_temp.views_of(rel) v
                JOIN pg_class c ON c.oid = v.view JOIN pg_namespace n ON n.oid = c.relnamespace
                ORDER BY v.depth, c.oid LOOP
        name := format('%I.%I', item.nspname, item.relname);
        IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = item.oid)
            OR EXISTS (SELECT FROM pg_rewrite WHERE ev_class = item.oid AND rulename <> '_RETURN')
        THEN
            RAISE EXCEPTION 'the view % on % has triggers or rules: drop it, migrate, and make it'
                ' again', name, rel;
        END IF;
        what := CASE item.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END;
        SELECT coalesce(array_agg(pg_get_indexdef(indexrelid)), '{}') INTO more FROM pg_index
            WHERE indrelid = item.oid;
        IF obj_description(item.oid, 'pg_class') IS NOT NULL THEN
            more := more || format('COMMENT ON %s %s IS %L', what, name,
                                   obj_description(item.oid, 'pg_class'));
        END IF;
        more := more || pg_temp.rights(name, item.relowner, item.relacl);
        IF pg_get_userbyid(item.relowner) <> current_user THEN
            more := more || format('ALTER %s %s OWNER TO %s', what, name,
                                   pg_temp.role_name(item.relowner));
        END IF;
        INSERT INTO kept (rel, kind, name, head, body, more, drop_it) VALUES (rel::text, 'view',
            name, format('CREATE %s %s %s AS ', what, name,
                         'WITH (' || array_to_string(item.reloptions, ', ') || ')'),
            pg_get_viewdef(item.oid), more, format('DROP %s %s', what, name));
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION pg_temp.keep_triggers(rel regclass, was text) RETURNS void
    LANGUAGE plpgsql AS $$
DECLARE
    item record;
BEGIN
    FOR item IN SELECT t.oid, t.tgname, t.tgenabled FROM pg_trigger t
                WHERE t.tgrelid = rel AND NOT t.tgisinternal LOOP
        INSERT INTO kept (rel, kind, name, head, more, drop_it) VALUES (was, 'trigger',
            item.tgname, pg_get_triggerdef(item.oid),
            CASE item.tgenabled
                WHEN 'D' THEN ARRAY[format('ALTER TABLE %s DISABLE TRIGGER %I', rel, item.tgname)]
                WHEN 'A' THEN
                    ARRAY[format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', rel, item.tgname)]
                WHEN 'R' THEN
                    ARRAY[format('ALTER TABLE %s ENABLE REPLICA TRIGGER %I', rel, item.tgname)]
                ELSE '{}' END,
            format('DROP TRIGGER %I ON %s', item.tgname, rel));
    END LOOP;
END $$;

-- Those of other tables too that look into this one.
CREATE OR REPLACE FUNCTION pg_temp.keep_policies(rel regclass, was text) RETURNS void
    LANGUAGE plpgsql AS $$
DECLARE
    item record;
BEGIN
    FOR item IN SELECT p.*, (SELECT string_agg(pg_temp.role_name(r), ', ') FROM unnest(p.polroles) r)
                            AS roles,
                       pg_get_expr(p.polqual, p.polrelid) AS qual,
                       pg_get_expr(p.polwithcheck, p.polrelid) AS checks
                FROM pg_policy p
                WHERE p.oid IN (SELECT objid FROM pg_depend WHERE classid = 'pg_policy'::regclass
                                AND refclassid = 'pg_class'::regclass AND refobjid = rel) LOOP
        INSERT INTO kept (rel, kind, name, head, drop_it) VALUES (was, 'policy', item.polname,
            format('CREATE POLICY %I ON %s AS %s FOR %s TO %s%s%s', item.polname,
                item.polrelid::regclass,
                CASE WHEN item.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                CASE item.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN
                    'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
                item.roles, ' USING (' || item.qual || ')', ' WITH CHECK (' || item.checks || ')'),
            format('DROP POLICY %I ON %s', item.polname, item.polrelid::regclass));
    END LOOP;
END $$;

-- Takes down what would be in the way; `new_name` NULL: the table keeps its name.
CREATE OR REPLACE FUNCTION pg_temp.take_down(was text, new_name text) RETURNS void
    LANGUAGE plpgsql AS $$
DECLARE
    item record;
    now_is text := coalesce(new_name, was);
BEGIN
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', was);
    -- Rows that a policy hides from us would be lost: an error instead.
    EXECUTE format('ALTER TABLE %I NO FORCE ROW LEVEL SECURITY', was);
    PERFORM set_config('row_security', 'off', true);
    PERFORM pg_temp.keep_views(was::regclass);
    IF new_name IS NOT NULL THEN
        EXECUTE format('ALTER TABLE %I RENAME TO %I', was, new_name);
    END IF;
    UPDATE kept SET fallback = pg_get_viewdef(name::regclass) WHERE kind = 'view' AND rel = was;
    PERFORM pg_temp.keep_triggers(now_is::regclass, was);
    PERFORM pg_temp.keep_policies(now_is::regclass, was);
    FOR item IN SELECT drop_it FROM kept WHERE rel = was ORDER BY n DESC LOOP
        EXECUTE item.drop_it;
    END LOOP;
    -- Constraints of the original may not know our statuses and users.
    FOR item IN SELECT conname FROM pg_constraint
                WHERE conrelid = now_is::regclass AND contype IN ('c', 'f') LOOP
        EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I', now_is, item.conname);
    END LOOP;
END $$;

-- Puts up what take_down kept of a table. Views read the table's name, hence what it is now; one
-- that can't (it needs the primary key) reads the table.
CREATE OR REPLACE FUNCTION pg_temp.put_up(was text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    item record;
    statement text;
BEGIN
    FOR item IN SELECT * FROM kept WHERE rel = was ORDER BY n LOOP
        BEGIN
            EXECUTE item.head || coalesce(item.body, '');
        EXCEPTION WHEN OTHERS THEN
            IF item.fallback IS NULL THEN
                RAISE EXCEPTION 'the % % of % can not be made again (%): drop it first', item.kind,
                    item.name, was, SQLERRM;
            END IF;
            EXECUTE item.head || item.fallback;
        END;
        IF item.kind = 'view' THEN
            PERFORM pg_temp.take_rights(item.name::regclass);
        END IF;
        FOREACH statement IN ARRAY item.more LOOP
            EXECUTE statement;
        END LOOP;
    END LOOP;
    PERFORM set_config('row_security', 'on', true);
END $$;

-- Columns of these types, in one rewrite of the table. `wanted`: [name, type] pairs.
CREATE OR REPLACE FUNCTION pg_temp.set_types(rel text, wanted text[][]) RETURNS void
    LANGUAGE plpgsql AS $$
DECLARE
    changes text;
    item record;
BEGIN
    FOR i IN 1 .. array_length(wanted, 1) LOOP
        EXECUTE format('ALTER TABLE %I ADD COLUMN IF NOT EXISTS %I %s', rel, wanted[i][1],
                       wanted[i][2]);
    END LOOP;
    SELECT string_agg(format('ALTER COLUMN %1$I DROP DEFAULT, ALTER COLUMN %1$I TYPE %2$s USING %3$s',
            a.attname, w.type,
            CASE WHEN a.attname = 'env_vars' THEN
                     format('pg_temp.env_names(%I::%s)', a.attname, CASE WHEN t.json THEN 'json' ELSE
                            'text' END)
                 WHEN w.type = 'json' THEN
                     format('pg_temp.clean_json(%I::%s)', a.attname, CASE WHEN t.json THEN 'json'
                            ELSE 'text' END)
                 WHEN t.name = 'timestamp without time zone' THEN
                     format('%I AT TIME ZONE ''UTC''', a.attname)
                 ELSE format('%I::%s', a.attname, w.type) END), ', ')
        INTO changes
        FROM (SELECT wanted[i][1] AS name, wanted[i][2] AS type
              FROM generate_subscripts(wanted, 1) i) w
        JOIN pg_attribute a ON a.attrelid = rel::regclass AND a.attname = w.name
        CROSS JOIN LATERAL (SELECT format_type(a.atttypid, NULL) AS name,
                            a.atttypid IN ('json'::regtype, 'jsonb'::regtype) AS json) t
        WHERE t.name <> w.type OR a.attname = 'env_vars' OR w.type = 'json';
    EXECUTE format('ALTER TABLE %I %s', rel, changes);
    -- Times that no calendar of ours has.
    FOR item IN SELECT wanted[i][1] AS name FROM generate_subscripts(wanted, 1) i
                WHERE wanted[i][2] = 'timestamp with time zone' LOOP
        EXECUTE format('UPDATE %1$I SET %2$I = NULL WHERE %2$I < ''0001-01-02''::timestamptz'
                       ' OR %2$I > ''9999-12-30''::timestamptz', rel, item.name);
    END LOOP;
END $$;

-- Our statements name none of the owner's columns; a value must not be missed there. Nor in those
-- whose values may turn out to be none.
CREATE OR REPLACE FUNCTION pg_temp.relax(rel text, ours text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    item record;
BEGIN
    FOR item IN SELECT a.attname, EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid
                           AND i.indisprimary AND a.attnum = ANY (i.indkey)) AS key,
                       a.atttypid IN ('text'::regtype, 'varchar'::regtype) AS textual,
                       a.atttypid = 'uuid'::regtype AS uuid,
                       a.atthasdef AS has_default
                FROM pg_attribute a
                WHERE a.attrelid = rel::regclass AND a.attnum > 0 AND NOT a.attisdropped
                  AND a.attnotnull AND a.attidentity = '' AND a.attname <> ALL (ours) LOOP
        IF NOT item.key THEN
            EXECUTE format('ALTER TABLE %I ALTER COLUMN %I DROP NOT NULL', rel, item.attname);
        ELSIF NOT item.has_default AND (item.textual OR item.uuid) THEN
            EXECUTE format('ALTER TABLE %I ALTER COLUMN %I SET DEFAULT gen_random_uuid()%s', rel,
                           item.attname, CASE WHEN item.textual THEN '::text' ELSE '' END);
        END IF;
    END LOOP;
END $$;

-- A key that only looks unique: each row is kept, the later ones of a kind under names of their own.
CREATE OR REPLACE FUNCTION pg_temp.make_key(rel text, key text, by text) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_index i JOIN pg_attribute a
                   ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
               WHERE i.indrelid = rel::regclass AND i.indisunique AND i.indimmediate
                 AND i.indisvalid AND i.indpred IS NULL AND i.indnkeyatts = 1 AND a.attname = key)
    THEN
        EXECUTE format('UPDATE %1$I SET %2$I = ''unnamed-'' || gen_random_uuid() WHERE %2$I IS NULL',
                       rel, key);
        EXECUTE format('ALTER TABLE %I ALTER COLUMN %I SET NOT NULL', rel, key);
        RETURN;
    END IF;
    EXECUTE format('UPDATE %1$I SET %2$I = ''unnamed-'' || gen_random_uuid() WHERE %2$I IS NULL',
                   rel, key);
    EXECUTE format('WITH twice AS (SELECT ctid AS at, row_number() OVER (PARTITION BY %2$I'
                   ' ORDER BY %3$s, ctid) AS n FROM %1$I)'
                   ' UPDATE %1$I t SET %2$I = t.%2$I || ''~'' || n FROM twice'
                   ' WHERE twice.at = t.ctid AND n > 1', rel, key, by);
    IF EXISTS (SELECT FROM pg_index WHERE indrelid = rel::regclass AND indisprimary) THEN
        EXECUTE format('ALTER TABLE %I ALTER COLUMN %I SET NOT NULL, ADD UNIQUE (%2$I)', rel, key);
    ELSE
        EXECUTE format('ALTER TABLE %I ADD PRIMARY KEY (%I)', rel, key);
    END IF;
END $$;

-- Why an unfinished job of the original is not run here; NULL: it is.
CREATE OR REPLACE FUNCTION pg_temp.why_not(status text, created_at timestamptz, id text,
                                           user_id text, message text)
    RETURNS text LANGUAGE sql AS $$
    SELECT CASE
        WHEN status NOT IN ('pending', 'running') THEN format(
            'The previous system left this job with the status "%s", which says nothing about how'
            ' it ended.', left(status, 100))
        WHEN status = 'running'
            AND coalesce(nullif(current_setting('mcpbus.running', true), ''), 'fail') <> 'run' THEN
            'This job was running in the previous system when that was replaced. Part of what it'
            ' was to do may have been done: look first, then send it again if need be.'
        WHEN status = 'pending' AND created_at < now() - interval '1 hour'
            * coalesce(nullif(current_setting('mcpbus.pending_hours', true), ''), '24')::integer
            THEN 'This job had waited too long in the previous system, since '
            || to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')
            || ' UTC, to be run unasked. Send it again if it is still wanted.'
        WHEN octet_length(id) > 128 THEN
            'This job came from the previous system with an id that is too long to be queued here.'
            ' Send it again.'
        WHEN user_id = '' OR octet_length(user_id) > 256 THEN
            'This job came from the previous system without the name of a user who could run it.'
        WHEN message = '' THEN 'This job came from the previous system without a message.'
        WHEN octet_length(message) > 262144 THEN
            'The message of this job, from the previous system, is longer than 256 KiB. Send a'
            ' shorter one.'
        END
$$;
