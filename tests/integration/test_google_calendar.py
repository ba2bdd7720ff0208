"""Calendar's tools of mcpbus-google, against the sandbox, whose calendar is on New York's clock."""
import pytest

from google_tools import Account, Recorder, running_sandbox

EVENTS = "/calendar/v3/calendars/primary/events"
READS = {"calendar_list_events", "calendar_get_availability"}
WRITES = {"calendar_create_event_with_invitations", "calendar_update_event",
          "calendar_delete_event"}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as address:
        yield address


@pytest.fixture(scope="module")
def account(base):
    one = Account(base, "calendar@example.com")
    answer = one.api("PATCH", "/calendar/v3/calendars/primary",
                     json={"timeZone": "America/New_York"})
    assert answer.json()["timeZone"] == "America/New_York"
    return one


@pytest.fixture(scope="module")
def tools(account):
    with account.tools("calendar.events") as one:
        yield one


def create(tools, start, end, summary="Event", **more):
    return tools.call("calendar_create_event_with_invitations", summary=summary, startTime=start,
                      endTime=end, **more)


def get(account, event_id):
    return account.api("GET", f"{EVENTS}/{event_id}").json()


@pytest.mark.parametrize("scope, names", [
    ("calendar", READS | WRITES), ("calendar.events", READS | WRITES),
    ("calendar.readonly", READS), ("calendar.events.readonly", READS),
    ("calendar.events.owned", READS | WRITES),
    ("calendar.freebusy", {"calendar_get_availability"}), ("drive", set())])
def test_listed_by_scope(account, scope, names):
    with account.tools(scope) as some:
        assert {name for name in some.names() if name.startswith("calendar_")} == names


CALLS = {
    "calendar_list_events": {"timeMin": "2030-01-01", "timeMax": "2030-01-02"},
    "calendar_get_availability": {"timeMin": "2030-01-01", "timeMax": "2030-01-02"},
    "calendar_create_event_with_invitations": {"summary": "x", "startTime": "2030-01-01",
                                               "endTime": "2030-01-01"},
    "calendar_update_event": {"event_id": "abcde", "summary": "x"},
    "calendar_delete_event": {"event_id": "abcde"}}


def test_google_has_the_last_word(account):
    with account.tools("calendar.readonly", said=("calendar",)) as some:
        for name in ("calendar_create_event_with_invitations",):
            assert "does not include it" in some.fails(name, **CALLS[name])
    with account.tools("drive", said=("calendar",)) as some:
        for name, arguments in CALLS.items():
            assert "does not include it" in some.fails(name, **arguments), name


def test_refused_without_the_scope(account):
    with account.tools("calendar.readonly") as some:
        for name in WRITES:
            assert "was not granted" in some.fails(name, **CALLS[name])


# Lists


def test_list(account, tools):
    for hour in (9, 11, 13):
        create(tools, f"2031-05-05T{hour:02}:00:00", f"2031-05-05T{hour:02}:30:00", f"At {hour}")
    create(tools, "2031-05-05", "2031-05-06", "All day")
    create(tools, "2031-05-06T00:00:00", "2031-05-06T01:00:00", "Next day")
    text, data = tools.call("calendar_list_events", timeMin="2031-05-05", timeMax="2031-05-05")
    assert [one["summary"] for one in data["events"]] == ["All day", "At 9", "At 11", "At 13"]
    assert data["events"][1]["start"] == "2031-05-05T09:00:00-04:00" and "At 11" in text
    assert data["events"][0]["start"] == "2031-05-05" and data["complete"] is True
    text, data = tools.call("calendar_list_events", timeMin="2031-05-05T10:00:00-04:00",
                            timeMax="2031-05-05T17:00:00Z")
    assert [one["summary"] for one in data["events"]] == ["All day", "At 11"]
    text, data = tools.call("calendar_list_events", timeMin="2031-05-05", timeMax="2031-05-05",
                            maxResults=2)
    assert len(data["events"]) == 2 and "[there are more]" in text
    text = tools.call("calendar_list_events", timeMin="2032-01-01", timeMax="2032-01-02")[0]
    assert "No events found" in text


