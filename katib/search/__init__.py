"""What to propose and what to stop: pure functions over trials, called by the local engine (and by services beside
Katib).
"""
