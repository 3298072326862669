"""What a bot does with a telephone: asks for keys, puts callers through, calls out."""
