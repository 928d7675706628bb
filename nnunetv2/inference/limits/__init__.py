"""What a prediction may take: memory and disk, known before a case starts, and cases read in parts."""
