"""A logout while a call of the same user is under way."""
import concurrent.futures
import signal

from client import sign_in
from stack import wait_until


def test_no_stream_begins_behind_a_logout(new_stack):
    """The stream's first question to jobs is under way when the token ends."""
    stack = new_stack()
    user = sign_in(stack)
    job_id = user.run("[sandbox:slow=60] Say hello")
    user.reach(job_id, "running")
    stack.kill("jobs", sig=signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        stream = pool.submit(user.stream, job_id)
        wait_until(lambda: "mcpbus_http_requests_active 2" in stack.get("/metrics").text, 5,
                   "the stream's request is under way, beside that for the metrics")
        assert user.delete("/auth/logout").status_code == 200
        wait_until(lambda: user.get("/me").status_code == 401, 1, "the token has ended")
        stack.kill("jobs", sig=signal.SIGCONT)
        with stream.result() as answer:
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
