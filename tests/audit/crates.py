"""The RO-Crate community's validator, with the two contexts that it would fetch."""

import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

PROFILE = "provenance-run-crate-0.5"


def crate_problems(folder) -> list[str]:
    """What in a crate is not as its profile requires, by the validator in a process of its own."""
    with tempfile.TemporaryDirectory() as cache:
        process = subprocess.run(
            [sys.executable, __file__, str(folder), cache], capture_output=True, text=True
        )
    assert process.returncode == 0, process.stderr[-3000:]
    return json.loads(process.stdout.splitlines()[-1])


def fill_cache(path: str) -> None:
    """Put the contexts where the validator looks instead of on the network.

    That of RO-Crate is the one in the rocrate library, of version 1.3; in 1.1, which the
    profile builds on, the terms of Bioschemas have another address.
    """
    import requests
    import rocrate
    from requests.adapters import BaseAdapter
    from requests_cache import CachedSession
    from urllib3 import HTTPResponse

    kept = Path(rocrate.__file__).parent / "data/ro-crate.jsonld"
    terms = "https://w3id.org/ro/terms/workflow-run"
    contexts = {
        "https://w3id.org/ro/crate/1.1/context": kept.read_text().replace(
            "bioschemas.org/terms/", "bioschemas.org/"
        ),
        f"{terms}/context": json.dumps({"@context": {"sha256": f"{terms}#sha256"}}),
    }

    class Kept(BaseAdapter):
        def send(self, request, **_):
            body = io.BytesIO(contexts[request.url].encode())
            headers = {"Content-Type": "application/ld+json"}
            response = requests.Response()
            response.status_code, response.url, response.request = 200, request.url, request
            response.raw = HTTPResponse(
                body=body, status=200, headers=headers, preload_content=False
            )
            response.headers = response.raw.headers
            return response

        def close(self):
            pass

    with CachedSession(path, backend="sqlite", expire_after=-1) as session:
        session.mount("https://", Kept())
        for url in contexts:
            session.get(url)


def validate(folder: str, cache: str) -> list[str]:
    from rocrate_validator import models, services

    settings = services.ValidationSettings(
        rocrate_uri=folder,
        profile_identifier=PROFILE,
        requirement_severity=models.Severity.REQUIRED,
        offline=True,
        cache_path=cache,
    )
    return [str(issue.message) for issue in services.validate(settings).get_issues()]


if __name__ == "__main__":
    fill_cache(f"{sys.argv[2]}/http")
    print(json.dumps(validate(sys.argv[1], f"{sys.argv[2]}/http")))
