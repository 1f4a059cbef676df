"""How the runs of a plan are executed: the runs of a stage, in this process or side by side."""
