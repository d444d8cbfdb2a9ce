"""The commands that run the program itself, one file each."""
