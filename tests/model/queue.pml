/* The queue as it is built, for SPIN: one job, replicas of jobs, two workers, a client.
 *
 * What stands for what
 *   q, att, qses, ev     the job's row of job_queue and job_data: state, attempt, session, and whether
 *                        the record of its tool call is among job_events
 *   owner                the row of job_idempotency: which of two submitted ids has the key
 *   sess[]               worker_sessions: lease running, over (or closed), row swept
 *   Store, Statements    the SQL of services/jobs/store_*.c. A statement is atomic, except that those
 *                        which judge by another table than the one whose row they lock (SUBMIT, CLAIM,
 *                        REAP) look first, at their snapshot, and change later: there is a replica that
 *                        may stand between the two, and one that does not. What a replica knows (fair
 *                        queue, slots, scans) is a hint, so it is left out: any session may be given the
 *                        job at any time.
 *   Loop                 services/worker: session.c, runs.c, outbox.c, run_table.c
 *   Host                 the zygote (zygote_process.c) and the run (run.c): they act while the loop is
 *                        frozen. A run makes one tool call: recorded first (APPEND), then made.
 *   Clock                time: a worker's own end of its lease (`until` in session.c) always passes
 *                        before the database's, by when an unfrozen zygote has killed the run. That is
 *                        the one assumption about time (the margin of 2 s): clocks run at the same
 *                        speed, and a kill takes less than the margin.
 *   the sets of bits     messages under way. A set reorders by nature; a message is lost when it is
 *                        sent, or doubled when it is received, for one fault each. An answer that is
 *                        lost is the same as a replica that died after its commit, or a commit whose
 *                        outcome was unknown: the caller asks again.
 *
 * Faults, FAULTS in all: a message lost or doubled, a replica that stands still within a statement
 * (and may be killed there) or dies after it, a worker killed, frozen (its loop alone, or all its
 * processes) or drained, a run that crashes, a lease that ends for no good reason (all renewals lost),
 * a zygote that hears of a renewal too late.
 *
 * -DASK: the call needs approval. An attempt that finds none on record records that it asks (the row's
 * last event then, `asked`) and ends waiting (PARK); the client approves (DECIDE), or never answers,
 * and the job ends (in REAP). To deny is to approve another call, none: it is left out.
 *
 * Left out: the deadline of a job, the backoff of a retry, forgetting and retention; other jobs (the
 * fences look at none). The two limits of attempts are one, ATTEMPTS.
 *
 * -DONE_REQUEST: the client sends one request, not two with one key. -DNO_X leaves out a kind of
 * faults. -DLIVE leaves out renewals that would change nothing, and cancels: then no cycle is left, and
 * "accepted, so it ends" needs no fairness. -DALL_RENEWALS sends them all, at any time. -DBUG_X puts a
 * fault into the design, which the checker has to find; -DREACH_X asserts that something can't happen
 * which must be possible.
 *
 * Once the job has ended, nothing new happens to workers, and messages that the fences would refuse
 * are dropped: what is left shows whether a stale run still acts. */

#ifndef FAULTS
#define FAULTS 2
#endif
#define SESSIONS (2 + FAULTS)
#define ATTEMPTS 3

#if FAULTS == 0
#define EACH_SESSION(body) body(1) body(2)
#elif FAULTS == 1
#define EACH_SESSION(body) body(1) body(2) body(3)
#elif FAULTS == 2
#define EACH_SESSION(body) body(1) body(2) body(3) body(4)
#else
#define EACH_SESSION(body) body(1) body(2) body(3) body(4) body(5)
#endif
#define EACH_ATTEMPT(body) body(1) body(2) body(3)

/* The job's row. */
#define NONE 0
#define QUEUED 1
#define RUNNING 2
#define ENDED 3
#define PARKED 4
byte q, att, qses, ev, owner;
byte outcomes, jobs;

/* Sessions; 0 is none. */
#define LEASED 1
#define OVER 2
#define SWEPT 0 /* as one that never was */
byte sess[SESSIONS + 1], nses;
bool passed[SESSIONS + 1]; /* by its worker's clock the lease is over */
byte home[SESSIONS + 1];   /* its worker */

