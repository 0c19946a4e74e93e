"""What `lossreg.parts` needs in single trainers: a module for each, which alone imports that trainer."""