def test_times_that_are_none(tools):
    for bad in ("today", "2030-02-30", "2030-01-01T25:00:00Z"):
        assert "must be a day or an RFC 3339 time" in tools.fails(
            "calendar_list_events", timeMin=bad, timeMax="2030-01-02")
        assert "must be a day such as" in tools.fails(
            "calendar_create_event_with_invitations", summary="x", startTime=bad, endTime=bad)
    assert "before" in tools.fails("calendar_get_availability", timeMin="2030-01-02",
                                   timeMax="2030-01-01")
    assert "both be days or both be times" in tools.fails(
        "calendar_create_event_with_invitations", summary="x", startTime="2030-01-01",
        endTime="2030-01-01T09:00:00Z")
    assert "before" in tools.fails(
        "calendar_create_event_with_invitations", summary="x", startTime="2030-01-01T10:00:00Z",
        endTime="2030-01-01T10:00:00+02:00")


# Making


@pytest.mark.parametrize("start, end, stored", [
    ("2030-01-10T09:00:00", "2030-01-10T10:00:00",
     ("2030-01-10T09:00:00-05:00", "2030-01-10T10:00:00-05:00")),
    ("2030-07-10 09:00", "2030-07-10 10:00",
     ("2030-07-10T09:00:00-04:00", "2030-07-10T10:00:00-04:00")),
    ("2030-01-10T09:00:00Z", "2030-01-10T11:00:00+01:00",
     ("2030-01-10T04:00:00-05:00", "2030-01-10T05:00:00-05:00")),
    ("2030-01-10", "2030-01-10", ("2030-01-10", "2030-01-11")),
    ("2030-01-10", "2030-01-13", ("2030-01-10", "2030-01-13"))])
def test_create(account, tools, start, end, stored):
    text, data = create(tools, start, end, "Lunch", location="Harbour", description="with Ünal")
    assert text.startswith("Created the event: Lunch") and "invitations" not in text.lower()
    event = get(account, data["id"])
    times = [event[key].get("dateTime", event[key].get("date")) for key in ("start", "end")]
    assert tuple(times) == stored == (data["start"], data["end"])
    assert (event["location"], event["description"]) == ("Harbour", "with Ünal")


def invitations(guest, words):
    return guest.api("GET", "/gmail/v1/users/me/messages",
                     params={"q": f"subject:{words}"}).json().get("messages", [])


def test_invitations(account, tools, base):
    guest = Account(base, "guest@example.com")
    times = ("2030-02-01T09:00:00", "2030-02-01T10:00:00")
    text = create(tools, *times, "Quiet", attendees=["guest@example.com"],
                  send_invitations=False)[0]
    assert "No invitations sent" in text and invitations(guest, "Quiet") == []
    text, data = create(tools, *times, "Loud", attendees="Guest <guest@example.com>; b@example.com")
    assert "Invitations were sent" in text
    assert data["attendees"] == ["guest@example.com", "b@example.com"]
    assert len(invitations(guest, "Loud")) == 1
    bad = tools.fails("calendar_create_event_with_invitations", summary="x", startTime=times[0],
                      endTime=times[1], attendees=["a@example.com", "nobody"])
    assert '"nobody" is not an email address' in bad
    tools.call("calendar_delete_event", event_id=data["id"])
    assert len(invitations(guest, "Canceled")) == 1


def test_a_lost_answer_makes_no_second_event(account, tools):
    """The event's id is ours: the repeated request finds that it is there."""
    lost = []

    def lose(seen):
        if seen.method == "POST" and seen.path == EVENTS and not lost:
            lost.append(account.api("POST", EVENTS, data=seen.body, headers={
                "Content-Type": "application/json"}).json()["id"])
            return 503, {"error": {"code": 503, "message": "later"}}
        return None

    with Recorder(account.base) as recorder, account.tools(
            "calendar.events", through=recorder) as some:
        recorder.hook = lose
        data = create(some, "2033-01-01T09:00:00Z", "2033-01-01T10:00:00Z", "Once")[1]
    assert data["id"] == lost[0]
    listed = tools.call("calendar_list_events", timeMin="2033-01-01", timeMax="2033-01-01")[1]
    assert len(listed["events"]) == 1


# Changing


