"""What is wrong with a plans file, all at once, before any work starts: no network is built and no case is read.

``check_plans`` is behind nnUNetv2_plans check; ``require_sound_plans`` runs at the start of the other commands.
"""
