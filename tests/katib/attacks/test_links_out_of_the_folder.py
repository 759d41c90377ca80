"""A run folder cannot make a verb write or read outside itself: links are not followed, pipes not opened, sizes have an
end.
"""
