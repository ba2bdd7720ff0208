"""The oracle itself, on made-up logs: silent about what is right, and each wrong found."""
import copy
import json

import pytest

import oracle
import plan

JOB, USER = "01a2-1", "user-1"


def sound():
    """A run in which all went well: one job, accepted, run again once, completed."""
    records = [
        {"t": 1.0, "w": "post", "s": "1", "user": USER, "message": "m1", "key": "k1"},
        {"t": 1.1, "w": "ack", "s": "1", "user": USER, "id": JOB, "key": "k1", "ms": 3},
        {"t": 1.2, "w": "seen", "by": "poll", "id": JOB, "user": USER, "owner": USER,
         "status": "running", "result": None, "error": None, "usage": None, "t0": 1.15},
        {"t": 1.3, "w": "event", "id": JOB, "stream": "s", "n": 1, "e": "status",
         "d": '{"status":"pending"}'},
        {"t": 1.4, "w": "event", "id": JOB, "stream": "s", "n": 2, "e": "status",
         "d": '{"status":"running","attempt":1}'},
        {"t": 1.5, "w": "event", "id": JOB, "stream": "s", "n": 3, "e": "status",
         "d": '{"status":"completed"}'},
        {"t": 1.5, "w": "stream", "id": JOB, "stream": "s", "after": 3, "how": "end"},
        {"t": 1.6, "w": "seen", "by": "wait", "id": JOB, "user": USER, "owner": USER,
         "status": "completed", "result": "echo: m1", "error": None, "usage": None, "t0": 1.2},
        {"t": 1.7, "w": "reply", "what": "POST /run", "code": 503, "retry_after": "1", "t0": 1.6,
         "detail": "later"},
        {"t": 1.8, "w": "foreign", "id": JOB, "user": "user-2", "code": 404},
        {"t": 1.8, "w": "logout", "user": USER, "code": 401},
        {"t": 2.0, "w": "final", "id": JOB, "events": [
            [1, "status", {"status": "pending"}],
            [2, "status", {"status": "running", "attempt": 1}],
            [3, "status", {"status": "completed"}]]},
        {"t": 2.0, "w": "total", "user": USER, "total": 1},
    ]
    tables = {
        "jobs": {JOB: {"user": USER, "message": "m1", "status": "completed", "result": "echo: m1",
                       "error": None, "attempts": 2, "events": 3,
                       "usage": {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}}},
        "events": {}, "queue": set(), "keys": {(USER, "k1"): JOB},
        "trail": {JOB: [
            step("made", status="pending", attempt=0), step("new", state=1, attempt=1, session="a"),
            step("change", state=0, attempt=1), step("change", state=1, attempt=2, session="b"),
            step("gone", state=1, attempt=2, session="b"),
            step("end", status="completed", attempt=2)]},
    }
    return records, tables, [(1.0, 1.5)]


def step(what, **values):
    return {"what": what, "state": None, "attempt": None, "session": None, "seq": None,
            "status": None, "at": 1.0, **values}


def kinds(records, tables, windows, load="echo"):
    return {kind for kind, _, _ in oracle.judge(load, records, tables, windows)}


def test_nothing_is_wrong():
    assert kinds(*sound()) == set()


def of(records, what, n=0):
    return [record for record in records if record["w"] == what][n]


def lose(records, tables):
    tables["jobs"].clear()


def change_message(records, tables):
    tables["jobs"][JOB]["message"] = "m2"


def change_owner(records, tables):
    tables["jobs"][JOB]["user"] = "user-2"


def change_answer(records, tables):
    tables["jobs"][JOB]["result"] = "echo: m2"


def never_end(records, tables):
    tables["jobs"][JOB]["status"] = "pending"
    tables["queue"].add(JOB)


def end_and_stay(records, tables):
    tables["queue"].add(JOB)


def cancel_unasked(records, tables):
    tables["jobs"][JOB]["status"] = "cancelled"


