"""What a training writes down: values per epoch, text lines, a picture."""
