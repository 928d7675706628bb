"""Working with plans as a person does: derive a configuration, look at one, compare two, change the layout.

Behind the command nnUNetv2_plans; every subcommand is a function here.
"""
