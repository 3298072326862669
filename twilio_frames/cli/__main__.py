"""Runs the command ``twilio-frames`` as ``python -m twilio_frames.cli``."""

import sys

from twilio_frames.cli import main

if __name__ == "__main__":
    sys.exit(main())
