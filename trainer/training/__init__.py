"""Trains one model once.

train.py checks the input, opens the run directory and ends with an exit code, and notes.py says what is odd; fit.py is
the epoch loop, with gradients, losses and the metric line; checkpoint.py, progress.py and run_directory.py are what a
run keeps, and continuation.py finds it for a trial that goes on. group.py adds up what several processes compute, each
on its GPU; replicas.py starts and ends them, and replica.py is one of them. stop.py, room.py and memory.py handle what
comes in between: a signal, a full volume, and a lack of memory.
"""