def fail(records, tables):
    tables["jobs"][JOB].update(status="failed", error="Something of its own")


def double_key(records, tables):
    records.append({**of(records, "ack"), "id": "01a2-2"})


def double_submission(records, tables):
    tables["jobs"]["01a2-2"] = tables["jobs"][JOB]


def drop_key(records, tables):
    tables["keys"].clear()


def orphan_key(records, tables):
    tables["keys"][(USER, "k9")] = "01a2-9"


def accept_other_body(records, tables):
    records.append({"t": 2, "w": "conflict", "id": JOB, "code": 200})


def go_back(records, tables):
    records.append({**of(records, "seen"), "t": 1.8, "t0": 1.75})


def end_twice(records, tables):
    of(records, "seen", 1)["result"] = "echo: other"


def cancel_in_vain(records, tables):
    of(records, "seen")["by"] = "cancel"


def show_to_another(records, tables):
    of(records, "foreign")["code"] = 200


def give_anothers(records, tables):
    of(records, "seen")["owner"] = "user-2"


def skip_event(records, tables):
    records.remove(of(records, "event", 1))


def change_event(records, tables):
    of(records, "event", 1)["d"] = '{"status":"running","attempt":7}'


def end_stream_early(records, tables):
    of(records, "stream")["after"] = 2


def two_ends(records, tables):
    of(records, "final")["events"][1][2]["status"] = "cancelled"


def gap_in_store(records, tables):
    tables["jobs"][JOB]["events"] = 5
    tables["events"][JOB] = [(4, "message", {"text": "x"})]


def internal_error(records, tables):
    of(records, "reply")["code"] = 500


def no_retry_after(records, tables):
    of(records, "reply")["retry_after"] = None


def refuse_in_peace(records, tables):
    of(records, "reply").update(t=100, t0=99)


def miscount(records, tables):
    of(records, "total")["total"] = 2


def let_in(records, tables):
    of(records, "logout")["code"] = 200


def wrong_usage(records, tables):
    tables["jobs"][JOB]["usage"]["total_tokens"] = 3


def skip_attempt(records, tables):
    tables["trail"][JOB][3]["attempt"] = 3


def take_over(records, tables):
    tables["trail"][JOB][2:3] = [step("change", state=1, attempt=1, session="z"),
                                 step("change", state=0, attempt=1)]


def stale_end(records, tables):
    tables["trail"][JOB][-1]["attempt"] = 1


def end_unheld(records, tables):
    tables["trail"][JOB][-2]["state"] = 0


def end_again(records, tables):
    tables["trail"][JOB].append(step("end", status="failed", attempt=2))


def delete(records, tables):
    tables["trail"][JOB].append(step("deleted"))


def late_event(records, tables):
    tables["trail"][JOB].append(step("event", seq=3))


def stale_event(records, tables):
    """A result of attempt 1 that comes when attempt 2 has begun."""
    tables["jobs"][JOB]["events"] = 5
    tables["events"][JOB] = [(3, "tool_call", {"id": "c"}), (4, "tool_result", {"id": "c"})]
    tables["trail"][JOB][2:2] = [step("event", seq=3, attempt=1)]
    tables["trail"][JOB][5:5] = [step("event", seq=4, attempt=2)]


def resume(tables, *results):
    """Attempt 2 tells these results of a call that attempt 1 has left open."""
    tables["jobs"][JOB]["events"] = 4 + len(results)
    tables["events"][JOB] = [(3, "tool_call", {"id": "c"})] + [
        (4 + n, "tool_result", {"id": "c", "content": text}) for n, text in enumerate(results)]
    tables["trail"][JOB][2:2] = [step("event", seq=3, attempt=1)]
    tables["trail"][JOB][5:5] = [step("event", seq=4 + n, attempt=2)
                                 for n in range(len(results))]


def answer_twice(records, tables):
    resume(tables, *["It is unknown whether the tool acted."] * 2)