def test_update(account, tools):
    event_id = create(tools, "2030-03-01T09:00:00", "2030-03-01T09:45:00", "Old", location="Here",
                      attendees=["a@example.com", "b@example.com"])[1]["id"]
    event = get(account, event_id)
    event["attendees"][0]["responseStatus"] = "accepted"
    account.api("PATCH", f"{EVENTS}/{event_id}", json={"attendees": event["attendees"]})

    text, data = tools.call("calendar_update_event", event_id=event_id, summary="New")
    assert text.startswith("Changed the event: New")
    assert data["location"] == "Here" and data["start"] == "2030-03-01T09:00:00-05:00"

    data = tools.call("calendar_update_event", event_id=event_id,
                      startTime="2030-03-02T12:00:00")[1]  # it lasts as long as before
    assert (data["start"], data["end"]) == ("2030-03-02T12:00:00-05:00",
                                            "2030-03-02T12:45:00-05:00")
    data = tools.call("calendar_update_event", event_id=event_id, endTime="2030-03-02T18:00:00Z")[1]
    assert data["end"] == "2030-03-02T13:00:00-05:00"

    tools.call("calendar_update_event", event_id=event_id, attendees="A@example.com, c@example.com")
    guests = {one["email"]: one["responseStatus"] for one in get(account, event_id)["attendees"]}
    assert guests == {"a@example.com": "accepted", "c@example.com": "needsAction"}

    data = tools.call("calendar_update_event", event_id=event_id, startTime="2030-03-05",
                      endTime="2030-03-05")[1]
    assert (data["start"], data["end"]) == ("2030-03-05", "2030-03-06")
    tools.call("calendar_update_event", event_id=event_id, endTime="2030-03-07")
    data = tools.call("calendar_update_event", event_id=event_id, startTime="2030-03-30")[1]
    assert (data["start"], data["end"]) == ("2030-03-30", "2030-04-01")
    data = tools.call("calendar_update_event", event_id=event_id, location="", description="")[1]
    assert not get(account, event_id).get("location")


def test_guests_that_stay_keep_all_that_is_known_of_them(account, tools):
    event_id = create(tools, "2030-03-20T09:00:00", "2030-03-20T10:00:00")[1]["id"]
    known = {"email": "a@example.com", "displayName": "Änne", "optional": True, "comment": "late",
             "additionalGuests": 2, "responseStatus": "accepted"}
    account.api("PATCH", f"{EVENTS}/{event_id}", json={"attendees": [known]})
    tools.call("calendar_update_event", event_id=event_id, attendees='["a@example.com", "b@x.org"]')
    kept, new = get(account, event_id)["attendees"]
    assert kept == known and new["email"] == "b@x.org"
    # What is left empty is not given: nobody is uninvited.
    tools.call("calendar_update_event", event_id=event_id, summary="New", attendees="", endTime="")
    assert len(get(account, event_id)["attendees"]) == 2
    tools.call("calendar_update_event", event_id=event_id, attendees=[])
    assert not get(account, event_id).get("attendees")


def test_update_refuses(tools):
    event_id = create(tools, "2030-04-01T09:00:00", "2030-04-01T10:00:00")[1]["id"]
    assert "Nothing is to be changed" in tools.fails("calendar_update_event", event_id=event_id)
    assert "before" in tools.fails("calendar_update_event", event_id=event_id,
                                   endTime="2030-04-01T08:00:00")
    assert "both" in tools.fails("calendar_update_event", event_id=event_id, startTime="2030-04-01")
    assert "did not find it" in tools.fails("calendar_update_event", event_id="abcde", summary="x")
    assert "not the id" in tools.fails("calendar_update_event", event_id="../x", summary="x")


def test_an_update_in_between_is_not_lost(account):
    """Someone changes the event after we have read it: it is read again, and both changes last."""
    event_id = create_plain(account)
    changed = []

    def change(seen):
        if seen.method == "PATCH" and not changed:
            changed.append(seen.headers["If-Match"])
            account.api("PATCH", f"{EVENTS}/{event_id}", json={
                "location": "Elsewhere", "attendees": [{"email": "x@example.com",
                                                        "responseStatus": "accepted"}]})
        return None

    with Recorder(account.base) as recorder, account.tools(
            "calendar.events", through=recorder) as some:
        recorder.hook = change
        some.call("calendar_update_event", event_id=event_id,
                  attendees=["x@example.com", "y@example.com"])
        assert len(recorder.seen("PATCH", f"{EVENTS}/{event_id}")) == 2
        assert recorder.requests[-1].query["sendUpdates"] == "all"
    event = get(account, event_id)
    assert event["location"] == "Elsewhere"
    assert [one["responseStatus"] for one in event["attendees"]] == ["accepted", "needsAction"]


def create_plain(account, **more):
    return account.api("POST", EVENTS, json={
        "summary": "Plain", "start": {"dateTime": "2034-01-01T09:00:00Z"},
        "end": {"dateTime": "2034-01-01T10:00:00Z"}, **more}).json()["id"]


