"""Which trained model is the champion: measured, judged by a gate, promoted, rolled back."""
