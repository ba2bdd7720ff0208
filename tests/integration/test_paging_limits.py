"""The ends of what GET /jobs takes are the same in the gateway and in jobs."""
from client import sign_in


def test_the_largest_offset(stack):
    user = sign_in(stack)
    answer = user.get("/jobs?offset=1000000000")
    assert (answer.status_code, answer.json()["jobs"]) == (200, [])
    answer = user.get("/jobs?offset=1000000001")
    assert answer.status_code == 422
    error = answer.json()["detail"][0]
    assert (error["type"], error["loc"]) == ("less_than_equal", ["query", "offset"])
    assert error["ctx"] == {"le": 1000000000}