byte faults;
#define FAULT faults < FAULTS -> faults++
/* Of those that happen to workers, the ones after the job's end are left out. */
#define MAY_FAIL (faults < FAULTS && q != ENDED)
#ifdef NO_FREEZE
#define MAY_FREEZE false
#else
#define MAY_FREEZE MAY_FAIL
#endif
#ifdef NO_CRASH
#define MAY_CRASH false
#else
#define MAY_CRASH MAY_FAIL
#endif
#ifdef NO_LOSS
#define SEND(set) set
#else
#define SEND(set) if :: set :: FAULT fi
#endif
#ifdef NO_DOUBLES
#define RECEIVE(unset) unset
#else
#define RECEIVE(unset) if :: unset :: FAULT fi
#endif

/* Messages. An attempt is a bit; a dispatch tells its attempt, and whether it is sent again. */
#define A(a) (1 << ((a) - 1))
#define RUN(a, again) (1 << (((a) - 1) * 2 + (again)))
byte run_msg[SESSIONS + 1];
byte cancel_msg[SESSIONS + 1], renew_msg[SESSIONS + 1], renew_answer[SESSIONS + 1];
bool close_msg[SESSIONS + 1];
byte append_msg, append_ok, append_stale, completed_msg, back_msg, finish_answer;
byte submit_msg, submit_answer;
#ifdef ASK
byte ask_msg, ask_ok, park_msg;
bool asked, approved; /* of the row's events: the last one asks; there is a user's word */
bool knows_word[2];   /* the run has been told of it */
bool answers;         /* the client does */
#define WORD_KNOWN(w) knows_word[w]
#else
#define WORD_KNOWN(w) true
#endif

/* The workers. */
#define IDLE 0
#define STARTED 1 /* a process that has not made its call yet; its record may be under way */
#define ACKED 2   /* it may make the call */
#define ACTED 3
#define DONE 4    /* an outcome waits to be recorded */
#define BACK 5    /* an outcome 'retry' or 'released' does */
#define KILLED 6  /* by the zygote, because of the lease; the loop does not know yet */
#define WAITS 7   /* an outcome 'waiting' does */
byte cur[2], stage[2], ra[2]; /* session, its run, and that one's attempt */
byte known[2];                /* attempts that the run table remembers */
bool knows_record[2];         /* the run has been told of the call's record */
#define LOOP_ONLY 1
#define ALL 2
byte frozen[2];
#define ALIVE(w) (stage[w] >= STARTED && stage[w] <= ACTED)
#define HELD(a) ((stage[0] != IDLE && ra[0] == (a)) || (stage[1] != IDLE && ra[1] == (a)))

hidden byte gone_one; /* for a moment */

/* What only the checker sees. */
bool acked, cancel_asked;
byte acked_id, calls, newest, begun;
bool looked; /* at a session: the first look is at session 1, since nothing tells the two apart yet */
#define MAY_LOOK_AT(s) ((s) == 1 || looked || faults)
#ifdef BUG_CANCEL_FORGOTTEN
byte told[2];
#endif

#ifdef REACH_CALL_BY_FIRST_COMPLETED_BY_SECOND
byte made_by;
#endif

/* Where a slow replica stands in its statement, and what it saw. */
#define SUBMIT 1
#define CLAIM 2
#define REAP 3
#define SLOWLY slow_op, slow_os, slow_oa, slow_alive, slow_owned
byte slow_op, slow_os, slow_oa, slow_owned;
bool slow_alive;

#define HERE(s) (cur[home[s]] == (s))

inline forget_run(w)
{
    append_ok = append_ok & ~A(ra[w]);
    append_stale = append_stale & ~A(ra[w]);
    finish_answer = finish_answer & ~A(ra[w]);
#ifdef ASK
    ask_ok = ask_ok & ~A(ra[w]);
    knows_word[w] = false;
#endif
    stage[w] = IDLE;
    ra[w] = 0;
    knows_record[w] = false
}

/* Its session is lost, or its process gone. */
inline leave(w)
{
    if
    :: stage[w] != IDLE -> forget_run(w)
    :: else
    fi;
    known[w] = 0;
#ifdef BUG_CANCEL_FORGOTTEN
    told[w] = 0;
#endif
    run_msg[cur[w]] = 0;
    cancel_msg[cur[w]] = 0;
    renew_answer[cur[w]] = 0;
    renew_msg[cur[w]] = 0;
    gone_one = cur[w];
    cur[w] = 0;
    blur(gone_one);
    gone_one = 0
}

