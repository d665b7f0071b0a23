// Recorded runs, step by step.
