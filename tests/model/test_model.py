"""The queue's model (queue.pml) under SPIN: the design holds, each seeded bug is found, and what must
be possible is. A trail of a failure is kept; CONTRIBUTING.md says how to read it."""
import os
import pathlib
import shutil
import subprocess

import pytest

MODEL = pathlib.Path(__file__).with_name("queue.pml")
LONG = os.environ.get("MCPBUS_TEST_LONG") == "2"
SECONDS = 1500 if LONG else 300  # machines are slow and shared
MEGABYTES = 1900

pytestmark = [
    pytest.mark.skipif(shutil.which("spin") is None, reason="spin is not installed"),
    pytest.mark.skipif("/asan" in os.environ.get("MCPBUS_BIN", ""), reason="no program runs here"),
]

ONE = ("ONE_REQUEST",)

# What SPIN says of each bug, and the least number of faults that it takes.
SAFETY_BUGS = {
    "BUG_ACK_EARLY": (1, (), "acked_id==submit_answer"),
    "BUG_KEY_RACE": (1, ("NO_FREEZE", "NO_CANCEL", "NO_DOUBLES", "NO_CRASH"), "jobs==1"),
    "BUG_INSERT_DEAD": (1, ONE, "alive"),
    "BUG_SAME_ATTEMPT": (1, ONE, "begun"),
    "BUG_NO_FENCE_FINISH": (1, ONE, "att=="),
    "BUG_NO_FENCE_APPEND": (1, ONE, "att=="),
    "BUG_TWICE": (1, ONE, "outcomes==1"),
    "BUG_CANCEL_KEEPS_ROW": (1, ONE, "outcomes==1"),
    "BUG_CANCEL_FORGOTTEN": (1, ONE, "told"),
    "BUG_REVIVE": (1, ONE, "sess["),
    "BUG_NO_SELF_KILL": (1, ONE, "newest<=ra"),
    "BUG_CLOSE_EARLY": (1, ONE, "newest<=ra"),
    "BUG_CALL_AFTER_LEASE": (1, ONE, "newest<=ra"),
    "BUG_KILLED_IN_SILENCE": (1, ONE, "calls==1"),
    "BUG_NO_FENCE_PARK": (1, (*ONE, "ASK", "NO_FREEZE", "NO_CANCEL"), "att=="),
    "BUG_DECIDE_ANY": (1, (*ONE, "ASK"), "asked"),
}
LIVENESS_BUGS = {"BUG_NO_REDELIVERY": (), "BUG_REAP_FORGETS_SWEPT": (), "BUG_NO_EXPIRY": ("ASK",)}
REACHABLE = [
    "REACH_SECOND_ATTEMPT_COMPLETES",
    "REACH_CALL_BY_FIRST_COMPLETED_BY_SECOND",
    "REACH_STALE_FINISH",
    "REACH_REDELIVERY",
    "REACH_CANCEL_AFTER_CALL",
    "REACH_KILL_WHILE_FROZEN",
]
REACHABLE_ASKING = ["REACH_CALL_AFTER_APPROVAL", "REACH_EXPIRY"]


def check(folder, faults, *defines, live=False):
    """What the checker says about the model with these definitions."""
    shutil.copy(MODEL, folder)
    flags = [f"-DFAULTS={faults}", *("-D" + name for name in defines), *(["-DLIVE"] if live else [])]
    spin = ["spin", *flags, "-a", MODEL.name]
    subprocess.run(spin, cwd=folder, check=True, capture_output=True, timeout=60)
    kind = ["-DNOREDUCE"] if live else ["-DSAFETY"]
    # The checker's source is so large that compiling it well costs more than it saves in a short run.
    compile_ = ["gcc", "-O2" if faults > 1 else "-O0", "-w", *kind, "-DCOLLAPSE", "-DNOBOUNDCHECK",
                f"-DMEMLIM={MEGABYTES}", "-o", "pan", "pan.c"]
    subprocess.run(compile_, cwd=folder, check=True, timeout=300)
    run = ["./pan", "-m200000", *(["-a"] if live else ["-E"])]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True, timeout=SECONDS)
    print("spin", *flags)
    print(done.stdout)
    return done.stdout


def assert_holds(said):
    assert "errors: 0" in said
    assert "Search not completed" not in said and "max search depth too small" not in said


def assert_violated(said, what):
    assert "errors: 1" in said, "the checker did not find it"
    assert what in said


def test_model_safety(tmp_path):
    assert_holds(check(tmp_path, 1, *ONE))


def test_model_one_key_one_job(tmp_path):
    assert_holds(check(tmp_path, 1, "NO_FREEZE", "NO_CANCEL", "NO_DOUBLES", "NO_CRASH"))


# With all of the assertions of safety, too; only cancels and most renewals are left out.
@pytest.mark.parametrize("faults, kinds",
                         [(1, ()), (2, ()), *([(3, ("NO_FREEZE",))] if LONG else [])])
def test_model_accepted_jobs_end(tmp_path, faults, kinds):
    assert_holds(check(tmp_path, faults, *ONE, *kinds, live=True))


# The same where the call needs its user's word.
@pytest.mark.parametrize("faults, live", [(0, False), (1, True), *([(1, False)] if LONG else [])])
def test_model_asks(tmp_path, faults, live):
    assert_holds(check(tmp_path, faults, *ONE, "ASK", live=live))


@pytest.mark.skipif(not LONG, reason="several minutes, for --long")
@pytest.mark.parametrize("kinds", [
    ("NO_LOSS", "NO_DOUBLES", "NO_FREEZE", "NO_CANCEL"),
    ("NO_SLOW", "NO_FREEZE", "NO_CANCEL"),
    ("NO_SLOW", "NO_LOSS", "NO_DOUBLES", "NO_CANCEL", "NO_CRASH"),
])
def test_model_safety_two_faults(tmp_path, kinds):
    assert_holds(check(tmp_path, 2, "ONE_REQUEST", *kinds))


@pytest.mark.parametrize("bug", SAFETY_BUGS)
def test_model_finds(tmp_path, bug):
    faults, kinds, what = SAFETY_BUGS[bug]
    assert_violated(check(tmp_path, faults, bug, *kinds), what)


@pytest.mark.parametrize("bug", LIVENESS_BUGS)
def test_model_finds_the_stuck(tmp_path, bug):
    said = check(tmp_path, 1, bug, *ONE, *LIVENESS_BUGS[bug], live=True)
    assert_violated(said, "acceptance cycle")


def test_model_finds_reap_of_a_new_attempt(tmp_path):
    said = check(tmp_path, 2, "BUG_REAP_ANY_ATTEMPT", *ONE, live=True)
    assert_violated(said, "assertion violated")


@pytest.mark.parametrize("what", REACHABLE)
def test_model_reaches(tmp_path, what):
    assert_violated(check(tmp_path, 1, what, *ONE), "assertion violated")


@pytest.mark.parametrize("what", REACHABLE_ASKING)
def test_model_reaches_asking(tmp_path, what):
    assert_violated(check(tmp_path, 0, what, *ONE, "ASK"), "assertion violated")
