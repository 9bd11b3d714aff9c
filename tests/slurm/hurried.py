"""`warpgauge analyzer` with its waits cut from minutes to seconds, so that a test lives to see a verification.

Nothing else is changed: what is waited for, measured and compared is the analyzer's own code.
"""

from __future__ import annotations

import sys

from warpgauge.analyzer.frame import Frame
from warpgauge.analyzer.recommend import rails, verifying
from warpgauge.analyzer.service import watch
from warpgauge.cli.main import main

COLUMN_SECONDS = 2.0  # instead of 10
AGE_SECONDS = 4.0  # of a finding that anyone is disturbed for, instead of 2 min
SETTLE_SECONDS = 4.0  # after a move, instead of 5 min
WINDOW_SECONDS = 14.0  # before and after it, instead of 10 min
PATIENCE_SECONDS = 3.0  # with samples that come late, instead of 20 s

Frame.__init__.__kwdefaults__["step_seconds"] = COLUMN_SECONDS
rails.LEAST_AGE_SECONDS = AGE_SECONDS
verifying.SETTLE_SECONDS, verifying.WINDOW_SECONDS = SETTLE_SECONDS, WINDOW_SECONDS
watch._PATIENCE_SECONDS = PATIENCE_SECONDS

if __name__ == "__main__":
    sys.exit(main())
