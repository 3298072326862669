"""Bots to read, to run and to start from. ``bot.py`` comes first."""

if __name__ == "examples":
    raise ImportError(
        "expected `twilio_frames.examples`, got a top-level `examples`: this folder ships "
        "inside the package. Import from `twilio_frames.examples` (after `pip install -e .`)."
    )