/* All that are over look the same once nothing names them. */
inline blur(s)
{
    if
    :: s && sess[s] == OVER && qses != s && !HERE(s) ->
        sess[s] = SWEPT;
        passed[s] = false;
        home[s] = 0
    :: else
    fi
}

/* worker.run; nobody hears it when the session is gone. */
inline dispatch(s, again)
{
    if
    :: HERE(s) -> SEND(run_msg[s] = run_msg[s] | RUN(att, again))
    :: else
    fi
}

inline tell_cancel(s)
{
    if
    :: s && HERE(s) -> SEND(cancel_msg[s] = cancel_msg[s] | A(att))
    :: else
    fi
}

inline begin_attempt(s)
{
#ifdef BUG_SAME_ATTEMPT
    att = 1;
#else
    att++;
#endif
    assert(!(begun & A(att))); /* attempts strictly increase */
    begun = begun | A(att);
    q = RUNNING;
    qses = s;
#ifndef BUG_REAP_ANY_ATTEMPT
    if
    :: slow_op == REAP -> clear(SLOWLY)
    :: else
    fi
#endif
}

/* What would change nothing any more. */
inline forget_slow()
{
    if
    :: slow_op == CLAIM || slow_op == REAP -> clear(SLOWLY)
    :: else
    fi
}

inline end_job()
{
    q = ENDED;
    qses = 0;
    outcomes++;
    assert(outcomes == 1);
    forget_slow();
#ifndef BUG_CANCEL_FORGOTTEN
    run_msg[1] = 0;
    run_msg[2] = 0;
#if FAULTS > 0
    run_msg[3] = 0;
#endif
#if FAULTS > 1
    run_msg[4] = 0;
#endif
#endif
#ifdef ASK
    ask_msg = 0;
    park_msg = 0;
    asked = false;
#endif
    append_msg = 0;
    back_msg = 0
}

inline queue_again()
{
    if
    :: att < ATTEMPTS -> q = QUEUED; gone_one = qses; qses = 0; blur(gone_one); gone_one = 0
    :: else ->
#ifdef REACH_GIVEN_UP
        assert(false);
#endif
        end_job()
    fi
}

/* --- statements that look first and change later: at os and oa, by what they saw --- */

inline submit_change(op, os, oa, alive, owned)
{
    if
#ifdef BUG_KEY_RACE
    :: !owned ->
#else
    :: !owner -> /* the unique index decides, when it is written */
#endif
        owner = oa;
        jobs++;
        assert(jobs == 1); /* one key, one job */
        if
        :: os ->
            assert(alive); /* only a session with a lease is given an attempt */
            begin_attempt(os);
            dispatch(os, 0)
        :: else -> q = QUEUED
        fi
    :: else
    fi;
#ifndef BUG_ACK_EARLY
    SEND(submit_answer = owner);
#endif
    clear(op, os, oa, alive, owned)
}

inline claim_change(op, os, oa, alive, owned)
{
    if
    :: q == QUEUED && att < ATTEMPTS -> begin_attempt(os); dispatch(os, 0)
    :: else
    fi;
    clear(op, os, oa, alive, owned)
}

/* The lock may have waited: is it still the attempt whose session had ended? Whether that session has
 * is not asked again: none comes back to life. */
inline reap_change(op, os, oa, alive, owned)
{
    if
#ifdef BUG_REAP_ANY_ATTEMPT
    :: q == RUNNING && (att == oa || qses > os) -> /* a session that the snapshot does not know */
#else
    :: q == RUNNING && att == oa ->
#endif
        tell_cancel(qses);
        queue_again()
    :: else
    fi;
    clear(op, os, oa, alive, owned)
}

inline clear(op, os, oa, alive, owned)
{
    op = 0;
    os = 0;
    oa = 0;
    alive = false;
    owned = 0
}

#ifdef BUG_INSERT_DEAD
#define MAY_INSERT_FOR(s) (nses >= (s))
#else
#define MAY_INSERT_FOR(s) (sess[s] == LEASED)
#endif
#ifdef BUG_REAP_FORGETS_SWEPT
#define DEAD(s) (sess[s] == OVER)
#else
#define DEAD(s) (sess[s] != LEASED)
#endif
#ifdef BUG_REAP_ANY_ATTEMPT
#define REAP_SAW(os) os = nses
#else
#define REAP_SAW(os) skip
#endif
#ifdef BUG_KEY_RACE
#define SUBMIT_SAW(owned) owned = owner
#else
#define SUBMIT_SAW(owned) skip
#endif
#ifdef BUG_ACK_EARLY
#define ACK_EARLY(id) submit_answer = id
#else
#define ACK_EARLY(id) skip
#endif

