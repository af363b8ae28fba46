"""python -m deploy.vulnerabilities: asks the advisory database about every package of the lock.

Where it cannot be reached that is said, and is no failure unless REQUIRE_ADVISORIES is 1.
Source: the batch query of osv.dev, API v1, 2026-11.
"""

import json
import os
import sys
import urllib.error
import urllib.request

from deploy.sbom import LOCK, Package, read_lock

URL = "https://api.osv.dev/v1/querybatch"
TIMEOUT_SECONDS = 20


def ask(packages: list[Package]) -> dict[Package, list[str]]:
    """Find the advisories of each package.

    Raises:
        OSError, ValueError: The database cannot be reached, or its answer not be read.
    """
    queries = [
        {"package": {"name": each.name, "ecosystem": "PyPI"}, "version": each.version}
        for each in packages
    ]
    request = urllib.request.Request(  # noqa: S310  # the address is a constant
        URL,
        data=json.dumps({"queries": queries}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
        results = json.load(response)["results"]
    return {
        package: [advisory["id"] for advisory in result.get("vulns", [])]
        for package, result in zip(packages, results, strict=True)
    }


def main() -> int:
    """Print what is known, and fail if something is."""
    packages = read_lock(LOCK.read_text())
    try:
        known = {package: ids for package, ids in ask(packages).items() if ids}
    except (OSError, ValueError, KeyError) as error:
        print(f"vulnerabilities: skipped, {URL} cannot be asked: {type(error).__name__}")
        return int(os.environ.get("REQUIRE_ADVISORIES") == "1")
    for package, ids in known.items():
        print(f"{package.name} {package.version}: {', '.join(ids)}")
    print(f"vulnerabilities: {len(packages)} packages asked about, {len(known)} with advisories")
    return int(bool(known))


if __name__ == "__main__":
    sys.exit(main())
