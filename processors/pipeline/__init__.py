"""What a pipeline is made of, and advice on parts that do not fit a phone line."""