#define INSERT_FOR(s) \
    :: MAY_INSERT_FOR(s) && MAY_LOOK_AT(s) -> os = s; looked = true; alive = (sess[s] == LEASED)

inline look_submit(op, os, oa, alive, owned)
{
    if
    :: submit_msg & 1 -> RECEIVE(submit_msg = submit_msg & ~1); oa = 1
    :: submit_msg & 2 -> RECEIVE(submit_msg = submit_msg & ~2); oa = 2
    fi;
    op = SUBMIT;
    if
    :: os = 0
    EACH_SESSION(INSERT_FOR)
    fi;
    SUBMIT_SAW(owned);
    ACK_EARLY(oa)
}

#define CLAIMABLE(s) (q == QUEUED && att < ATTEMPTS && sess[s] == LEASED && MAY_LOOK_AT(s))
#define REAPABLE (q == RUNNING && DEAD(qses))

#define CLAIM_FOR(s) \
    :: atomic { CLAIMABLE(s) -> op = CLAIM; os = s; looked = true; claim_change(MINE) }

/* A replica whose statements are through at once. */
#define MINE op, os, oa, alive, owned
proctype Store()
{
    byte op, os, oa, owned;
    bool alive;
end:
    do
    :: atomic { submit_msg -> look_submit(MINE); submit_change(MINE) }
    EACH_SESSION(CLAIM_FOR)
    :: atomic { REAPABLE -> op = REAP; oa = att; REAP_SAW(os); reap_change(MINE) }
    od
}

#define SLOW_CLAIM_FOR(s) \
    :: atomic { slow_op == 0 && CLAIMABLE(s) && MAY_FAIL -> faults++; slow_op = CLAIM; slow_os = s; looked = true }

/* One that may stand within a statement, or be killed there. */
proctype SlowStore()
{
end:
    do
    :: atomic { slow_op == 0 && submit_msg && faults < FAULTS -> faults++; look_submit(SLOWLY) }
    :: atomic { slow_op == SUBMIT -> submit_change(SLOWLY) }
    EACH_SESSION(SLOW_CLAIM_FOR)
    :: atomic { slow_op == CLAIM -> claim_change(SLOWLY) }
    :: atomic { slow_op == 0 && REAPABLE && MAY_FAIL -> faults++; slow_op = REAP; slow_oa = att; REAP_SAW(slow_os) }
    :: atomic { slow_op == REAP -> reap_change(SLOWLY) }
    :: atomic { slow_op != 0 -> clear(SLOWLY) } /* killed */
    od
}

/* --- statements that judge by the row that they lock: any replica, any time --- */

#define FENCE(a) (q == RUNNING && att == (a))

inline answer_append(a, set)
{
    if
    :: HELD(a) -> SEND(set = set | A(a))
    :: else
    fi
}

#ifdef BUG_NO_FENCE_APPEND
#define APPEND_FENCE(a) (q == RUNNING)
#else
#define APPEND_FENCE(a) FENCE(a)
#endif
inline append(a)
{
    if
    :: APPEND_FENCE(a) ->
        assert(FENCE(a)); /* a stale attempt changes nothing */
#ifdef ASK
        asked = false;
#endif
        ev = 1; /* or it is the same append, sent again: that finds its rows there */
        answer_append(a, append_ok)
    :: else -> answer_append(a, append_stale)
    fi
}

#ifdef BUG_NO_FENCE_FINISH
#define FINISH_FENCE(a) (q == RUNNING)
#elif defined(BUG_TWICE)
#define FINISH_FENCE(a) ((q == RUNNING || q == ENDED) && att == (a))
#else
#define FINISH_FENCE(a) FENCE(a)
#endif
inline finish(a, how)
{
    if
    :: FINISH_FENCE(a) ->
        assert(q == ENDED || FENCE(a)); /* a stale attempt changes nothing */
        if
        :: how == BACK -> queue_again()
        :: else ->
#ifdef REACH_SECOND_ATTEMPT_COMPLETES
            assert(att != 2);
#endif
#ifdef REACH_CALL_BY_FIRST_COMPLETED_BY_SECOND
            assert(!(att == 2 && calls == 1 && begun == 3 && newest == 2 && made_by == 1));
#endif
            end_job()
        fi
    :: else
#ifdef REACH_STALE_FINISH
        -> assert(!(q == RUNNING && a < att))
#endif
    fi;
    if
    :: HELD(a) -> SEND(finish_answer = finish_answer | A(a))
    :: else
    fi
}

