"""A discriminator that tells depth of the student from depth of the teacher."""
