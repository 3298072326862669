"""What the commands show: at the terminal, as JUnit, and of errors."""
