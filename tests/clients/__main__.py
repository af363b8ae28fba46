"""python -m tests.clients: generate a client in each language whose tools are here."""

import sys

from tests.clients.languages import LANGUAGES, ROOT, Broken, Missing


def main() -> int:
    """Make them; return 1 if one is broken."""
    code = 0
    for language in LANGUAGES:
        try:
            language.make()
        except Missing as error:
            print(f"clients: no {language.name}: {error}")
        except Broken as error:
            print(f"clients: {error}", file=sys.stderr)
            code = 1
        else:
            print(f"clients: {language.folder.relative_to(ROOT)}", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