#ifdef ASK
inline ask(a)
{
    if
    :: FENCE(a) -> asked = true; answer_append(a, ask_ok)
    :: else -> answer_append(a, append_stale)
    fi
}

#ifdef BUG_NO_FENCE_PARK
#define PARK_FENCE(a) (q == RUNNING)
#else
#define PARK_FENCE(a) FENCE(a)
#endif
inline park(a)
{
    if
    :: PARK_FENCE(a) && asked ->
        assert(FENCE(a)); /* a stale attempt changes nothing */
        q = PARKED;
        gone_one = qses;
        qses = 0;
        blur(gone_one);
        gone_one = 0
    :: else
    fi;
    if
    :: HELD(a) -> SEND(finish_answer = finish_answer | A(a))
    :: else
    fi
}

#define ASK_ONE(a) \
    :: atomic { ask_msg & A(a) -> RECEIVE(ask_msg = ask_msg & ~A(a)); ask(a) } \
    :: atomic { park_msg & A(a) -> RECEIVE(park_msg = park_msg & ~A(a)); park(a) }
#else
#define ASK_ONE(a)
#endif

/* RENEW: held is 0, or the attempt that the worker has. The answer: 1, the lease is over; 2, fine;
 * 2 + attempt: that one is not yours. */
inline renew(s, held)
{
    if
#ifdef BUG_REVIVE
    :: sess[s] == LEASED || sess[s] == OVER ->
#else
    :: sess[s] == LEASED ->
#endif
        assert(sess[s] == LEASED); /* none comes back to life */
        if
        :: held && !(FENCE(held) && qses == s) -> SEND(renew_answer[s] = 2 + held)
        :: else -> SEND(renew_answer[s] = 2)
        fi;
#ifndef BUG_NO_REDELIVERY
        if
        :: q == RUNNING && qses == s && !held ->
#ifdef REACH_REDELIVERY
            assert(false);
#endif
            dispatch(s, 1)
        :: else
        fi
#endif
    :: else -> SEND(renew_answer[s] = 1)
    fi;
    if
    :: HERE(s)
    :: else -> renew_answer[s] = 0
    fi
}

#define APPEND_ONE(a) \
    :: atomic { append_msg & A(a) -> RECEIVE(append_msg = append_msg & ~A(a)); append(a) }
#define COMPLETE_ONE(a) \
    :: atomic { \
        completed_msg & A(a) -> \
        RECEIVE(completed_msg = completed_msg & ~A(a)); \
        finish(a, DONE) \
       }
#define BACK_ONE(a) \
    :: atomic { back_msg & A(a) -> RECEIVE(back_msg = back_msg & ~A(a)); finish(a, BACK) }
#define RENEW_ONE(s) \
    :: atomic { \
        renew_msg[s] -> \
        held = renew_msg[s] - 1; \
        RECEIVE(renew_msg[s] = 0); \
        renew(s, held); \
        held = 0 \
       }
#define CLOSE_ONE(s) \
    :: atomic { \
        close_msg[s] -> \
        RECEIVE(close_msg[s] = false); \
        if \
        :: sess[s] == LEASED -> sess[s] = OVER; passed[s] = !HERE(s) \
        :: else \
        fi; \
        if \
        :: q == RUNNING && qses == s -> queue_again() \
        :: else \
        fi; \
        blur(s) \
       }
/* The sweeping of old sessions; only where it could matter. */
#define SWEEP_ONE(s) :: atomic { sess[s] == OVER && qses == s && !HERE(s) -> sess[s] = SWEPT; passed[s] = false }

proctype Statements()
{
    byte held;
end:
    do
    EACH_ATTEMPT(APPEND_ONE)
    EACH_ATTEMPT(COMPLETE_ONE)
    EACH_ATTEMPT(BACK_ONE)
    EACH_ATTEMPT(ASK_ONE)
    EACH_SESSION(RENEW_ONE)
    EACH_SESSION(CLOSE_ONE)
    EACH_SESSION(SWEEP_ONE)
    od
}

