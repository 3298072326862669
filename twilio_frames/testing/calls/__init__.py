"""What Twilio does with a call, from ringing to its last status callback."""
