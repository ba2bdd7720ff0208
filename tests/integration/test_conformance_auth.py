"""The authorization scenarios of MCP's conformance suite, each with an MCP server and an
authorization server of its own. They are many and short: all run at once, as many as there is room
for, and each test waits for its own."""
import concurrent.futures
import os

import pytest

from test_conformance import run_scenario

FIRST, OLD, NEW = "2025-03-26", "2025-11-25", "2026-07-28"

BOTH = ["metadata-default", "metadata-var1", "metadata-var2", "metadata-var3", "basic-cimd",
        "pre-registration", "scope-from-www-authenticate", "scope-from-scopes-supported",
        "scope-omitted-when-undefined", "scope-step-up", "scope-retry-limit",
        "token-endpoint-auth-basic", "token-endpoint-auth-post", "token-endpoint-auth-none"]
MODERN = ["resource-mismatch", "offline-access-scope", "offline-access-not-supported",
          "authorization-server-migration", "iss-supported", "iss-not-advertised",
          "iss-supported-missing", "iss-wrong-issuer", "iss-unexpected", "iss-normalized",
          "metadata-issuer-mismatch"]
# Of no version: the suite runs them at one when it is forced to.
EXTENSIONS = ["client-credentials-basic", "client-credentials-jwt", "wif-jwt-bearer",
              "enterprise-managed-authorization", "dpop", "dpop-nonce"]
# The older version differs in these few; the others say there what they say at the newer one.
QUICK = ["metadata-default", "metadata-var1", "basic-cimd", "scope-step-up",
         "token-endpoint-auth-basic"]


def case(version, name):
    slow = version == OLD and name not in QUICK
    return pytest.param(version, name, marks=pytest.mark.slow if slow else ())


CASES = [case(FIRST, "2025-03-26-oauth-metadata-backcompat"),
         case(FIRST, "2025-03-26-oauth-endpoint-fallback"),
         *(case(OLD, name) for name in BOTH + EXTENSIONS),
         *(case(NEW, name) for name in BOTH + MODERN + EXTENSIONS)]


@pytest.fixture(scope="module")
def outcomes(request, tmp_path_factory):
    """(version, name) of each selected case: what has become of it, sooner or later."""
    selected = [(item.callspec.params["version"], item.callspec.params["name"])
                for item in request.session.items if item.module is request.module]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() + 1) as pool:
        yield {(version, name): pool.submit(
            run_scenario, version, f"auth/{name}", tmp_path_factory.mktemp("auth"),
            *(["--force"] if name in EXTENSIONS else [])) for version, name in selected}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("version, name", CASES)
def test_scenario(outcomes, version, name):
    outcomes[version, name].result()