/* --- the worker --- */

#ifdef BUG_NO_SELF_KILL
#define LEASE_ENDED(w) false
#else
#define LEASE_ENDED(w) (cur[w] && passed[cur[w]])
#endif
#define USABLE(w) (cur[w] && !frozen[w] && !LEASE_ENDED(w))

inline take(w, a, again)
{
    if
    :: known[w] & A(a) -> /* it has ended here, and the store does not know */
        if
        :: again && !(back_msg & A(a)) && ra[w] != a -> SEND(back_msg = back_msg | A(a))
        :: else
        fi
    :: else ->
        if
        :: stage[w] == IDLE ->
#ifdef BUG_CANCEL_FORGOTTEN
            assert(!(told[w] & A(a))); /* what it was told to end does not begin */
#endif
            stage[w] = STARTED;
            ra[w] = a;
            knows_record[w] = ev && a > 1;
#ifdef ASK
            knows_word[w] = approved;
#endif
            newest = (a > newest -> a : newest)
        :: else /* this one, doubled */
        fi
    fi
}

#define TAKE_ONE(a, again) \
    :: atomic { \
        USABLE(w) && (run_msg[cur[w]] & RUN(a, again)) && \
        (stage[w] == IDLE || ra[w] == a || (known[w] & A(a))) -> \
        RECEIVE(run_msg[cur[w]] = run_msg[cur[w]] & ~RUN(a, again)); \
        take(w, a, again) \
       }
#define TAKE_EACH(a) TAKE_ONE(a, 0) TAKE_ONE(a, 1)

#ifdef BUG_CANCEL_FORGOTTEN
#define REMEMBER(w, a) told[w] = told[w] | A(a)
#else
#define REMEMBER(w, a) known[w] = known[w] | A(a)
#endif
#define CANCEL_ONE(a) \
    :: atomic { \
        cur[w] && !frozen[w] && (cancel_msg[cur[w]] & A(a)) -> \
        RECEIVE(cancel_msg[cur[w]] = cancel_msg[cur[w]] & ~A(a)); \
        REMEMBER(w, a); \
        if \
        :: stage[w] != IDLE && ra[w] == a -> forget_run(w) \
        :: else \
        fi \
       }

/* What a renewal changes: the store's view of the worker differs from the worker's. */
#define OURS(w) (q == RUNNING && qses == cur[w])
#ifdef ALL_RENEWALS
#define RENEW_HELPS(w) true
#elif !defined(LIVE)
#define RENEW_HELPS(w) \
    ((OURS(w) && stage[w] == IDLE) || \
     ((ALIVE(w) || stage[w] == KILLED) && !(OURS(w) && att == ra[w])))
#else
#define RENEW_HELPS(w) \
    ((OURS(w) && stage[w] == IDLE && !run_msg[cur[w]]) || \
     ((ALIVE(w) || stage[w] == KILLED) && !(OURS(w) && att == ra[w])))
#endif

#ifdef BUG_CALL_AFTER_LEASE
#define MAY_CALL(w) true
#else
#define MAY_CALL(w) (!LEASE_ENDED(w))
#endif

