"""What a caller hears in the place of a reply, around it, and at the end."""
