"""Media streams as Twilio runs them, and sockets that break."""