proctype Loop(byte w)
{
end:
    do
    :: atomic {
        !cur[w] && !frozen[w] && nses < SESSIONS && q != ENDED ->
        nses++;
        sess[nses] = LEASED;
        home[nses] = w;
        cur[w] = nses
       }
    :: atomic { !frozen[w] && LEASE_ENDED(w) -> leave(w) }

    EACH_ATTEMPT(TAKE_EACH)
    EACH_ATTEMPT(CANCEL_ONE)

    /* The record of the call, and its answer. */
    :: atomic {
        USABLE(w) && stage[w] == STARTED && !knows_record[w] && WORD_KNOWN(w) &&
        !((append_msg | append_ok | append_stale) & A(ra[w])) ->
        SEND(append_msg = append_msg | A(ra[w]))
       }
    :: atomic {
        !frozen[w] && stage[w] == STARTED && (append_ok & A(ra[w])) && MAY_CALL(w) ->
        append_ok = append_ok & ~A(ra[w]);
        stage[w] = ACKED
       }
    :: atomic { !frozen[w] && stage[w] == STARTED && (append_stale & A(ra[w])) -> forget_run(w) }

#ifdef ASK
    /* The question, and its record's answer. */
    :: atomic {
        USABLE(w) && stage[w] == STARTED && !knows_record[w] && !WORD_KNOWN(w) &&
        !((ask_msg | ask_ok | append_stale) & A(ra[w])) ->
        SEND(ask_msg = ask_msg | A(ra[w]))
       }
    :: atomic {
        !frozen[w] && stage[w] == STARTED && (ask_ok & A(ra[w])) ->
        ask_ok = ask_ok & ~A(ra[w]);
        stage[w] = WAITS
       }
    :: atomic {
        USABLE(w) && stage[w] == WAITS && !((park_msg | finish_answer) & A(ra[w])) ->
        SEND(park_msg = park_msg | A(ra[w]))
       }
#endif

    /* The outcome, and its answer. */
    :: atomic {
        USABLE(w) && stage[w] == DONE && !((completed_msg | finish_answer) & A(ra[w])) ->
        SEND(completed_msg = completed_msg | A(ra[w]))
       }
    :: atomic {
        USABLE(w) && stage[w] == BACK && !((back_msg | finish_answer) & A(ra[w])) ->
        SEND(back_msg = back_msg | A(ra[w]))
       }
    :: atomic {
        !frozen[w] && (stage[w] == DONE || stage[w] == BACK || stage[w] == WAITS) &&
        (finish_answer & A(ra[w])) ->
        known[w] = known[w] | A(ra[w]);
        forget_run(w)
       }
    :: atomic {
        cur[w] && !frozen[w] && stage[w] == KILLED ->
#ifdef BUG_KILLED_IN_SILENCE
        forget_run(w)
#else
        stage[w] = BACK
#endif
       }

    :: atomic {
        USABLE(w) && !renew_msg[cur[w]] && !renew_answer[cur[w]] && RENEW_HELPS(w) ->
        renew_msg[cur[w]] = 1 + ra[w]
       }
    :: atomic {
        cur[w] && !frozen[w] && renew_answer[cur[w]] ->
        if
        :: renew_answer[cur[w]] == 1 -> leave(w)
        :: renew_answer[cur[w]] > 2 && (ALIVE(w) || stage[w] == KILLED) && USABLE(w) &&
           ra[w] == renew_answer[cur[w]] - 2 ->
            renew_answer[cur[w]] = 0;
            forget_run(w)
        :: else -> renew_answer[cur[w]] = 0
        fi
       }

    /* Faults: a drained worker leaves (its run was released: as a run that crashed), a killed one. */
    :: atomic {
#ifdef BUG_CLOSE_EARLY
        USABLE(w) && !close_msg[cur[w]] && MAY_FAIL ->
        faults++;
        close_msg[cur[w]] = true
#else
        USABLE(w) && stage[w] == IDLE && MAY_CRASH ->
        faults++;
        close_msg[cur[w]] = true;
        leave(w)
#endif
       }
    :: atomic { cur[w] && MAY_CRASH -> faults++; frozen[w] = 0; leave(w) }
    :: atomic { cur[w] && !frozen[w] && MAY_FREEZE -> faults++; frozen[w] = LOOP_ONLY }
    :: atomic { cur[w] && !frozen[w] && MAY_FREEZE -> faults++; frozen[w] = ALL }
    :: atomic { frozen[w] -> frozen[w] = 0 }
    od
}

proctype Host(byte w)
{
end:
    do
    /* The call: the run asks its clock just before, since it may have been frozen itself. */
    :: atomic {
        stage[w] == ACKED && frozen[w] != ALL && MAY_CALL(w) ->
        assert(newest <= ra[w]); /* no call of an attempt once the next has begun */
        calls++;
#ifdef ASK
        assert(approved); /* none without its user's word */
#endif
#ifdef REACH_CALL_AFTER_APPROVAL
        assert(false);
#endif
        assert(calls == 1); /* none twice: its record is there, so the next attempt is told */
#ifdef REACH_CALL_BY_FIRST_COMPLETED_BY_SECOND
        made_by = ra[w];
#endif
        stage[w] = ACTED
       }
    :: atomic { stage[w] == STARTED && frozen[w] != ALL && knows_record[w] -> stage[w] = ACTED }
    :: atomic { stage[w] == ACTED && frozen[w] != ALL -> stage[w] = DONE }
    :: atomic {
        ALIVE(w) && frozen[w] != ALL && LEASE_ENDED(w) ->
#ifdef REACH_KILL_WHILE_FROZEN
        assert(frozen[w] != LOOP_ONLY);
#endif
        stage[w] = KILLED
       }
    /* Faults: a renewal that the zygote hears of too late; a crash. */
    :: atomic { ALIVE(w) && frozen[w] != ALL && MAY_CRASH -> faults++; stage[w] = KILLED }
    :: atomic { ALIVE(w) && frozen[w] != ALL && MAY_CRASH -> faults++; stage[w] = BACK }
    od
}

