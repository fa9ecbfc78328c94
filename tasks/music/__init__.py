"""Songs and MIDI files in the hands of commands: read, made by the models, measured, written."""
