"""A coffee shop that takes orders by phone: its menu, its words, its conversation."""
