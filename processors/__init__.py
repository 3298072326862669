"""The processors of a phone bot: subclasses of Pipecat's own, made to be subclassed."""

if __name__ == "processors":
    raise ImportError(
        "expected `twilio_frames.processors`, got a top-level `processors`: this folder ships "
        "inside the package. Import from `twilio_frames.processors` (after `pip install -e .`)."
    )
