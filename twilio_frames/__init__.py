"""A Pipecat voice bot on a Twilio phone line, and a Twilio on your desk to call it.

The rooms, from the ground up; a room imports only from rooms above it in this list:

- ``errors``: every exception this package raises.
- ``private_files``: files that only their owner reads.
- ``protocol``, ``audio``, ``twiml``, ``signature``: pure, no I/O and no Pipecat.
- ``frames``: what a phone call adds to Pipecat's frames.
- ``processors``: serializer, VAD, STT, context, LLM, TTS, mu-law output; made to be subclassed.
- ``transport``, ``rest``: the media socket and Twilio's REST API.
- ``worker``: Pipecat's worker, set for a phone line.
- ``call``, ``local``, ``services``: one call from ring to hang-up; speech services that need no
  key; vendors' services.
- ``server``: the web application Twilio talks to.
- ``testing``: a simulated Twilio with callers that can be scripted.
- ``examples``: bots to read, to run and to start from.
- ``cli``: the ``twilio-frames`` command.

Importing this package imports none of them. What users import is listed in
``docs/public-names.txt``; all else may change without notice.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