def test_an_event_that_changes_all_the_time(account):
    event_id = create_plain(account)

    def change(seen):
        if seen.method == "PATCH":
            account.api("PATCH", f"{EVENTS}/{event_id}", json={"location": "x"})
        return None

    with Recorder(account.base) as recorder, account.tools(
            "calendar.events", through=recorder) as some:
        recorder.hook = change
        text = some.fails("calendar_update_event", event_id=event_id, summary="y")
    assert "changed by someone else" in text and get(account, event_id)["summary"] == "Plain"


def test_delete(account, tools):
    event_id = create_plain(account)
    text, data = tools.call("calendar_delete_event", event_id=event_id)
    assert text.startswith("Deleted the event: Plain") and data["status"] == "cancelled"
    assert get(account, event_id)["status"] == "cancelled"
    assert "deleted already" in tools.fails("calendar_delete_event", event_id=event_id)
    assert "has been deleted" in tools.fails("calendar_update_event", event_id=event_id,
                                             summary="x")
    assert "did not find it" in tools.fails("calendar_delete_event", event_id="abcde")


# Free times


@pytest.fixture(scope="module")
def busy_day(account):
    """2035-06-01: two meetings that overlap, one that is declined, one that counts as free."""
    def at(start, end, **more):
        create_plain(account, start={"dateTime": f"2035-06-01T{start}:00-04:00"},
                     end={"dateTime": f"2035-06-01T{end}:00-04:00"}, **more)

    at("09:00", "10:00")
    at("09:30", "11:00")
    at("12:00", "13:00", transparency="transparent")
    at("23:30", "23:59")
    create_plain(account, start={"date": "2035-06-03"}, end={"date": "2035-06-04"})


@pytest.mark.parametrize("scope", ["calendar.events", "calendar.readonly", "calendar",
                                   "calendar.events.readonly"])
def test_availability(account, busy_day, scope):
    """From the events or from freeBusy, as the scopes allow: the same answer."""
    with Recorder(account.base) as recorder, account.tools(scope, through=recorder) as some:
        text, data = some.call("calendar_get_availability", timeMin="2035-06-01",
                               timeMax="2035-06-02")
        asked = len(recorder.seen("POST", "/calendar/v3/freeBusy"))
    assert asked == (0 if "events" in scope else 1)
    assert data["busy"] == [
        {"start": "2035-06-01T09:00:00-04:00", "end": "2035-06-01T11:00:00-04:00"},
        {"start": "2035-06-01T23:30:00-04:00", "end": "2035-06-01T23:59:00-04:00"}]
    assert [(one["start"][5:16], one["end"][5:16]) for one in data["free"]] == [
        ("06-01T00:00", "06-01T09:00"), ("06-01T11:00", "06-01T23:30"),
        ("06-01T23:59", "06-03T00:00")]
    assert data["timeZone"] == "America/New_York"
    assert "- 2035-06-01T09:00:00-04:00 to 2035-06-01T11:00:00-04:00" in text


def test_a_day_of_its_own_is_busy_as_a_whole(tools, busy_day):
    text, data = tools.call("calendar_get_availability", timeMin="2035-06-03", timeMax="2035-06-03")
    assert data["busy"] == [{"start": "2035-06-03T00:00:00-04:00",
                             "end": "2035-06-04T00:00:00-04:00"}]
    assert data["free"] == [] and "Free: none" in text


def test_declined_meetings_do_not_count(account, tools):
    def own(status):
        return [{"email": account.email, "self": True, "responseStatus": status}]

    for start, status in (("09", "declined"), ("14", "accepted")):
        create_plain(account, start={"dateTime": f"2035-07-01T{start}:00:00Z"}, attendees=own(status),
                     end={"dateTime": f"2035-07-01T{start}:30:00Z"})
    data = tools.call("calendar_get_availability", timeMin="2035-07-01T00:00:00Z",
                      timeMax="2035-07-02T00:00:00Z")[1]
    assert [one["start"] for one in data["busy"]] == ["2035-07-01T10:00:00-04:00"]


def test_free_times_with_their_scope_alone(account, busy_day):
    with account.tools("calendar.freebusy") as some:
        data = some.call("calendar_get_availability", timeMin="2035-06-01T00:00:00-04:00",
                         timeMax="2035-06-02T00:00:00-04:00")[1]
        assert data["busy"][0] == {"start": "2035-06-01T13:00:00Z", "end": "2035-06-01T15:00:00Z"}
        assert "does not include it" in some.fails("calendar_get_availability",
                                                   timeMin="2035-06-01", timeMax="2035-06-02")