def act(records, tables, tool, *spans):
    message = f'use tool {tool} with {{"tag": "tag", "seconds": 1}}'
    of(records, "post")["message"] = tables["jobs"][JOB]["message"] = message
    tables["jobs"][JOB]["result"] = "echo: " + message
    records.append({"t": 3, "w": "acts", "tag": "tag", "spans": spans})


def act_twice(records, tables):
    act(records, tables, "act_once", ["a", 1, 2], ["b", 13, 14])


def act_at_once(records, tables):
    act(records, tables, "act_again", ["a", 1, 20], ["b", 13, 14])


def act_not(records, tables):
    act(records, tables, "act_again")
    tables["events"][JOB] = [(3, "tool_result", {"id": "c", "is_error": False})]


def give_up(records, tables):
    records.append({"t": 3, "w": "gave_up", "s": "1", "key": "k1", "healthy": True})


def approve_unasked(records, tables):
    tables["jobs"][JOB]["events"] = 6
    tables["events"][JOB] = [(3, "waiting_approval", {"calls": []}), (4, "message", {}),
                             (5, "approval", {"decision": "approve"})]


@pytest.mark.parametrize("wrong, kind", [
    (lose, "lost"), (change_message, "wrong message"), (change_owner, "wrong owner"),
    (change_answer, "wrong answer"), (never_end, "stuck"), (end_and_stay, "ended and queued"),
    (cancel_unasked, "cancelled by nobody"), (fail, "failed"), (double_key, "one key, two jobs"),
    (double_submission, "doubled"), (drop_key, "key row"), (orphan_key, "key without job"),
    (accept_other_body, "key used again"), (go_back, "went back"), (end_twice, "ended twice"),
    (cancel_in_vain, "cancel"), (show_to_another, "seen by another"),
    (give_anothers, "seen by another"), (skip_event, "stream's gap"),
    (change_event, "stream differs"), (end_stream_early, "stream's end"),
    (two_ends, "terminal event"), (gap_in_store, "events' gap"), (internal_error, "reply"),
    (no_retry_after, "no Retry-After"), (refuse_in_peace, "needless refusal"),
    (miscount, "wrong total"), (let_in, "logged out"), (wrong_usage, "wrong usage"),
    (skip_attempt, "attempts"), (take_over, "taken over"), (stale_end, "stale end"),
    (end_unheld, "stale end"), (end_again, "ended twice"), (delete, "deleted"),
    (late_event, "late event"), (stale_event, "stale event"),
    (answer_twice, "stale event"), (act_twice, "acted twice"),
    (act_at_once, "acted at once"), (act_not, "did not act"),
    (give_up, "never accepted"), (approve_unasked, "approved unasked")])
def test_each_wrong_is_found(wrong, kind):
    records, tables, windows = copy.deepcopy(sound())
    wrong(records, tables)
    assert kind in kinds(records, tables, windows)


def test_a_fault_gives_a_reason():
    """What is refused or lost while something is wrong is no finding; what the client asked for
    neither."""
    records, tables, windows = sound()
    records.append({"t": 1.0, "w": "cancel", "id": JOB})
    tables["jobs"][JOB]["status"] = "cancelled"
    found = kinds(records, tables, windows)
    assert "cancelled by nobody" not in found and "needless refusal" not in found


def test_a_later_attempt_may_say_that_it_does_not_know():
    records, tables, windows = sound()
    resume(tables, "It is unknown whether the tool acted.")
    assert "stale event" not in kinds(records, tables, windows)


def test_the_same_seed_gives_the_same_plan():
    one, two, other = (plan.draw(seed, "agent", 300, 24) for seed in (7, 7, 8))
    assert json.dumps(one) == json.dumps(two) != json.dumps(other)
    assert {fault["kind"] for fault in plan.draw(1, "agent", 36000, 60)} == \
        {kind[0] for kind in plan.KINDS}
    assert all(fault["at"] + fault["seconds"] <= 300 for fault in one)
