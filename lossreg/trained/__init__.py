"""Coming back to a run: its trained model, evaluated, used for predictions and exported."""