/* --- time and the client --- */

#if defined(NO_CANCEL) || defined(LIVE) /* a cancel would end what is stuck */
#define MAY_CANCEL false
#else
#define MAY_CANCEL true
#endif

#define PASS_ONE(s) \
    :: atomic { \
        sess[s] == LEASED && !passed[s] && q != ENDED && \
        (!HERE(s) || frozen[home[s]] || MAY_FAIL) -> \
        if \
        :: !HERE(s) || frozen[home[s]] \
        :: HERE(s) && !frozen[home[s]] -> faults++ \
        fi; \
        passed[s] = true \
       }
#ifdef BUG_NO_SELF_KILL
#define MAY_LIVE(s) false
#else
#define MAY_LIVE(s) (HERE(s) && ALIVE(home[s]) && frozen[home[s]] != ALL)
#endif
#define END_ONE(s) :: atomic { \
        sess[s] == LEASED && passed[s] && q != ENDED && !MAY_LIVE(s) -> \
        sess[s] = OVER; \
        blur(s) \
       }

proctype Clock()
{
end:
    do
    EACH_SESSION(PASS_ONE)
    EACH_SESSION(END_ONE)
    od
}

/* Two requests with one Idempotency-Key, each as often as needed; perhaps a cancel. */
proctype Client()
{
end:
    do
    :: atomic {
        !acked && !submit_msg && !submit_answer ->
#ifdef ONE_REQUEST
        SEND(submit_msg = 1)
#else
        SEND(submit_msg = 3)
#endif
       }
    :: atomic {
        submit_answer ->
        assert(q != NONE); /* accepted: it is there */
        assert(!acked || acked_id == submit_answer);
        acked = true;
        acked_id = submit_answer;
        submit_answer = 0
       }
    :: atomic {
        acked && !cancel_asked && MAY_CANCEL ->
        cancel_asked = true;
        if
        :: q == QUEUED || q == RUNNING || q == PARKED ->
#ifdef REACH_CANCEL_AFTER_CALL
            assert(!calls);
#endif
            tell_cancel(qses);
#ifdef BUG_CANCEL_KEEPS_ROW
            outcomes++
#else
            end_job()
#endif
        :: else
        fi
       }
#ifdef ASK
    /* DECIDE, of one who has read that the job asks; and the end of the time for it. */
#ifdef BUG_DECIDE_ANY
#define DECIDABLE (q == RUNNING || q == PARKED)
#else
#define DECIDABLE (q == PARKED)
#endif
    :: atomic {
        answers && DECIDABLE ->
        assert(asked); /* only what was asked is decided */
        approved = true;
        asked = false;
        gone_one = qses;
        qses = 0;
        blur(gone_one);
        gone_one = 0;
        q = QUEUED
       }
#ifndef BUG_NO_EXPIRY
    :: atomic {
        q == PARKED ->
#ifdef REACH_EXPIRY
        assert(false);
#endif
        end_job()
       }
#endif
#endif
    od
}

init
{
    atomic {
        /* Both workers are up. */
        nses = 2;
        cur[0] = 1;
        cur[1] = 2;
        home[2] = 1;
        sess[1] = LEASED;
        sess[2] = LEASED;
#ifdef ASK
        if
        :: answers = true
        :: answers = false
        fi;
#endif
#ifndef NO_SLOW
        run SlowStore();
#endif
        run Store();
        run Statements();
        run Loop(0);
        run Loop(1);
        run Host(0);
        run Host(1);
        run Clock();
        run Client()
    }
}

#ifdef LIVE
ltl ends { [] (acked -> <> (q == ENDED)) }
#endif
