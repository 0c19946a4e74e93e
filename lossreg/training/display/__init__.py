"""What a person sees while work is done: live on a terminal, plain lines elsewhere. rich is imported for a terminal."""
