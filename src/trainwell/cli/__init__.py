"""The command line.

Contract: a command is a function in `app.py` whose signature and docstring are its options and its help; its body
hands over to a module beside it that does the work. `app.py` imports nothing heavy, so that `trainwell --help` answers
at once; the modules beside it are imported by the command that needs them.
"""
