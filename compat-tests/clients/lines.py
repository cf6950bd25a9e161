"""A client driven line by line (support/offers/driven.py): reads calls, does them, answers."""

import json
import sys
import traceback


def serve(*calls):
    by_name = {call.__name__: call for call in calls}
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = {"got": by_name[asked["call"]](**asked["with"])}
        except Exception:
            answer = {"failed": traceback.format_exc()}
        print(json.dumps(answer), flush=True)
