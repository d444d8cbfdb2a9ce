"""How the program runs: settings from the environment, its PostgreSQL, its processes, the demo."""
